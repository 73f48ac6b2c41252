"""A setting that lists words: "en, fr" in the environment, ("en", "fr") in the program."""

from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_settings import NoDecode


def _split(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


# Without NoDecode pydantic-settings would expect JSON.
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
