"""`make report`, and a part of `make ui`: serves the data-quality report's folder on loopback, until Ctrl-C."""

import argparse
import errno
import signal
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PAGE = "report/latest.html"


class Handler(SimpleHTTPRequestHandler):
    """Serves the folder; its root leads to the latest report."""

    def do_GET(self) -> None:
        if self.path != "/":
            return super().do_GET()
        self.send_response(302)
        self.send_header("Location", f"/{PAGE}")
        self.end_headers()
        return None


class QuietHandler(Handler):
    """Logs no request."""

    def log_message(self, format: str, *args: object) -> None:
        pass


def main() -> int:
    """Serve the folder; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the reports, VIBERARY_HOME/quality")
    parser.add_argument("--port", type=int, default=8001, help="0 takes a free one")
    parser.add_argument("--quiet", action="store_true", help="serve it before there is a report, and log no request")
    options = parser.parse_args()
    if not options.quiet and not (options.folder / PAGE).is_file():
        print(f"report: there is none yet in {options.folder}: run `make demo` or `viberary build`", file=sys.stderr)
        return 1
    handler = partial(QuietHandler if options.quiet else Handler, directory=str(options.folder))
    try:
        server = ThreadingHTTPServer(("127.0.0.1", options.port), handler)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        target = "ui" if options.quiet else "report"
        print(f"report: port {options.port} is in use: make {target} REPORT_PORT=another", file=sys.stderr)
        return 1
    # A shell that starts this in the background lets it ignore Ctrl-C's signal: it shall end by it all the same.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with server:
        if not options.quiet:
            print(f"The report is at http://127.0.0.1:{server.server_port}/ (Ctrl-C stops it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
