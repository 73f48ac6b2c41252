"""Viberary: find books by vibe. From catalogues of books to a published vector index, and its search.

::

    import viberary_pipeline as viberary

    viberary.build()                      # the bundled sample; or viberary.build("folder/of/files")
    library = viberary.open()             # VIBERARY_HOME; or a home, or the URL of a Redis
    library.search("funny sci-fi", k=5)
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from viberary_pipeline.library import Library, Results, build, open
    from viberary_pipeline.settings import Settings, load_settings

__version__ = "1.0.0"
__all__ = ["Library", "Results", "Settings", "__version__", "build", "load_settings", "open"]

_MODULES = {
    **dict.fromkeys(("Library", "Results", "build", "open"), "library"),
    **dict.fromkeys(("Settings", "load_settings"), "settings"),
}


def __getattr__(name: str) -> Any:
    # Loaded when they are asked for: a worker on a GPU has no Redis, a web machine no Dagster.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
