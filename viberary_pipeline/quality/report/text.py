"""Numbers and texts as the report shows them."""

import unicodedata

_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def visible(text: object) -> str:
    """The text with every character that cannot be seen, or that would reorder its neighbours, as its code:
    ⟨U+0000⟩, ⟨U+202E⟩. (Escaping markup is the template's matter.)"""
    return "".join(f"⟨U+{ord(c):04X}⟩" if unicodedata.category(c) in _UNSEEN else c for c in str(text))


def number(value: float) -> str:
    """1234567 as 1,234,567."""
    return f"{value:,.10g}" if isinstance(value, float) else f"{value:,}"


def short(value: float) -> str:
    """A number for a card: 15739967 as 15.7 million, 2360655 as 2.36 million, 829529 as 829,529."""
    return f"{value / 1e6:.3g} million" if value >= 1e6 else f"{value:,.0f}"


def percent(share: float | None) -> str:
    """A share, 0 to 1, in percent; small ones keep two digits that say something."""
    if share is None:
        return "–"
    if share in (0, 1):
        return f"{share:.0%}"
    if share < 0.00001:
        return "<0.001%"
    if share < 0.01:
        return f"{100 * share:.2g}%"
    return f"{100 * share:.1f}%" if share < 0.999 else f"{100 * share:.2f}%"


def size(count: float) -> str:
    """A number of bytes: 2043729443 as 2.04 GB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}" if unit != "bytes" else f"{count:,} bytes"
        count /= 1000
    return f"{count:.3g} TB"
