"""Every setting of the pipeline: nested groups that are the domain's own objects, read once from the environment.

Group `hnsw` with its field `ef_runtime` is the environment variable `VIBERARY_HNSW_EF_RUNTIME`; a setting without a
group, `home`, is `VIBERARY_HOME`. `python -m viberary_pipeline.settings` prints the reference in docs/settings.md.
Nothing else reads a `VIBERARY_` variable. Of others: `DAGSTER_HOME` (`run.py`), what tells a worker its GPU and its
place in an array job (`embedding/`), where caches lie (here and in `redis_server/openssl.py`), and what libraries read
(`AWS_*`, `HF_*`).
"""

import contextlib
import dataclasses
import difflib
import errno
import logging
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import MISSING, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationError, field_validator
from pydantic.dataclasses import dataclass
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from viberary_pipeline.artifacts import digest
from viberary_pipeline.documents.rules import DocumentRules
from viberary_pipeline.duck import DuckLimits
from viberary_pipeline.embedding.settings import BatchSettings, Ec2Settings, EmbeddingSettings
from viberary_pipeline.errors import SettingsError
from viberary_pipeline.fetch.settings import FetchSettings
from viberary_pipeline.index.gate_rules import GateRules
from viberary_pipeline.notifications import NotifySettings
from viberary_pipeline.origin import make_copy
from viberary_pipeline.redis_contract import HnswSettings
from viberary_pipeline.search.weights import SearchSettings
from viberary_pipeline.sources.licences import SourceRules
from viberary_pipeline.sources.openlibrary.rules import OpenLibraryRules
from viberary_pipeline.storage import is_s3
from viberary_pipeline.words import Words

log = logging.getLogger(__name__)

PREFIX = "VIBERARY_"
_HOST = re.compile(r"(?i)([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]*[a-z0-9])?(:[0-9]{1,5})?")
_PATTERN_LETTERS = set("[]*?")
_LOGIN = re.compile(r"://[^/@]*@")
_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^/]+)*")


@dataclass(frozen=True)
class RedisSettings:
    """The Redis server that holds the index."""

    url: str | None = Field(
        default=None,
        description="The URL of a Redis, 7.4 or newer, with search and `maxmemory-policy noeviction`. Unset: an "
        "embedded server.",
    )
    server: Path | None = Field(
        default=None,
        description="The `redis-server` binary of the embedded server. Unset: an installed one, or else the package's.",
    )
    make_room: bool = Field(
        default=True,
        description="If there is no room for a third index, remove the previous build before a new one is built. Until "
        "the new build is published, there is then nothing to roll back to. If off, such a build is refused.",
    )


@dataclass(frozen=True)
class QuerySettings:
    """The query encoder."""

    encoder: str = Field(
        default="",
        description="Another encoder for queries, whose vectors lie in the space of `VIBERARY_ENCODER` "
        "(`viberary distil` trains one). Unset: `VIBERARY_ENCODER` itself.",
    )
    precision: Literal["auto", "fp32", "int8"] = Field(
        default="auto", description="`fp32`, `int8`, or `auto`: int8 if it is faster and hardly changes the vectors."
    )


@dataclass(frozen=True)
class RejectRules:
    """The ceiling on rejected lines."""

    ceiling: float = Field(
        default=0.001,
        ge=0,
        le=1,
        description="The largest share of a file's lines that may be rejected. Ten lines may always be rejected.",
    )


@dataclass(frozen=True)
class QualitySettings:
    """The checks of the data."""

    bounds: Path | None = Field(
        default=None,
        description="A file with the bounds and severities of the data checks. Unset: "
        "[bounds.toml](../viberary_pipeline/quality/bounds.toml).",
    )


@dataclass(frozen=True)
class EvaluationSettings:
    """The evaluation of each build."""

    items: int = Field(
        default=50,
        ge=1,
        le=100_000,
        description="The number of queries for each kind of known item, and for each set of weak labels.",
    )
    judged: Words = Field(
        default=(),
        description="Your own judged queries, in addition to the standing lists: folders that hold `NAME.queries.tsv` "
        "and `NAME.qrels.txt`, or such files of queries ([how search is judged](judging.md)).",
    )


