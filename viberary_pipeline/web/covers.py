"""A cover for each book, drawn from its title, its author and its genre: the same book always has the same cover.

An SVG of presentation attributes alone: the page's policy allows no inline styles, and no picture from elsewhere.
"""

import re
import unicodedata
import zlib
from collections.abc import Callable, Collection
from functools import lru_cache
from urllib.parse import urlsplit

from markupsafe import Markup, escape

from viberary_pipeline.web.presentation import without_series

WIDTH, HEIGHT = 120, 180

# Ground, ink, ornament. Ink reads on its ground at 7:1 at least.
_PALETTES = (
    ("#22594f", "#fbf8f2", "#c98a3c"),
    ("#7c2f25", "#fbf3ea", "#e0a98f"),
    ("#2e3a59", "#f4f1e8", "#d8a657"),
    ("#4a3a55", "#f7f0f5", "#c596b8"),
    ("#f0e4cc", "#2a2520", "#a4503f"),
    ("#dfe7e1", "#1f3a33", "#3f7a6c"),
    ("#5a4a1f", "#fbf6e6", "#d9b95b"),
    ("#e9dcdf", "#4a1f2c", "#a4506a"),
    ("#1f4a5c", "#f1f6f4", "#7fb7b0"),
    ("#2a2520", "#f0e6d6", "#c98a3c"),
    ("#dbe2ea", "#24324a", "#5a75a0"),
    ("#5c2e46", "#fbeff3", "#d9a05a"),
)


def _rings(ink: str) -> str:
    return "".join(
        f'<circle cx="60" cy="118" r="{r}" fill="none" stroke="{ink}" stroke-width="1.5"/>' for r in (10, 20, 30)
    ) + (f'<circle cx="82" cy="97" r="4" fill="{ink}"/>')


def _hills(ink: str) -> str:
    return f'<path d="M0 150 34 102l22 30 20-24 44 42H0z" fill="{ink}"/>'


def _moon(ink: str) -> str:
    return f'<path d="M72 92a26 26 0 1 0 14 46 30 30 0 0 1-14-46z" fill="{ink}"/>'


def _hearts(ink: str) -> str:
    return "".join(f'<circle cx="{x}" cy="118" r="24" fill="none" stroke="{ink}" stroke-width="3"/>' for x in (46, 74))


def _blade(ink: str) -> str:
    return f'<path d="M0 146 120 92v8L0 154z" fill="{ink}"/><path d="M0 132 120 78v2L0 134z" fill="{ink}"/>'


def _columns(ink: str) -> str:
    return "".join(f'<path d="M{x} 96h8v44h-8z" fill="{ink}"/>' for x in (30, 48, 66, 84)) + (
        f'<path d="M24 88h72v5H24zM24 143h72v5H24z" fill="{ink}"/>'
    )


def _waves(ink: str) -> str:
    return "".join(
        f'<path d="M0 {y}q15-12 30 0t30 0 30 0 30 0" fill="none" stroke="{ink}" stroke-width="2"/>'
        for y in (104, 118, 132)
    )


def _star(ink: str) -> str:
    return f'<path d="m60 84 7 25 25 9-25 9-7 25-7-25-25-9 25-9z" fill="{ink}"/>'


def _dots(ink: str) -> str:
    dots = 'stroke-width="10" stroke-linecap="round" stroke-dasharray="0 20"'
    return f'<path d="M30 100h61m-61 20h61m-61 20h61" stroke="{ink}" {dots}/>'


def _bars(ink: str) -> str:
    heights = zip((33, 45, 57, 69, 81), (20, 38, 28, 46, 16), strict=True)
    return "".join(f'<path d="M{x} {140 - h}h6v{h}h-6z" fill="{ink}"/>' for x, h in heights)


# By a word in the genre; else one is chosen by the book.
_ORNAMENTS: tuple[tuple[str, Callable[[str], str]], ...] = (
    (r"sci-?fi|science fiction|space|alien|robot|dystop", _rings),
    (r"horror|vampire|ghost|gothic|dark", _moon),
    (r"romance|love", _hearts),
    (r"myster|crime|thriller|noir|spy|detective|suspense", _blade),
    (r"histor|classic|biograph|politic|philosoph", _columns),
    (r"poet|sea|nature|travel", _waves),
    (r"fantas|magic|myth|fairy|paranormal", _star),
    (r"child|young|comic|graphic|humou?r|funny|picture", _dots),
    (r"science|business|econom|psycholog|non-?fiction|self", _bars),
    (r"adventure|western|survival", _hills),
)

