"""Readable text (sources/cleaning.py, sources/sql/text.sql)."""

import re
import sys
import unicodedata

import duckdb
import pyarrow as pa
import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from viberary_pipeline.sources.cleaning import register_text


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect(config={"autoinstall_known_extensions": False}) as connection:
        register_text(connection)
        yield connection


def clean(connection, *texts):
    """Each text, cleaned; all go through in one statement, as a column does."""
    table = pa.table({"place": range(len(texts)), "text": pa.array(texts, pa.string())})
    connection.register("dirty", table)
    rows = connection.execute("SELECT clean_text(text) FROM dirty ORDER BY place").fetchall()
    connection.unregister("dirty")
    return [row[0] for row in rows]


CASES = {
    "plain text": ("Call me Ishmael. Some years ago", "Call me Ishmael. Some years ago"),
    "white space": ("  one  two\tthree\r\n\r\nfour\u00a0\u2028\u3000five \n", "one two three four five"),
    "letters of many scripts": (
        "Çağ ﬁn Ωmega Жизнь שלום سلام 日本語 한국어 naïve",
        "Çağ ﬁn Ωmega Жизнь שלום سلام 日本語 한국어 naïve",
    ),
    "emoji": ("love ❤️ 📚", "love ❤️ 📚"),
    "decomposed letters": ("Cafe\u0301 \u1112\u1161\u11ab A\u030a", "Café 한 Å"),
    "letters that are another letter": ("\u212a \u2126 \u1f71 \u037e", "K Ω ά ;"),
    "control characters": ("nul\x00byte \x07bell\x7f c1\x9c.", "nul byte bell c1 ."),
    "NUL before letters outside ASCII": ("caf\u00e9\x00 and the rest, cafe\u0301\x00.", "café and the rest, café ."),
    "zero-width characters": ("z\u200be\u200cr\u200do\u2060w\ufeffidth", "zerowidth"),
    "soft hyphen": ("hy\u00adphen", "hyphen"),
    "marks of direction": ("\u202aab\u202c \u2066cd\u2069 \u200fef\u061c", "ab cd ef"),
    "tags": ("\U0001f3f4\U000e0067\U000e0062\U000e007f", "\U0001f3f4"),
    "fillers and joiners": ("a\u3164b\u115fc\u034fd", "abcd"),
    "private use": ("\uf0b7 first \uf0b7 second", "first second"),
    "a letter and its accent around a zero-width space": ("e\u200b\u0301", "é"),
    "bold and italic": ("<b>Bold</b> &amp; <i>italic</i>, <EM class='x'>em</EM>.", "Bold & italic, em."),
    "a big first letter": ("<b>O</b>nce <span style='a'>up</span>on", "Once upon"),
    "breaks and paragraphs": ("one<br>two<br />three</p><p>four<li>five<hr/>", "one two three four five"),
    "unknown tags": ("<o:p>a</o:p><st1:place w:st='on'>b", "a b"),
    "comments": ("a<!-- b <i> c\n -->d<!--StartFragment-->e<!--[if gte mso 9]><xml>f</xml><![endif]-->g", "a d e g"),
    "doctype and instruction": ("<!DOCTYPE html><?xml version='1'?>text", "text"),
    "script and style": ("<script>alert('<b>')</script>safe<STYLE type=x>\np {}</STYLE >here", "safe here"),
    "a script that is never closed": ("safe <script src=x>alert(1) // and more", "safe"),
    "an attribute with entities": ('<a title="a &gt; b" href="http://x.org/?a=1&lt=2">link</a>.', "link."),
    "named entities": ("Caf&eacute; &hellip; R&amp;D &NotEqualTilde; &nbsp;&zwnj;&shy;x", "Café … R&D ≂̸ x"),
    "numeric entities": ("&#8220;a&#x201D; &#39;b&#X27; caf&#101;&#769;", "“a” 'b' café"),
    "entities that name no character": ("a&#0;b&#xD800;c&#x110000;d &bogus; &#;", "a\ufffdb\ufffdc\ufffdd &bogus; &#;"),
    "entities without an end": (
        "AT&T, B&B, R&D, Q&A; fish & chips &copy 1999",
        "AT&T, B&B, R&D, Q&A; fish & chips © 1999",
    ),
    "entities escaped twice": ("Tom &amp;amp; Ann &amp;#39;x&amp;#39; &amp;eacute;", "Tom & Ann 'x' é"),
    "tags that were escaped": ("&lt;i&gt;Emma&lt;/i&gt; &amp;lt;br&amp;gt;more", "Emma more"),
    "a script that was escaped": ("a &lt;script&gt;alert(1)&lt;/script&gt; b", "a b"),
    "the name of a tag": (
        "Teaches the &amp;lt;script&amp;gt; tag, then &lt;style&gt;, in forty chapters.",
        "Teaches the tag, then , in forty chapters.",
    ),
    "tags hidden by invisible characters": ("<\u200bb>a</\u00adb> <\x00b> <\u212abd>c", "a < b> c"),
    "tags within tags": ("a <scr<b>ipt>b</scr</b>ipt> c <x <y <z>>>", "a b c"),
    "less and more": (
        "I <3 this </3 a < b and c > d, 5 &lt; 6 -> <- <> <",
        "I <3 this </3 a < b and c > d, 5 < 6 -> <- <> <",
    ),
    "no tag without an end": ("if a <b then", "if a <b then"),
    "addresses": ("see https://example.org/a?b=c, WWW.example.org\u00a0now HTTP://X ftp://y.", "see now"),
    "an address in a tag": ("<a href='http://example.org'>http://example.org</a> text", "text"),
    "no address": ("the wwwoman at http:/x", "the wwwoman at http:/x"),
    "a spoiler": ("before (view spoiler)[the butler (hide spoiler)] after", "before after"),
    "two spoilers": ("x (view spoiler)[one (hide spoiler)] y (view spoiler) [two\n(hide spoiler)] z", "x y z"),
    "a spoiler with brackets": ("a (view spoiler)[b [c] (d) ] e (hide spoiler)] f [g]", "a f [g]"),
    "a spoiler in a spoiler": (
        "a (view spoiler)[b (view spoiler)[c (hide spoiler)] d (view spoiler)[e (hide spoiler)] f (hide spoiler)] g",
        "a g",
    ),
    "a spoiler with tags": ("a <b>(view spoiler)</b>[b<br>c <i>(hide spoiler)</i>] d", "a d"),
    "a spoiler that is never closed": ("a (view spoiler)[b (view spoiler)[c (hide spoiler)]\nd", "a"),
    "the end of a spoiler alone": ("a (hide spoiler)] b", "a b"),
    "words about spoilers": (
        "(view spoiler) and (hide spoiler) are signs",
        "(view spoiler) and (hide spoiler) are signs",
    ),
    "nothing but markup": ("<p> </p>&nbsp;<br/>", None),
    "nothing but white space": (" \u00a0\t\u3000", None),
    "nothing but invisible characters": ("\u200b\ufeff\u00ad\u2060", None),
    "nothing": ("", None),
    "null": (None, None),
}


