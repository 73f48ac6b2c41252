"""Texts that attack: markup, headers, log lines, query languages, broken encodings; and what no answer may do."""

import random
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import quote_from_bytes

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

INJECTED = "Injected-By-A-Reader"
"""Stands in every text that tries to begin a header or a line of a log."""

_MARKUP = (
    "<script>alert(1)</script>",
    "</title><script src=//x.example/a.js></script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    '" autofocus onfocus=alert(1) x="',
    "' onmouseover='alert(1)",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<style>*{background:url(//x.example)}</style>",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "<!--",
    "-->",
    "<![CDATA[",
    "</textarea></form><form action=//x.example>",
    "<base href=//x.example/>",
    "<meta http-equiv=refresh content=0;//x.example>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#x3c;script&#x3e;",
    "{{ config }}",
    "{{ ''.__class__ }}",
    "{% include '/etc/passwd' %}",
    "${7*7}",
    "<% 7*7 %>",
    "＜script＞alert(1)＜/script＞",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "<scr\x00ipt>alert(1)</scr\x00ipt>",
    "<SCRIPT/x>alert(1)</SCRIPT\t>",
)
_LINES = (
    f"\r\n{INJECTED}: yes",
    f"\r\nSet-Cookie: {INJECTED}=1",
    f"\n{INJECTED} ERROR root: all is lost",
    f"\r\r\n\n{INJECTED}\x85{INJECTED}\u2028{INJECTED}\u2029{INJECTED}\x0b{INJECTED}\x0c{INJECTED}",
    f'"}}\n{{"{INJECTED}": true}}',
    f"\x1b[2J\x1b[31m{INJECTED}",
    f"%0d%0a{INJECTED}: yes",
)
_QUERIES = (
    "@title:{x}",
    "@names:(*) => [KNN 10 @vector $v]",
    "=>[KNN 1 @vector $blob]",
    '-(a) | "b" * % ~ %%%x%%%',
    "@year:[-inf +inf]",
    "@review_count:[(1 +inf]",
    "ismissing(@year)",
    "*",
    "a|b|(c",
    "\\",
    '\\\\"',
    "w'(*|)'",
    "@genres:{a\\|b}",
    "$query $x",
    "PARAMS 2 x y DIALECT 2",
    "FLUSHALL",
    "*3\r\n$8\r\nFLUSHALL\r\n",
    "' OR 1=1 --",
    '"; DROP TABLE books; --',
    "../../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "viberary:pointer",
    "books like " * 20,
    "not not not without except -",
    "978" + "0" * 400,
    "9" * 4000,
    "k" * 2001,
    "(" * 1500,
    '"' * 777,
    "a " * 1000,
)
_LETTERS = (
    "\x00",
    "\x07\x08\x7f",
    "\u202e\u2066\u2069\u200f\u061c",
    "\ufeff\u200b\u2060\u00ad",
    "\ufffe\uffff\U0010ffff",
    "e" + "\u0301" * 300,
    "ﷺ" * 50,
    "İıſKÅ",
    "𝕳𝖆𝖗𝖗𝖞",
    "👩‍👩‍👧‍👦" * 20,
    "नमस्ते ជំរាប はじめまして",
    "ﬁﬂ①½²",
    "\ud800",
    "\udfff\ud800",
    "\u0000\u0001\u0002",
    "ا" * 500,
    "\t\t \u3000\u00a0",
)
_BYTES = (
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xc0\xaf",
    b"\xf4\x90\x80\x80",
    b"\x80",
    b"\xe2\x82",
    b"\xc3(",
    b"\xf0\x28\x8c\x28",
)


def hostile_texts(count: int, seed: int = 0) -> Iterator[bytes]:
    """So many texts, each piece alone first, then joined at random; UTF-8, or what pretends to be it."""
    pieces = [piece.encode(errors="surrogatepass") for piece in (*_MARKUP, *_LINES, *_QUERIES, *_LETTERS)] + [*_BYTES]
    yield from pieces[:count]
    generator = random.Random(seed)
    words = [b"love", b"harry potter", b"by", b"", b" ", b"winter"]
    for _ in range(count - len(pieces)):
        kind = generator.random()
        if kind < 0.1:
            letters = (
                chr(generator.choice((generator.randrange(0x250), generator.randrange(0x110000)))) for _ in range(30)
            )
            yield "".join(letters).encode(errors="surrogatepass")
        elif kind < 0.15:
            yield generator.randbytes(generator.randrange(1, 60))
        else:
            parts = generator.choices([*pieces, *words], k=generator.randrange(1, 5))
            yield generator.choice([b"", b" ", b'"', b"\n"]).join(parts)[:6000]


# Where a reader's text may go; {} stands for it, {book} for the id of a book.
PLACES = (
    "/search?query={}",
    "/api/search?query={}",
    "/search?query={}&exact=1&k=3",
    "POST /search",
    "/search?query=love&language={}",
    "/search?query=love&years={}",
    "/search?query=love&genre={}",
    "/search?query=love&min_reviews={}&k={}",
    "/api/search?query=love&language={}&exact={}",
    "/similar?book_id={}",
    "/similar?book_id={book}&title={}",
    "/similar?book_id={book}&query={}&years={}",
    "/book/{}",
    "/book/{book}?query={}&rank=3&language={}",
    "/book/none-such?title={}&query={}",
    "/go/{}",
    "/go/{book}?query={}&rank={}",
    "/api/similar/{}",
    "/api/books/{}",
    "/api/suggest?q={}",
    "/{}",
    "/search?{}",
)


def send(client: FlaskClient, place: str, text: bytes, book_id: str) -> TestResponse:
    """The answer to a text in one of `PLACES`; `book_id` is that of a book of the live build."""
    typed = quote_from_bytes(text, safe="")
    if place.startswith("POST "):
        form = {"data": f"query={typed}&k=2", "content_type": "application/x-www-form-urlencoded"}
        return client.post(place.removeprefix("POST "), **form)
    return client.get(place.replace("{book}", book_id).replace("{}", typed))


class _Page(HTMLParser):
    """The elements of a page with the names of their attributes, and all addresses in it."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: set[tuple[str, tuple[str, ...]]] = set()
        self.addresses: list[str] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add((tag, tuple(name for name, _ in attrs)))
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "action", "formaction")]
        self.scripts += [dict(attrs).get("src") or ""] if tag == "script" else []


_OWN = re.compile(r"/|#|https://doi\.org/|https?://|data:image/svg\+xml,")


def faults(answer: TestResponse, text: bytes) -> list[str]:
    """What an answer does that none may do: fail, run what a reader typed, carry a header of the reader's."""
    found = []
    if answer.status_code >= 500:
        found.append(f"status {answer.status_code}")
    names = {name.lower() for name in answer.headers.keys()}  # noqa: SIM118
    if names & {INJECTED.lower(), "set-cookie"}:
        found.append("a header of the reader's")
    if (leads_to := answer.headers.get("Location", "/")) and not _OWN.match(leads_to):
        found.append(f"a way to {leads_to[:80]}")
    if answer.mimetype == "text/html":
        page = _Page()
        page.feed(answer.text)
        handlers = [name for _, names in page.elements for name in names if name.startswith("on") or name == "srcdoc"]
        foreign = {tag for tag, _ in page.elements} & {"iframe", "object", "embed", "base", "style"}
        scripts = [source for source in page.scripts if not source.startswith("/static/")]
        if handlers or foreign or scripts:
            found.append(f"markup of the reader's: {handlers or foreign or scripts}")
        if others := [address for address in page.addresses if not _OWN.match(address)]:
            found.append(f"an address of the reader's: {others[0][:80]}")
        if re.search(rb"[<>\"']", text) and len(text) > 8 and text in answer.data:
            found.append("what was typed, as it was typed")
    elif answer.mimetype != "application/json":
        found.append(f"a {answer.mimetype}")
    return found
