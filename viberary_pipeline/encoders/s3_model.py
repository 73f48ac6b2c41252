"""Encoders that lie in S3: fetched once per version into a cache beside the Hugging Face hub's."""

from pathlib import Path

from viberary_pipeline.artifacts import digest
from viberary_pipeline.encoders.layout import MODULES
from viberary_pipeline.errors import EncoderError
from viberary_pipeline.storage import Bucket, replacing_folder

# What a sentence-transformers folder needs: never pickles, never the other runtimes' copies.
_SUFFIXES = (".safetensors", ".json", ".txt")
_LEFT_OUT = ("onnx/", "openvino/")


def s3_folder(uri: str) -> Path:
    """A local folder with the model at s3://bucket/prefix, as it is there now.

    The folder's name is a digest of the objects' names, sizes and ETags: a changed model is fetched anew.

    Raises:
        EncoderError: there is no model there.
        StorageError: S3 cannot be reached, or refuses.
    """
    from huggingface_hub.constants import HF_HOME

    bucket = Bucket(uri)
    versions = {
        name: version
        for name, version in bucket.versions().items()
        if name.endswith(_SUFFIXES) and not name.startswith(_LEFT_OUT)
    }
    if MODULES not in versions:
        raise EncoderError(
            "The encoder in S3 is not there",
            expected=f"{uri}/{MODULES} and the other files of a sentence-transformers folder",
            found=", ".join(sorted(versions)[:10]) or "no files",
            todo="copy the model's folder there (aws s3 cp --recursive), or correct the address",
        )
    folder = Path(HF_HOME) / "viberary-s3" / digest([uri, versions]) / uri.rstrip("/").rpartition("/")[2]
    if not folder.is_dir():
        with replacing_folder(folder.parent, keep=True) as scratch:
            for name in versions:
                bucket.local(name, scratch / folder.name)
    return folder