@pytest.mark.parametrize("case", CASES)
def test_clean_text(connection, case):
    dirty, expected = CASES[case]
    assert clean(connection, dirty) == [expected]


def test_one_text_does_not_disturb_another(connection):
    dirty = [dirty for dirty, _ in CASES.values()] * 100
    assert clean(connection, *dirty) == [expected for _, expected in CASES.values()] * 100


def test_two_threads_at_once(tmp_path):
    dirty = [dirty for dirty, _ in CASES.values()] * 10_000
    with duckdb.connect(tmp_path / "texts.duckdb", config={"threads": 2}) as connection:
        register_text(connection)
        register_text(connection)
        assert clean(connection, *dirty) == [expected for _, expected in CASES.values()] * 10_000


def test_the_long_and_hostile(connection):
    """Inputs that make a backtracking or quadratic cleaner hang: these end by the suite's time limit or not at all."""
    n = 200_000
    dirty = ["<" * n, "<a " * n, "&" * n, "&amp;" * n, "(view spoiler)[" * n, "<!--" * n, " " * n + "x", "e\u0301" * n]
    lengths = [len(text or "") for text in clean(connection, *dirty)]
    assert lengths == [n, 3 * n - 1, n, n, 0, 4 * n, 1, n]


IGNORABLE = regex.compile(r"\p{Default_Ignorable_Code_Point}")
VARIATION = regex.compile(r"\p{Variation_Selector}")