_SUBTITLE = re.compile(r"\s*(?::|;|\s[-–—]\s).*$", re.DOTALL)
_SIZES = ((17, 8, 3), (14, 10, 4), (11, 13, 5))
"""Size of the title's letters, ens to a line, most lines: the largest that holds the whole title and breaks no word."""
_FOR_LONG_WORDS = (9, 16, 6)
_ENS_OF_AUTHOR, _LINES_OF_AUTHOR = 18, 2


def covers_from(hosts: Collection[str]) -> Callable[..., Markup]:
    """What draws covers, and lays a book's picture over its own where one of these hosts has it.

    A picture that does not come leaves the drawn cover to be seen.
    """

    if not hosts:
        return lambda title, author, genres, image_url: cover(title, author, genres)

    def either(title: str, author: str, genres: tuple[str, ...], image_url: str) -> Markup:
        drawn, address = cover(title, author, genres), _picture(image_url, hosts)
        if not address:
            return drawn
        return drawn + Markup('<img class="picture" src="{}" alt="" loading="lazy">').format(address)

    return either


def _picture(image_url: str, hosts: Collection[str]) -> str:
    """The address by HTTPS if it is at one of the hosts, else ""."""
    try:
        parts = urlsplit(image_url)
        known = parts.scheme in ("http", "https") and parts.netloc.lower() in hosts
    except ValueError:
        return ""
    return parts._replace(scheme="https").geturl() if known and image_url.isprintable() else ""


@lru_cache(maxsize=4096)
def cover(title: str, author: str, genres: tuple[str, ...] = ()) -> Markup:
    """The cover as an `<svg>` that screen readers pass over: what it says stands beside it."""
    mark = zlib.crc32(f"{title}\0{author}".encode())
    ground, ink, accent = _PALETTES[mark % len(_PALETTES)]
    named = (draw for genre in genres for words, draw in _ORNAMENTS if re.search(words, genre, re.IGNORECASE))
    ornament = next(named, _ORNAMENTS[mark // len(_PALETTES) % len(_ORNAMENTS)][1])
    whole = without_series(title)
    size, most, lines = _fitted(whole)
    if len(lines) > most:
        size, most, lines = _fitted(_SUBTITLE.sub("", whole) or whole)
    written = "".join(
        f'<tspan x="12" y="{20 + size * 1.2 * (number + 0.5):.0f}">{escape(line)}</tspan>'
        for number, line in enumerate(_cut(lines, most))
    )
    by = _cut(_broken(author, _ENS_OF_AUTHOR), _LINES_OF_AUTHOR)
    return Markup(  # every text in it is escaped
        f'<svg class="cover" viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">'
        f'<path d="M0 0h{WIDTH}v{HEIGHT}H0z" fill="{ground}"/>{ornament(accent)}'
        f'<text font-size="{size}" fill="{ink}">{written}</text>'
        + "".join(
            f'<text class="by" x="12" y="{170 - 11 * (len(by) - 1 - number)}" fill="{ink}">{escape(line)}</text>'
            for number, line in enumerate(by)
        )
        + "</svg>"
    )


def _fitted(text: str) -> tuple[int, int, list[str]]:
    """Size of the letters, most lines, the text in lines, of which there may be more."""
    longest = max(map(_ens, text.split()), default=0)
    sizes = (_FOR_LONG_WORDS,) if _SIZES[-1][1] < longest <= _FOR_LONG_WORDS[1] else _SIZES
    tried = [(size, most, ens, _broken(text, ens)) for size, ens, most in sizes]
    fitting = (one for one in tried if len(one[3]) <= one[1] and longest <= one[2])
    size, most, _, lines = next(fitting, tried[-1])
    return size, most, lines


def _cut(lines: list[str], most: int) -> list[str]:
    return lines if len(lines) <= most else [*lines[: most - 1], f"{lines[most - 1]}…"]


def _broken(text: str, ens: int) -> list[str]:
    """The text in lines of so many ens at most, broken between words, and within those that are longer than a line."""
    lines = [""]
    for word in text.split():
        if lines[-1] and _ens(f"{lines[-1]} {word}") <= ens:
            lines[-1] += f" {word}"
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if _ens(lines[-1] + letter) > ens:
                lines.append("")
            lines[-1] += letter
    return lines if lines[0] else []


def _ens(text: str) -> int:
    """The width of a text: letters of East Asia count for two, marks for none."""
    if text.isascii():  # most are, and one look at each letter takes a hundred times as long
        return len(text)
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else not unicodedata.combining(c) for c in text)
