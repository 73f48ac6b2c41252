"""JSON of a known shape, read with every value checked: what a damaged file holds never gets further."""

from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def parse_json(kind: type[T], data: bytes | str) -> T:
    """`data` as a value of `kind`: a dataclass, a pydantic model, or a type such as `dict[str, int]`.

    Keys that a dataclass does not have are left out.

    Raises:
        ValueError: not JSON, or JSON of another shape (`[]`, `null`, a number as text, a missing key).
    """
    adapter: TypeAdapter[T] = _adapter(kind)  # type: ignore[arg-type]  # dict[str, int] is hashable
    return adapter.validate_json(data, strict=True)
