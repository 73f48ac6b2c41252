"""Make the embedded Redis ready, so that no later command has to download anything.

Run as `python -m viberary_pipeline.redis_server fetch`.
"""

import argparse
import sys

from viberary_pipeline.errors import ViberaryError
from viberary_pipeline.redis_server import prepare
from viberary_pipeline.settings import load_settings


def main() -> int:
    """Returns the exit code: 0, or that of the error, whose message goes to standard error."""
    parser = argparse.ArgumentParser(prog="python -m viberary_pipeline.redis_server", description=__doc__)
    parser.add_argument("command", choices=["fetch"])
    parser.parse_args()
    try:
        settings = load_settings()
        if settings.redis.url:
            print("VIBERARY_REDIS_URL is set: no embedded server is needed")
            return 0
        server = prepare(settings.redis.server)
    except ViberaryError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"Redis {server.version} with search is ready: {server.binary} ({server.origin})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
