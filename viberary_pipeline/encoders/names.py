"""What an encoder's name means: one of the package, one of this home, a folder, or an address in S3."""

from pathlib import Path

from viberary_pipeline.encoders.home import ENCODER, encoders_of, registered_spec, require_accepted
from viberary_pipeline.encoders.layout import read_layout
from viberary_pipeline.encoders.s3_model import s3_folder
from viberary_pipeline.encoders.spec import REGISTRY, ModelSpec
from viberary_pipeline.errors import EncoderError
from viberary_pipeline.storage import is_s3


def resolve_spec(name: str, home: Path | None = None) -> ModelSpec:
    """The encoder of that name in the package, or in `home`; or the one in the folder of that path or S3 address.

    Raises:
        EncoderError: none of these, refused by the gate of its training, or the folder holds no model that can be used.
    """
    if name in REGISTRY:
        return REGISTRY[name]
    if is_s3(name):
        return spec_of_folder(s3_folder(name), source=name)
    own = encoders_of(home) if home is not None else {}
    if name in own:
        require_accepted(own[name])
        return registered_spec(own[name].absolute())
    folder = Path(name).expanduser()
    if not name or not folder.is_dir():
        homes = f"; one of this home: {', '.join(own)}" if own else ""
        raise EncoderError(
            "The encoder is unknown",
            expected=f"one of {', '.join(sorted(REGISTRY))}{homes}; or the path or s3:// address of a "
            "sentence-transformers folder",
            found=repr(name),
            todo="set VIBERARY_ENCODER or --encoder to one of these",
        )
    folder = folder.absolute()
    if (folder / ENCODER).is_file():
        return registered_spec(folder)
    return spec_of_folder(folder, source=f"folder:{folder}")


def spec_of_folder(folder: Path, *, source: str) -> ModelSpec:
    """The spec that the files in `folder` state, of a model called as the last part of `source`.

    Raises:
        EncoderError: the folder holds no model that can be used.
    """
    layout = read_layout(folder)
    shared = ("dimensions", "pooling", "normalize", "max_tokens", "query_prefix", "document_prefix")
    values = {field: getattr(layout, field) for field in shared}
    return ModelSpec(name=source.rstrip("/").rpartition("/")[2], source=source, **values)
