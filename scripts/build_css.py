"""Write the page's one style sheet: of Bootstrap what the templates use, then `web/style/viberary.css`, minified.

Run it (`make css`) after a change of a template, of that file or of Bootstrap's version; a test compares. A class that
a template puts together from parts must stand whole in some template, a comment suffices.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path

import tinycss2
from tinycss2.ast import AtRule, Node, QualifiedRule

WEB = Path(__file__).parents[1] / "viberary_pipeline" / "web"
BUILT = WEB / "static" / "style.css"

_CLASS = re.compile(r"\.((?:\\.|[\w-])+)")
_ELEMENT = re.compile(r"(?:^|[\s>+~(,])([a-z][a-z0-9]*)")
_NEVER_USED = re.compile(r"\[data-bs-theme|\[dir=rtl\]|::-moz-focus-inner|::-webkit-(?:datetime|inner|color|file)")


def built() -> str:
    """The style sheet."""
    templates = "".join(path.read_text(encoding="utf-8") for path in sorted((WEB / "templates").rglob("*.html")))
    code = "".join(path.read_text(encoding="utf-8") for path in sorted([*WEB.glob("*.py"), *WEB.glob("static/*.js")]))
    words = frozenset(re.findall(r"[\w-]+", templates + code))
    elements = frozenset(re.findall(r"<([a-z][a-z0-9]*)", templates + code)) | {"html", "body"}
    bootstrap = files("flask_bootstrap").joinpath("static/bootstrap5/css/bootstrap.min.css").read_text(encoding="utf-8")
    own = _minified(tinycss2.parse_stylesheet((WEB / "style" / "viberary.css").read_text(encoding="utf-8"), True, True))
    rules = list(_used(tinycss2.parse_stylesheet(bootstrap, True, True), words, elements))
    version = re.search(r"Bootstrap\s+v([\d.]+)", bootstrap)
    notice = f"/*! of Bootstrap v{version[1] if version else '?'}, MIT, Copyright The Bootstrap Authors */\n"
    return f"{notice}{_without_unused_properties(_minified(rules), own)}\n{own}\n"


def _used(rules: Iterable[Node], words: frozenset[str], elements: frozenset[str]) -> Iterator[Node]:
    """The rules of which some selector may match, with these selectors alone."""
    for rule in rules:
        if isinstance(rule, AtRule) and rule.lower_at_keyword == "media" and rule.content is not None:
            inner = list(_used(tinycss2.parse_rule_list(rule.content, True, True), words, elements))
            if inner and "print" not in tinycss2.serialize(rule.prelude):
                rule.content = inner
                yield rule
        elif isinstance(rule, QualifiedRule):
            selectors = [s for s in _selectors(tinycss2.serialize(rule.prelude)) if _may_match(s, words, elements)]
            if selectors:
                rule.prelude = tinycss2.parse_component_value_list(",".join(selectors))
                yield rule


def _selectors(prelude: str) -> list[str]:
    """The selectors of a list; commas within brackets part none."""
    return [part.strip() for part in re.split(r",(?![^(\[]*[)\]])", prelude)]


def _may_match(selector: str, words: frozenset[str], elements: frozenset[str]) -> bool:
    plain = re.sub(r":not\([^)]*\)", "", selector)
    return (
        not _NEVER_USED.search(plain)
        and words.issuperset(name.replace("\\", "") for name in _CLASS.findall(plain))
        and elements.issuperset(_ELEMENT.findall(plain))
    )


def _minified(rules: Iterable[Node]) -> str:
    """The rules, one to a line: changes of two can be merged."""
    return "\n".join(_squeezed(rule) for rule in rules)


def _squeezed(rule: Node) -> str:
    if isinstance(rule, QualifiedRule):
        text = f"{tinycss2.serialize(rule.prelude).strip()}{{{_block(rule)}}}"
    else:
        text = f"@{rule.at_keyword} {tinycss2.serialize(rule.prelude).strip()}{{{_inner(rule)}}}"
    return re.sub(r"\s*([{};])\s*", r"\1", re.sub(r"\s+", " ", text))


def _inner(rule: AtRule) -> str:
    content = rule.content or []
    if rule.lower_at_keyword != "media":
        return tinycss2.serialize(content)
    parsed = all(isinstance(node, QualifiedRule | AtRule) for node in content)
    return _minified(content if parsed else tinycss2.parse_rule_list(content, True, True))


def _block(rule: QualifiedRule) -> str:
    declarations = tinycss2.parse_declaration_list(rule.content, True, True)
    return ";".join(
        f"{d.name}:{tinycss2.serialize(d.value).strip()}{'!important' * d.important}"
        for d in declarations
        if d.type == "declaration"
    )


def _without_unused_properties(bootstrap: str, own: str) -> str:
    """Without custom properties that nothing reads, those that only others read among them."""
    read = frozenset(re.findall(r"var\((--[\w-]+)", bootstrap + own))
    value = r"(?:[^;{}\"(]|\"[^\"]*\"|\([^)]*\))*"
    kept = re.sub(rf"(--[\w-]+):{value};?", lambda found: found[0] if found[1] in read else "", bootstrap)
    kept = re.sub(r"[^{};]*\{\}", "", kept)
    return kept if kept == bootstrap else _without_unused_properties(kept, own)


if __name__ == "__main__":
    BUILT.write_text(built(), encoding="utf-8")
    sys.stdout.write(f"{BUILT}: {BUILT.stat().st_size:,} bytes\n")
