"""How values look on the page. Pure functions, registered as Jinja filters by the app."""

from urllib.parse import urlsplit


def shorten(text: str, limit: int = 240) -> str:
    """At most `limit` characters of `text` and an ellipsis, cut between words where there is a gap to cut at.

    Runs of white space become one space. A text without spaces (Chinese, Japanese) is cut at the limit.
    """
    text = " ".join(text.split())
    if len(text) <= limit:
        return text
    head = text[: limit + 1]  # one more: a word may end exactly at the limit
    gap = head.rfind(" ")
    # A gap in the first half only: what follows is one long word or a script without spaces.
    head = head[:gap] if gap >= limit // 2 else head[:limit]
    return head.rstrip(" ,;:.–—-") + "…"


def safe_link(link: str) -> str | None:
    """`link` if a browser would open it as a web page, else None: no `javascript:`, no relative address."""
    try:
        parts = urlsplit(link)
    except ValueError:  # an unclosed IPv6 bracket
        return None
    return link if parts.scheme in ("http", "https") and parts.netloc else None


def counted(number: int, noun: str) -> str:
    """The number with thousands separators, and the noun in the form that goes with it: "1,204 reviews"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
