"""The queries on which an exported encoder must agree with the model it was exported from.

Short and long, with and without punctuation, in several scripts: what readers type, and what breaks tokenizers. The
last few are far longer than any encoder's token limit, so that truncation is compared too.
"""

import json
from importlib.resources import files

_PARTS = json.loads((files("viberary_pipeline.encoders") / "parity_queries.json").read_text(encoding="utf-8"))
_MIXTURES = [f"{mood} {kind}" for mood in _PARTS["moods"] for kind in _PARTS["kinds"]]
_LONG = [" ".join(f"{vibe}," for vibe in _PARTS["vibes"]), _PARTS["long"] * 6, "слово " * 400, "🐈 " * 400]

PARITY_QUERIES: tuple[str, ...] = (
    *(query for part in ("vibes", "forms", "languages", "emoji") for query in _PARTS[part]),
    *_MIXTURES,
    *_LONG,
)
