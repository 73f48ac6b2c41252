"""Writes the parts of docs/ that are made from the code, between `<!-- made: NAME -->` and `<!-- end -->`.

`make reference` runs it. A test compares the pages with what it would write, so that no page can fall behind the code.
"""

import inspect
import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from viberary_pipeline import errors, redis_contract
from viberary_pipeline.cli import main
from viberary_pipeline.redis_contract import BuildRecord, HnswSettings
from viberary_pipeline.web.api import OPERATIONS, openapi, template

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
_BLOCK = re.compile(r"<!-- made: (?P<name>[a-z_]+) -->\n.*?<!-- end -->", re.DOTALL)

EXAMPLES = {
    "build": "viberary build --raw /data/goodreads",
    "search": 'viberary search "cold-blooded revenge" -k 3 --language en --years 1960-2010',
    "similar": "viberary similar 900302300 -k 5",
    "evaluate": "viberary evaluate --rule lexical_weight=0.1",
    "tune": "viberary tune --out mine --queries asked.tsv --qrels asked.qrels.txt",
    "distil": "viberary distil --out small --teacher viberary-mpnet-v1",
    "status": "viberary status",
    "builds": "viberary builds --last 5",
    "diff": "viberary diff previous live",
    "rollback": "viberary rollback",
    "late": "viberary late",
    "gc": "viberary gc --dry-run",
    "artifacts": "viberary artifacts",
    "serve": "viberary serve --host 0.0.0.0 --workers 2",
    "redis start": "viberary redis start",
    "redis stop": "viberary redis stop",
    "redis status": "viberary redis status",
    "gpu list": "VIBERARY_EXECUTOR=ec2 viberary gpu list",
    "gpu reap": "VIBERARY_EXECUTOR=ec2 viberary gpu reap",
    "sample": "viberary sample /tmp/sample",
    "synth": "viberary synth /tmp/synthetic --books 20000 --reviews 100000",
    "fetch openlibrary": "viberary fetch openlibrary /data/openlibrary --replace",
}
"""An example of each command, in the order of the page; a test parses every one of them."""


