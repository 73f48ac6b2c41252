"""What the commands open."""

from pathlib import Path
from typing import Any

from viberary_pipeline.settings import Settings


def open_home(settings: Settings) -> Path:
    """The home, brought to what S3 has where it is a copy."""
    from viberary_pipeline.origin import refresh

    return refresh(settings.home_dir)


def open_searcher(settings: Settings) -> Any:
    """The searcher over the live index."""
    from viberary_pipeline.redis_server import connect
    from viberary_pipeline.search.searcher import Searcher

    return Searcher(connect(settings), settings.home_dir, settings.search)
