"""`python -m viberary_pipeline.cli` is `viberary`."""

from viberary_pipeline.cli import main

main()
