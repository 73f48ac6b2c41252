"""The store that keeps every vector once, and the Arrow files that it is made of."""

from typing import Literal, TypeAlias

VectorDtype: TypeAlias = Literal["float32", "float16"]
"""How vectors are stored; float16 takes half the disk and loses at most 0.0005 per value."""
