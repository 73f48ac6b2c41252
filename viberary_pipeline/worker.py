"""The program of the machines that executors start: `python -m viberary_pipeline.worker [train] ...`.

After `train` it is the training worker (`tuning.worker`), else the embedding worker (`embedding.worker`), with their
arguments and exit codes. It is one program because AWS Batch changes an image's command and never its entry point.
"""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worker that is asked for; returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["train"]:
        from viberary_pipeline.tuning.worker import main as train

        return train(words[1:])
    from viberary_pipeline.embedding.worker import main as embed

    return embed(words)


if __name__ == "__main__":
    sys.exit(main())
