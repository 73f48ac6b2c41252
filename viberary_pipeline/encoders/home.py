"""The encoders of a home: what `viberary tune` and `viberary distil` register, used by name as those of the package.

::

    {VIBERARY_HOME}/encoders/{name}/encoder.toml           the fields of `spec.ModelSpec`, but for its name
    {VIBERARY_HOME}/encoders/{name}/adapter.safetensors    the difference to its base (`encoders.adapter`); or
    {VIBERARY_HOME}/encoders/{name}/model/                 a whole sentence-transformers folder
    {VIBERARY_HOME}/encoders/{name}/card.md                what it was trained on, and what it is good for
    {VIBERARY_HOME}/encoders/{name}/verdict.json           of the gate of its training: `{"verdict": "accepted", ...}`

An encoder whose verdict is `refused` stays there and is refused by name; the path of its folder still names it.
"""

import json
import re
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from viberary_pipeline.encoders.layout import model_files
from viberary_pipeline.encoders.spec import REGISTRY, ModelSpec
from viberary_pipeline.errors import EncoderError
from viberary_pipeline.storage import is_s3, replacing_folder
from viberary_pipeline.typed_json import parse_json

ENCODER, ADAPTER, MODEL, CARD, VERDICT = "encoder.toml", "adapter.safetensors", "model", "card.md", "verdict.json"
ACCEPTED, REFUSED = "accepted", "refused"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def encoders_of(home: Path) -> dict[str, Path]:
    """The folder of each encoder that is registered in a home, by name."""
    return {path.parent.name: path.parent for path in sorted((home / "encoders").glob(f"[!.]*/{ENCODER}"))}


def registered_spec(folder: Path, *, name: str = "") -> ModelSpec:
    """The spec of the encoder registered in `folder`, by another name than the folder's where one is given.

    Raises:
        EncoderError: its `encoder.toml` cannot be read.
    """
    path = folder / ENCODER
    try:
        entry = tomllib.loads(path.read_text(encoding="utf-8"))
        spec = parse_json(ModelSpec, json.dumps({**entry, "name": name or folder.name}))
    except (OSError, ValueError) as error:
        raise EncoderError(
            f"The encoder in {folder} cannot be used",
            expected=f"a {ENCODER} with {', '.join(field.name for field in fields(ModelSpec)[1:])}",
            found=f"{type(error).__name__}: {error}",
            todo="train it again (`viberary tune --out`), or correct the file",
        ) from error
    if not spec.adapter:
        return replace(spec, source=f"folder:{folder / MODEL}")
    beside = folder.parent / spec.base
    return replace(
        spec,
        adapter=str(folder / ADAPTER),
        base=str(beside) if spec.base not in REGISTRY and (beside / ENCODER).is_file() else spec.base,
    )


def require_accepted(folder: Path) -> None:
    """Raise `EncoderError` for a registered encoder that the gate of its training refused."""
    path = folder / VERDICT
    if not path.exists():
        return
    try:
        verdict = parse_json(dict[str, Any], path.read_bytes())
    except (OSError, ValueError) as error:
        verdict = {"verdict": REFUSED, "reason": f"{VERDICT} cannot be read ({error})"}
    if verdict.get("verdict") != ACCEPTED:
        raise EncoderError(
            f"The encoder {folder.name} was refused by the gate of its training",
            expected=f"the verdict {ACCEPTED} in {path}",
            found=str(verdict.get("reason") or f"verdict {verdict.get('verdict')}"),
            todo=f"use another encoder; to use it all the same, give its folder: {folder}",
        )


def check_name(name: str, base: str) -> None:
    """Raise `EncoderError` where an encoder of a home that is made of `base` cannot have this name."""
    if name in REGISTRY or name == base or not _NAME.fullmatch(name):
        raise EncoderError(
            f"An encoder of this home cannot be called {name!r}",
            expected="letters, digits, dots, hyphens and underscores; not its base's name, and none of the package's "
            f"({', '.join(sorted(REGISTRY))})",
            found=repr(name),
            todo="choose another name",
        )


def register(
    home: Path,
    name: str,
    spec: ModelSpec,
    *,
    card: str,
    verdict: Mapping[str, Any],
    adapter: Path | None = None,
    model: Path | None = None,
) -> Path:
    """Register an encoder in a home, whole or not at all, over one of that name. Returns its folder.

    Args:
        home: VIBERARY_HOME.
        name: Letters, digits, dots, hyphens and underscores.
        spec: What it is; `base` where there is an adapter. Its name, source and adapter are not read.
        card: Markdown: its data, licence, recipe, figures and limits.
        verdict: Of the gate; `verdict` is `accepted` or `refused`, `reason` says why in a line.
        adapter: The adapter's file, or
        model: A sentence-transformers folder.

    Raises:
        EncoderError: the name cannot be used or is one of the package's, or the files do not make the encoder.
        OSError: the home cannot be written.
    """
    from viberary_pipeline.encoders.files import model_folder

    check_name(name, spec.base)
    if (
        (adapter is None) == (model is None)
        or (adapter is not None and not spec.base)
        or verdict.get("verdict") not in (ACCEPTED, REFUSED)
    ):
        raise ValueError("expected an adapter with its base or a model, and a verdict that is accepted or refused")
    base = spec.base if adapter is not None else ""
    if base and not (base in REGISTRY or is_s3(base) or base in encoders_of(home)):
        base = str(Path(base).expanduser().absolute())
    stated = replace(spec, source="" if base else MODEL, adapter=ADAPTER if base else "", base=base).to_json()
    folder = home.absolute() / "encoders" / name
    with replacing_folder(folder) as scratch:
        lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in stated.items() if key != "name"]
        (scratch / ENCODER).write_text("\n".join(lines) + "\n", encoding="utf-8")
        (scratch / CARD).write_text(card, encoding="utf-8")
        (scratch / VERDICT).write_text(json.dumps(verdict, indent=1, ensure_ascii=False), encoding="utf-8")
        if adapter is not None:
            shutil.copyfile(adapter, scratch / ADAPTER)
        for path in model_files(model) if model is not None else ():
            target = scratch / MODEL / path.relative_to(model)  # type: ignore[arg-type]
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        model_folder(registered_spec(scratch, name=name), home)  # what cannot be used is not registered
    return folder