def commands(group: click.Group = main, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    """Each command with its name, such as `redis start`."""
    for name, command in group.commands.items():
        full = f"{prefix}{name}"
        if isinstance(command, click.Group):
            yield from commands(command, f"{full} ")
        else:
            yield full, command


def command_line() -> str:
    """A section for each command: what it does, its arguments and options, an example."""
    sections = []
    for name, command in sorted(commands(), key=lambda named: list(EXAMPLES).index(named[0])):
        context = click.Context(command, info_name=f"viberary {name}")
        usage = " ".join(context.command.collect_usage_pieces(context))
        paragraphs = inspect.cleandoc(command.help or "")
        options = [p for p in command.params if isinstance(p, click.Option)]
        records = [record for o in options if (record := o.get_help_record(context))]
        rows = [_row(f"`{names.replace(' RANGE', '')}`", about) for names, about in records]
        table = [*_table("option", "meaning"), *rows, ""] if rows else []
        sections += [
            f"## viberary {name}",
            "",
            f"`viberary {name} {usage}`",
            "",
            paragraphs,
            "",
            *table,
            f"```sh\n{EXAMPLES[name]}\n```",
            "",
        ]
    return "\n".join(sections).strip()


def parsed(example: str) -> tuple[str, list[str]]:
    """The command that an example runs, and its arguments."""
    words = [word for word in shlex.split(example) if not re.fullmatch(r"[A-Z_]+=\S*", word)]
    assert words[0] == "viberary", example
    name = max((n for n, _ in commands() if words[1:][: len(n.split())] == n.split()), key=len)
    return name, words[1 + len(name.split()) :]


def routes() -> str:
    """A section for each JSON route: its parameters, its answer, its failures."""
    sections = []
    for operation in OPERATIONS:
        rows = [
            _row(f"`{p.name}`{' (required)' if p.required else ''}", _type(p.schema), p.description)
            for p in operation.parameters
        ]
        sections += [
            f"### GET {template(operation.path)}",
            "",
            operation.summary,
            "",
            *_table("parameter", "type", "meaning"),
            *rows,
            "",
            f"Returns a [{operation.answer}](#{_anchor(operation.answer)}). "
            f"Statuses of failures: {', '.join(map(str, operation.failures))}.",
            "",
        ]
    return "\n".join(sections).strip()


def answers() -> str:
    """A table of fields for each schema of the JSON routes."""
    sections = []
    for name, schema in openapi()["components"]["schemas"].items():
        rows = [
            _row(f"`{field}`", _type(kind), "always" if field in schema["required"] else "if it applies")
            for field, kind in schema["properties"].items()
        ]
        sections += [f"### {name}", "", *_table("field", "type", "present"), *rows, ""]
    return "\n".join(sections).strip()


def _anchor(title: str) -> str:
    return title.lower()


def _type(schema: Mapping[str, Any]) -> str:
    """A JSON schema in words."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{_anchor(name)})"
    if "enum" in schema:
        return " or ".join(f"`{value}`" if value else '`""`' for value in schema["enum"])
    if "anyOf" in schema:
        kinds = [_type(kind) for kind in schema["anyOf"] if kind.get("pattern") != r"^\s*$"]
        return " or ".join(dict.fromkeys(kinds))
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_type(schema['items'])}" if "items" in schema else "list"
    bounds = [str(schema[bound]) for bound in ("minimum", "maximum") if bound in schema]
    return f"{kind}, {' to '.join(bounds)}" if len(bounds) == 2 else str(kind)


def tables() -> str:
    """A section for each contract: what a row is, and its columns."""
    sections = []
    for path in sorted((ROOT / "viberary_pipeline" / "contracts").glob("*.json")):
        contract = json.loads(path.read_text(encoding="utf-8"))
        rows = [
            _row(f"`{c['name']}`", f"`{c['type']}`", "yes" if c["nullable"] else "no", c["meaning"])
            for c in contract["columns"]
        ]
        sections += [
            f"## {contract['table']}",
            "",
            contract["row"],
            "",
            *_table("column", "type", "may be null", "meaning"),
            *rows,
            "",
        ]
    return "\n".join(sections).strip()


def redis_keys() -> str:
    """The table of keys in the docstring of `redis_contract`."""
    lines = re.findall(r"^``(.+?)``\s+(.+)$", inspect.getdoc(redis_contract) or "", re.MULTILINE)
    rows = [_row(f"`{key}`", text.replace("viberary_pipeline.", "")) for key, text in lines]
    return "\n".join([*_table("key", "what it holds"), *rows])


def redis_fields() -> str:
    """The fields of the index, as FT.CREATE is sent them."""
    about = {
        "vector": "the vector of the work's text, little-endian",
        "names": "words of the title and of the authors, for BM25",
        "description": "the first 600 characters, for BM25",
        "genres": "the genres, for BM25",
        "title_keys": "titles without case, accents and punctuation",
        "author_keys": "names of authors, written the same way",
        "volume_keys": "series and number of the volume",
        "identifiers": "ISBN, ASIN, ids of editions",
        "book_id": "the id of the edition that represents the work",
        "language": "BCP 47 primary subtag; `und` if it is not known",
        "genre_tags": "genres, for filters",
        "review_count": "number of reviews; for Open Library, of readers",
        "year": "year of publication; missing if it is not known",
    }
    fields = HnswSettings().index_fields(384)
    rows = [_row(f"`{field.name}`", _kind(field), about[field.name]) for field in fields]
    return "\n".join([*_table("field", "type", "what it holds"), *rows])


def _kind(field: Any) -> str:
    return "VECTOR, HNSW" if field.name == "vector" else str(field.args[0])


def build_record() -> str:
    """The fields of a build's record, from the docstring of `BuildRecord`."""
    text = (inspect.getdoc(BuildRecord) or "").split("Attributes:\n", 1)[1]
    rows = []
    for entry in re.split(r"\n(?=\S)", inspect.cleandoc("x\n" + text).removeprefix("x\n")):
        name, meaning = " ".join(entry.split()).split(": ", 1)
        rows.append(_row(", ".join(f"`{part}`" for part in name.split(", ")), meaning))
    return "\n".join([*_table("field", "meaning"), *rows])


def failures() -> str:
    """The exceptions of the package, with the exit code of each."""
    found = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.ViberaryError)]
    rows = [_row(f"`{k.__name__}`", str(k.exit_code), (inspect.getdoc(k) or "").splitlines()[0]) for k in found]
    return "\n".join([*_table("exception", "exit code", "raised when"), *rows])


def _table(*heads: str) -> list[str]:
    return [_row(*heads), f"|{'---|' * len(heads)}"]


def _row(*cells: str) -> str:
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"


BLOCKS: Mapping[str, Callable[[], str]] = {
    "command_line": command_line,
    "routes": routes,
    "answers": answers,
    "tables": tables,
    "redis_keys": redis_keys,
    "redis_fields": redis_fields,
    "build_record": build_record,
    "failures": failures,
}


def written(page: str) -> str:
    """A page with its made parts as the code has them."""
    return _BLOCK.sub(lambda m: f"<!-- made: {m['name']} -->\n{BLOCKS[m['name']]()}\n<!-- end -->", page)


def pages() -> list[Path]:
    """The pages that have made parts."""
    return [path for path in sorted(DOCS.glob("*.md")) if _BLOCK.search(path.read_text(encoding="utf-8"))]


if __name__ == "__main__":
    for path in pages():
        path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
        print(path)