def readable(character: str) -> str:
    """What is left of one character between two letters, by the Unicode data of Python and of `regex`."""
    if character in "\ufff9\ufffa\ufffb" or (
        IGNORABLE.fullmatch(character) and not re.fullmatch("[\ufe00-\ufe0f\U000e0100-\U000e01ef]", character)
    ):
        return ""
    if character == "\ufffc" or unicodedata.category(character) in ("Zs", "Zl", "Zp", "Cc", "Co"):
        return " "
    return character


def test_every_character(connection):
    """Alone between letters: dropped, a blank, or itself in NFC. So no shortcut takes a character that needs care."""
    characters = [
        chr(point)
        for point in range(sys.maxunicode + 1)
        if not 0xD800 <= point <= 0xDFFF and not point >= 0xF0100  # most of private use
    ]
    characters = [c for c in characters if unicodedata.category(c) != "Cn" or IGNORABLE.fullmatch(c)]
    assert len(characters) > 140_000
    cleaned = clean(connection, *[f"e{character}e" for character in characters])
    expected = [unicodedata.normalize("NFC", f"e{readable(character)}e") for character in characters]
    assert [
        (hex(ord(c)), got, want) for c, got, want in zip(characters, cleaned, expected, strict=True) if got != want
    ] == []


def test_every_pair_that_composes(connection):
    """A character that joins the one before it is never taken for one that stays as it is."""
    parts = [unicodedata.decomposition(chr(point)).split() for point in range(sys.maxunicode + 1)]
    pairs = [chr(int(p[0], 16)) + chr(int(p[1], 16)) for p in parts if len(p) == 2 and not p[0].startswith("<")]
    hangul = ["\u1100\u1161", "\uac00\u11a8"]
    texts = [f"x {pair} x" for pair in pairs + hangul]
    assert len(texts) > 900
    assert clean(connection, *texts) == [unicodedata.normalize("NFC", text) for text in texts]


pieces = st.sampled_from(
    [
        *"<>&;#/!-[]() \t\n\x00abe",
        *"\u0301\u0338\u200b\u00ad\u00a0\u212a\ufeff\ue000",
        *("<b>", "</b>", "<br/>", "<script>", "</script>", "<!--", "-->", "<p ", "&lt;", "&gt;", "&amp;", "&#60;"),
        *("(view spoiler)[", "(hide spoiler)]", "http://", "www.", "&#x200b;", "&nbsp;", "caf\u00e9 "),
    ]
)
any_text = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=60), st.lists(pieces, max_size=25).map("".join)
)


@settings(deadline=None)
@given(any_text)
@example("<" * 3 + "b>" * 3)
@example("<\u200bscript>")
@example("&amp;lt;b&amp;gt;")
def test_what_clean_text_promises_for_any_text(connection, dirty):
    (text,) = clean(connection, dirty)
    if text is None:
        return
    assert text == text.strip(" ")
    assert "  " not in text
    assert text != ""
    assert unicodedata.is_normalized("NFC", text)
    assert [c for c in text if unicodedata.category(c) in ("Cc", "Zl", "Zp", "Co")] == []
    assert [c for c in text if IGNORABLE.fullmatch(c) and not VARIATION.fullmatch(c)] == []
    assert re.search(r"</?[a-zA-Z][^>]*>", text) is None
    assert re.search(r"(?i)https?://|\bwww\.", text) is None


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<&(\x00"), max_size=80))
def test_cleaning_twice_changes_nothing(connection, dirty):
    """Where nothing is escaped and nothing nested; what was escaped may hold more of the same."""
    (once,) = clean(connection, dirty)
    assert clean(connection, once) == [once]


@settings(deadline=None)
@given(st.text(st.sampled_from("abc XYZ.,'\"!?-\u2019\u00e9\u4e2d\u0430<3>&;#()[]:/"), max_size=80))
def test_text_without_markup_only_loses_blanks(connection, text):
    """No character of a text goes that has no markup, entity, address or spoiler."""
    if re.search(r"<[a-zA-Z/!?]|&[#a-zA-Z]|://", text):
        return
    assert clean(connection, text) == [re.sub(" +", " ", text).strip(" ") or None]
