"""Every setting of the pipeline, typed, with its `VIBERARY_*` name and its default.

A setting is read from the environment once, here; everything below takes a `Settings` (or the values it
needs). Nothing else in the package looks at the environment, apart from what libraries read themselves
(`AWS_*`, `HF_*`, `DAGSTER_HOME`).
"""

import re
import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from viberary_pipeline.embedding.options import BatchSettings, Ec2Settings
from viberary_pipeline.errors import SettingsError
from viberary_pipeline.machine import usable_cores

VectorType = Literal["FLOAT32", "FLOAT16"]


def _split(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


# "en, fr" in the environment; without NoDecode pydantic-settings would expect JSON.
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


# What DuckDB takes as an amount of memory; anything else it refuses in the middle of a run.
_MEMORY = re.compile(r"\d+(\.\d+)?\s*([KMGT]i?)?B", re.IGNORECASE)


class Settings(BaseSettings):
    """The settings of one run. Field `x` is the environment variable `VIBERARY_X`."""

    # VIBERARY_X= (empty) means unset, as in most programs.
    model_config = SettingsConfigDict(env_prefix="VIBERARY_", env_ignore_empty=True, extra="forbid", frozen=True)

    home: Path = Field(Path("var"), description="Folder that holds all state.")
    raw: str | None = Field(
        None, description="Folder, s3://bucket/prefix or one books file; unset: the bundled sample."
    )

    redis_url: str | None = Field(None, description="A Redis with search; unset: an embedded server is started.")
    redis_server: Path | None = Field(None, description="The redis-server binary for the embedded server.")

    encoder: str = Field("all-MiniLM-L6-v2", description="A registered encoder or a sentence-transformers folder.")
    query_precision: Literal["auto", "fp32", "int8"] = Field(
        "auto", description="Of the exported query encoder; auto: int8 where its gate allows it."
    )
    device: Literal["cpu", "cuda"] = Field("cpu", description="Where documents are embedded.")
    executor: Literal["local", "ec2", "batch"] = Field("local", description="Where the embedding worker runs.")
    dtype: Literal["auto", "float32", "float16", "bfloat16", "int8"] = Field(
        "auto", description="What the encoder computes in; int8 (CPU alone) is twice as fast and must pass its gate."
    )
    stored_vectors: Literal["float32", "float16"] = Field("float32", description="How the store keeps vectors.")
    vectors: str | None = Field(None, description="s3://bucket/prefix of a store that machines share; unset: the home.")
    shard_rows: int = Field(256, ge=1, le=1_000_000, description="Texts per shard of an embedding job.")
    deadline_minutes: int = Field(1440, ge=1, description="Embedding that is not done by then fails, machines end.")
    stall_minutes: int = Field(30, ge=1, description="Embedding that does not move for so long fails.")

    jobs: str | None = Field(None, description="s3://bucket/prefix for the jobs of ec2 and batch.")
    ec2_instance_types: Words = Field(
        ("p3.2xlarge", "g6e.xlarge", "g6.xlarge", "g5.xlarge", "g4dn.xlarge"), description="In order of preference."
    )
    ec2_markets: Words = Field(("spot", "on-demand"), description="In order of preference.")
    ec2_subnets: Words = Field((), description="One per zone, in order; unset: the default VPC's zones in turn.")
    ec2_security_groups: Words = Field((), description="Unset: the VPC's default one.")
    ec2_ami: str = Field("", description="Unset: Amazon's newest deep-learning base image.")
    ec2_instance_profile: str = Field("", description="The profile with the worker's rights.")
    ec2_image: str = Field("", description="The container image of Dockerfile.gpu.")
    ec2_wheel: str = Field("", description="s3:// address of the project's wheel, instead of an image.")
    ec2_max_price: float = Field(5.0, gt=0, description="The most that a machine may cost, USD per hour.")
    ec2_max_machines: int = Field(1, ge=1, description="The most machines of ours at once.")
    batch_queue: str = Field("", description="The job queue of AWS Batch.")
    batch_definition: str = Field("", description="The job definition of AWS Batch.")
    batch_shards_per_child: int = Field(4, ge=1, description="Shards that a child of the array computes.")

    recipe: str = Field("title-first", description="How the text of a work is put together.")
    reviews_per_work: int = Field(3, ge=0, le=20, description="Reviews that may enter the text of a work.")
    reader_language: str = Field("en", description="The language whose editions and reviews come first (BCP 47).")
    languages: Words = Field((), description="Languages of works that are kept (en,fr); empty: all.")
    min_ratings: int = Field(0, ge=0, description="Ratings, over all editions, below which a work is left out.")
    keep_thin: bool = Field(True, description="Whether works with neither description nor review are kept.")

    duckdb_memory_limit: str = Field("4GB", description="DuckDB's memory limit; it spills to disk beyond.")
    duckdb_threads: int = Field(default_factory=usable_cores, ge=1)
    reject_ceiling: float = Field(
        0.001, ge=0, le=1, description="Largest share of a file's lines that may be rejected before the run fails."
    )

    bounds: Path | None = Field(None, description="The bounds of the data checks; unset: quality/bounds.toml.")
    accept_drift: bool = Field(False, description="Publish even though the data fell behind the published build's.")

    vector_type: VectorType = Field("FLOAT32", description="How the index stores vectors.")
    hnsw_m: int = Field(16, ge=2, le=512, description="Links per node of the HNSW graph.")
    hnsw_ef_construction: int = Field(200, ge=8, le=4096, description="Candidates looked at on insertion.")
    hnsw_ef_runtime: int | None = Field(
        None, ge=10, le=6400, description="Candidates looked at per query; unset: as many as the index needs."
    )
    gate_recall: float = Field(0.95, ge=0, le=1, description="Least recall@10 against exact search.")
    gate_queries: int = Field(300, ge=1, le=100_000, description="Queries of the gates of recall and latency.")
    gate_p95_ms: float = Field(100.0, gt=0, description="Most milliseconds of 95 of 100 KNN queries.")
    gate_loss: float = Field(
        0.1, ge=0, le=1, description="Largest share of the live build's works by which a build may fall short."
    )
    canaries: Path | None = Field(None, description="TOML file of queries and titles that they must find.")
    gate_evaluation: float = Field(0.03, ge=0, le=1, description="nDCG@10 that a build may lose against the live one.")
    evaluation_items: int = Field(50, ge=1, le=100_000, description="Queries per kind of known item and weak set.")

    lexical_weight: float = Field(0.06, ge=0, le=1, description="What BM25 weighs beside the cosine; 0: nothing.")
    find_names: bool = Field(True, description="Whether works whose title or author is typed come first.")
    candidates: int = Field(50, ge=10, le=1000, description="Works nearest by vector that BM25 orders anew.")

    host: str = Field("127.0.0.1", description="Address of the search page.")
    port: int = Field(8000, ge=0, le=65535, description="Port of the search page.")

    @field_validator("home", mode="before")
    @classmethod
    def _home_is_a_folder(cls, value: Any) -> Any:
        if "://" in str(value):
            raise ValueError("expected a local folder (state in object storage is not supported by this version)")
        if set(str(value)) & set("[]*?"):
            raise ValueError("expected a path without [ ] * ? (DuckDB takes them for patterns)")
        return value

    @field_validator("jobs", "vectors", "ec2_wheel")
    @classmethod
    def _in_s3(cls, value: str | None) -> str | None:
        if value and not value.startswith("s3://"):
            raise ValueError("expected s3://bucket/prefix")
        return value

    @field_validator("ec2_markets")
    @classmethod
    def _markets(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or set(value) - {"spot", "on-demand"}:
            raise ValueError("expected spot, on-demand, or both in the order of preference")
        return value

    @field_validator("duckdb_memory_limit")
    @classmethod
    def _memory_limit_is_an_amount(cls, value: str) -> str:
        if not _MEMORY.fullmatch(value.strip()):
            raise ValueError("expected a number and a unit, such as 512MB, 4GB or 1.5GiB")
        return value.strip()

    @property
    def ec2(self) -> Ec2Settings:
        """How machines of EC2 are asked for."""
        names = [
            *("instance_types", "markets", "subnets", "security_groups", "ami", "instance_profile"),
            *("image", "wheel", "max_price", "max_machines"),
        ]
        values = {name: getattr(self, f"ec2_{name}") for name in names}
        return Ec2Settings(**values, deadline_minutes=self.deadline_minutes)

    @property
    def batch(self) -> BatchSettings:
        """The queue of AWS Batch, and how a job is cut."""
        values = {name: getattr(self, f"batch_{name}") for name in ("queue", "definition", "shards_per_child")}
        return BatchSettings(**values, deadline_minutes=self.deadline_minutes)

    @property
    def home_dir(self) -> Path:
        """The absolute VIBERARY_HOME, as it is: readers need neither its existence nor a right to write."""
        return self.home.expanduser().absolute()

    def writable_home(self) -> Path:
        """The absolute VIBERARY_HOME, created if need be. Raises `SettingsError` if it cannot be written."""
        home = self.home_dir
        try:
            home.mkdir(parents=True, exist_ok=True)
            # Writing is tried, not asked for: permissions say nothing of a read-only or full file system.
            with tempfile.TemporaryFile(dir=home):
                pass
        except OSError as error:
            raise SettingsError(
                "VIBERARY_HOME cannot be used",
                expected=f"a folder that this user may write, at {home}",
                found=f"{type(error).__name__}: {error.strerror or error}",
                todo="set VIBERARY_HOME to a writable folder, or mend the permissions",
            ) from error
        return home


def load_settings(**overrides: Any) -> Settings:
    """Settings from the environment, with `overrides` (None = not given) on top.

    Raises:
        SettingsError: a value has the wrong form; the message names the variable.
    """
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        problems = [f"VIBERARY_{str(e['loc'][0]).upper()}={e['input']!r}: {e['msg']}" for e in error.errors()]
        raise SettingsError(
            "A setting cannot be used",
            expected="values as listed in README.md, section Settings",
            found="; ".join(problems),
            todo="correct or unset the variables named above",
        ) from error