@dataclass(frozen=True)
class KeepSettings:
    """What is kept of earlier builds."""

    records: int = Field(
        default=1000,
        ge=10,
        description="The number of runs whose records are kept, for `viberary builds` and the page of trends "
        "([what is kept](files.md#what-is-kept-and-for-how-long)).",
    )
    documents: int = Field(
        default=4,
        ge=0,
        description="How many of the last published builds keep their documents through `viberary gc`, so that "
        "`viberary diff` can compare them. Those of the live and the previous build always stay.",
    )


@dataclass(frozen=True)
class WebSettings:
    """The search page."""

    host: str = Field(default="127.0.0.1", description="The address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="The port; 0 takes a free one.")
    workers: int = Field(
        default=1,
        ge=1,
        le=256,
        description="The number of processes that answer. Several processes run under gunicorn and share the port.",
    )
    queue: int = Field(
        default=64,
        ge=1,
        le=10_000,
        description="The number of requests that may wait in each process. Further requests are refused with 503.",
    )
    cache: int = Field(
        default=16,
        ge=0,
        le=100_000,
        description="The megabytes of answers that each process keeps in memory, and as many of pages; 0 keeps none.",
    )
    rate: str = Field(
        default="",
        description="The rate of requests that one client may make, such as `60/minute`. Further requests are refused "
        "with 429. Unset: any rate.",
    )
    rate_storage: str = Field(
        default="memory://",
        description="Where requests are counted: in each process (`memory://`), or in a Redis for all (`redis://host:port`).",
    )
    proxies: int = Field(
        default=0,
        ge=0,
        le=10,
        description="The number of your proxies in front of the page. With N proxies, the client's address is the N-th "
        "entry of `X-Forwarded-For`, counted from the right.",
    )
    log_days: int = Field(
        default=90, ge=0, le=36_500, description="The days that the query log is kept; 0 keeps no query log."
    )
    log_megabytes: int = Field(
        default=512, ge=1, description="The size of the query log beyond which its oldest files are removed."
    )
    popular_days: int = Field(
        default=3,
        ge=1,
        description="The number of different days on which that must happen.",
    )
    popular_searches: int = Field(
        default=5,
        ge=1,
        description="The number of searches that a query needs before `/popular` shows it, and of clicks that a query "
        "and a "
        "work need before `viberary tune` learns from them.",
    )
    cover_hosts: Words = Field(
        default=(),
        description="Hosts whose pictures of covers the page shows, such as `images.gr-assets.com`; readers' browsers "
        "fetch the pictures there. Empty: the page draws covers from title, author and genre.",
    )

    @field_validator("cover_hosts")
    @classmethod
    def _hosts_are_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            if not _HOST.fullmatch(host):  # it becomes a part of the page's Content-Security-Policy
                raise ValueError(f"{host!r} is not the name of a host, such as covers.openlibrary.org")
        return tuple(host.lower() for host in value)

    @field_validator("rate")
    @classmethod
    def _rate_is_one(cls, value: str) -> str:
        if value:
            with contextlib.suppress(ImportError):  # a machine that only builds has no `limits`
                from limits import parse_many

                if not all(limit.amount for limit in parse_many(value)):
                    raise ValueError("a rate of 0 would refuse everybody")
        return value

    @field_validator("rate_storage")
    @classmethod
    def _storage_is_known(cls, value: str) -> str:
        with contextlib.suppress(ImportError):
            from limits.storage import SCHEMES

            if (scheme := value.partition("://")[0]) not in SCHEMES or scheme.startswith("async"):
                raise ValueError(
                    f"requests cannot be counted in {scheme!r}; expected memory://, redis://host:port, ..."
                )
        return value


@dataclass(frozen=True)
class ReportSettings:
    """The server of the reports."""

    url: str = Field(
        default="http://127.0.0.1:8001",
        pattern=r"^https?://",
        description="The address at which `VIBERARY_HOME/quality` is served. Links to reports, in the Dagster UI and "
        "in messages, begin with it.",
    )


@dataclass(frozen=True)
class ScheduleSettings:
    """The schedule and the sensor that start builds.

    Both are switched on in the Dagster UI.
    """

    cron: str = Field(default="0 3 * * 0", description="When the schedule `weekly_rebuild` builds, in cron's notation.")
    timezone: str = Field(default="UTC", description="The time zone of the schedule, such as `Europe/Berlin`.")
    files_seconds: int = Field(
        default=300,
        ge=5,
        description="The seconds after which the sensor `new_raw_files` looks at `VIBERARY_RAW` again.",
    )

    @field_validator("timezone")
    @classmethod
    def _timezone_is_one(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"there is no time zone {value!r}") from error
        return value


@dataclass(frozen=True)
class RunSettings:
    """The runs that Dagster keeps."""

    kept: int = Field(
        default=50,
        ge=1,
        description="The number of ended runs that Dagster keeps, with their events and logs. Older runs are deleted.",
    )


class Settings(BaseSettings):
    """The settings of one run."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="_",
        env_nested_max_split=1,
        env_ignore_empty=True,  # VIBERARY_X= (empty) means unset, as in most programs
        extra="forbid",
        frozen=True,
    )

    home: Path | str = Field(
        default=Path("var"),
        description="The folder that holds all state, or `s3://bucket/prefix` ([a home in S3](home-in-s3.md)).",
    )
    workdir: Path | None = Field(
        default=None,
        description="The folder for the local copy of a home in S3. Unset: a folder of its own in the user's cache.",
    )
    raw: str | None = Field(
        default=None,
        description="The input: a folder, an `s3://bucket/prefix`, or one books file in either. To build from two "
        "sources, name a place of UCSD's files and [one of Open Library's](openlibrary.md), with a comma between them. "
        "Unset: the bundled sample.",
    )
    encoder: str = Field(
        default="viberary-minilm-v1",
        description="The encoder: a [name](encoders.md) that the package or this home has, or the path or `s3://` "
        "address of a sentence-transformers folder.",
    )
    executor: Literal["local", "ec2", "batch"] = Field(
        default="local",
        description="Where documents are embedded and encoders trained: `local` (on this machine), `ec2` or AWS "
        "`batch` "
        "([operations](operations.md#a-gpu-in-aws)).",
    )
    recipe: str = Field(
        default="title-shelves",
        description="How the text of a work is put together: `title-shelves`, `title-first` (without readers' "
        "shelves), or "
        "`seed` (as in the original system).",
    )
    accept_drift: bool = Field(
        default=False, description="Publish even if the data have shrunk or changed much since the published build."
    )

    redis: RedisSettings = RedisSettings()
    reject: RejectRules = RejectRules()
    duckdb: DuckLimits = Field(default_factory=DuckLimits)
    sources: SourceRules = SourceRules()
    openlibrary: OpenLibraryRules = OpenLibraryRules()
    documents: DocumentRules = DocumentRules()
    quality: QualitySettings = QualitySettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    ec2: Ec2Settings = Ec2Settings()
    batch: BatchSettings = BatchSettings()
    query: QuerySettings = QuerySettings()
    hnsw: HnswSettings = HnswSettings()
    gate: GateRules = GateRules()
    evaluation: EvaluationSettings = EvaluationSettings()
    keep: KeepSettings = KeepSettings()
    search: SearchSettings = SearchSettings()
    web: WebSettings = WebSettings()
    fetch: FetchSettings = FetchSettings()
    report: ReportSettings = ReportSettings()
    notify: NotifySettings = NotifySettings()
    schedule: ScheduleSettings = ScheduleSettings()
    runs: RunSettings = RunSettings()

    @field_validator("home", mode="before")
    @classmethod
    def _home_is_a_folder(cls, value: Any) -> Any:
        if _PATTERN_LETTERS & set(str(value)):
            raise ValueError("expected a path without [ ] * ? (DuckDB takes them for patterns)")
        if is_s3(value):
            if not _BUCKET.fullmatch(uri := str(value).rstrip("/")):
                raise ValueError("expected s3://bucket or s3://bucket/prefix")
            return uri
        if "://" in str(value):
            raise ValueError("expected a local folder, or s3://bucket/prefix")
        return Path(value)

    @field_validator("workdir")
    @classmethod
    def _workdir_is_a_folder(cls, value: Path | None) -> Path | None:
        if value is not None and _PATTERN_LETTERS & set(str(value)):
            raise ValueError("expected a path without [ ] * ? (DuckDB takes them for patterns)")
        return value

    @property
    def home_dir(self) -> Path:
        """The absolute VIBERARY_HOME, as it is: readers need neither its existence nor a right to write. Of a home in
        S3, the local copy; nothing is fetched yet."""
        if isinstance(self.home, Path):
            return self.home.expanduser().absolute()
        folder = (self.workdir or _copy_folder(self.home)).expanduser().absolute()
        make_copy(self.home, folder)
        return folder

    @property
    def home_in_s3(self) -> bool:
        """Whether the home is in S3, and `home_dir` a copy of it."""
        return is_s3(self.home)

    @property
    def vectors_uri(self) -> str | None:
        """Where in S3 the embedding store lies: VIBERARY_EMBEDDING_VECTORS, or within a home in S3; None: nowhere."""
        return self.embedding.vectors or self._in_home("embeddings")

    @property
    def jobs_uri(self) -> str | None:
        """Where in S3 the jobs of other machines lie: VIBERARY_EMBEDDING_JOBS, or within a home in S3."""
        return self.embedding.jobs or self._in_home("jobs")

    def _in_home(self, name: str) -> str | None:
        return f"{self.home}/{name}" if self.home_in_s3 else None

    @property
    def source(self) -> Literal["sample", "given"]:
        """Whether the raw files are the bundled sample's: such a build is compared with its like only."""
        return "sample" if self.raw is None else "given"

    def writable_home(self, *, with_room: bool = True) -> Path:
        """The absolute VIBERARY_HOME, created for this user alone if need be.

        Args:
            with_room: Refuse one on a full disk, too.

        Raises:
            SettingsError: it cannot be written.
        """
        home = self.home_dir
        try:
            home.parent.mkdir(parents=True, exist_ok=True)
            home.mkdir(mode=0o700, exist_ok=True)
            # Writing is tried, not asked for: permissions say nothing of a read-only or full file system.
            with tempfile.TemporaryFile(dir=home) as file:
                file.write(b"\0" * 4096)
                file.flush()
        except OSError as error:
            if not with_room and error.errno in (errno.ENOSPC, errno.EDQUOT):
                return home
            raise SettingsError(
                "VIBERARY_HOME cannot be used",
                expected=f"a folder that this user may write, with free space, at {home}",
                found=f"{type(error).__name__}: {error.strerror or error}",
                todo="set VIBERARY_HOME to a writable folder, free some space on its disk, or correct the permissions",
            ) from error
        return home


def load_settings(**overrides: Any) -> Settings:
    """Settings from the environment, with `overrides` on top.

    Args:
        overrides: By the variable's name without its prefix, in lower case (`raw`, `web_port`); None means not given.

    Raises:
        SettingsError: a value has the wrong form; the message names the variable.
        TypeError: there is no setting of that name.
    """
    given: dict[str, Any] = {}
    for name, value in overrides.items():
        group, _, field = name.partition("_")
        if value is None:
            continue
        if f"{PREFIX}{name}".upper() not in _known():
            raise TypeError(f"there is no setting {name}")
        if name in Settings.model_fields:
            given[name] = value
        else:
            given.setdefault(group, {})[field] = value
    _warn_of_unknown()
    try:
        return Settings(**given)
    except ValidationError as error:
        problems = [
            f"{_variable(e['loc'])}={_named(e)}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()
        ]
        raise SettingsError(
            "A setting cannot be used",
            expected="values as docs/settings.md lists them",
            found="; ".join(problems),
            todo="correct or unset the variables named above",
        ) from error


def _copy_folder(uri: str) -> Path:
    """Where the copy of a home in S3 lies, unless a setting says: one folder for each address at each endpoint."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    bucket = uri.removeprefix("s3://").partition("/")[0]
    return Path(cache) / "viberary" / "homes" / f"{bucket}-{digest([uri, endpoint])}"


class Setting(NamedTuple):
    """One line of the reference."""

    variable: str
    default: str
    description: str
    group: str
    field: str

    def value_in(self, settings: "Settings") -> str:
        """What it is set to, as the reference shows defaults."""
        return _shown(getattr(getattr(settings, self.group) if self.group else settings, self.field))


def reference() -> Iterator[tuple[str, list[Setting]]]:
    """Every setting, by group: the group's own description (of the settings without a group ''), and its settings."""
    flat, groups = [], []
    for name, info in Settings.model_fields.items():
        if dataclasses.is_dataclass(info.annotation):
            about = (info.annotation.__doc__ or "").splitlines()[0]
            groups.append((about, [_setting(_info(f), name, f.name) for f in fields(info.annotation)]))
        else:
            flat.append(_setting(info, "", name))
    yield "", flat
    yield from groups


def changed_settings(settings: Settings) -> dict[str, str]:
    """{variable: value} of the settings that differ from the defaults, for people: what may be a secret is `***`."""
    changed = {}
    for setting in (setting for _, group in reference() for setting in group):
        value = setting.value_in(settings)
        if value not in ("", setting.default) and setting.default != "all cores":
            secret = setting.variable in (*_SECRET, "VIBERARY_REDIS_URL") or _LOGIN.search(value)
            changed[setting.variable] = "***" if secret else value.strip("`")
    return changed


def reference_markdown() -> str:
    """docs/settings.md."""
    lines = [
        "# Settings",
        "",
        "Settings are environment variables. Options of the command line override them. An empty variable counts as "
        "unset.",
        "`make settings` writes this page.",
    ]
    for about, settings in reference():
        lines += ["", *([f"## {about.rstrip('.')}", ""] if about else [])]
        lines += ["| variable | default | meaning |", "|---|---|---|"]
        lines += [f"| `{s.variable}` | {s.default} | {s.description} |" for s in settings]
    return "\n".join(lines) + "\n"


def _info(field: dataclasses.Field[Any]) -> FieldInfo:
    info = field.default
    return info if isinstance(info, FieldInfo) else FieldInfo(default=None if info is MISSING else info)


def _setting(info: FieldInfo, group: str, field: str) -> Setting:
    default = "all cores" if info.default_factory is not None else _shown(info.default)
    return Setting(_variable((group, field) if group else (field,)), default, info.description or "", group, field)


def _shown(value: Any) -> str:
    if value in (None, (), ""):
        return ""
    return f"`{','.join(value) if isinstance(value, tuple) else value}`"


_SECRET = ("VIBERARY_NOTIFY_WEBHOOK", "VIBERARY_NOTIFY_SMTP")
"""Their values may hold a password, and are shown nowhere."""


def _named(problem: Any) -> str:
    return "(not shown)" if _variable(problem["loc"]) in _SECRET else repr(problem["input"])


def _variable(location: tuple[int | str, ...]) -> str:
    return PREFIX + "_".join(str(part) for part in location[:2]).upper()


@cache
def _known() -> frozenset[str]:
    """The names of all variables."""
    return frozenset(setting.variable for _, settings in reference() for setting in settings)


def _warn_of_unknown() -> None:
    """A variable that no setting reads is most likely misspelt; nothing else would say so."""
    known = _known()
    for name in sorted(os.environ.keys() - known):
        if name.startswith(PREFIX):
            renamed = [variable for variable in known if variable.endswith(name.removeprefix(PREFIX))]
            near = renamed or difflib.get_close_matches(name, known, n=1)
            _warn(f"{name} is not a setting" + (f"; did you mean {near[0]}?" if near else ""))


@cache
def _warn(line: str) -> None:
    """Once in a process: a build reads the settings for itself and for Dagster's definitions."""
    log.warning("%s", line)


if __name__ == "__main__":
    print(reference_markdown(), end="")
