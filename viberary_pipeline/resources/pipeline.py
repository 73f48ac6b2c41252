"""The pipeline: the settings, read once, and what they open. Every stage gets this one resource."""

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import redis

from viberary_pipeline.artifacts import Artifact, ArtifactStore
from viberary_pipeline.documents.recipes import Recipe, recipe_named
from viberary_pipeline.documents.rules import DocumentRules
from viberary_pipeline.embedding.executors.base import Executor, Limits
from viberary_pipeline.embedding.executors.choice import executor_for, jobs_place
from viberary_pipeline.embedding.jobs import JobOptions
from viberary_pipeline.embedding.settings import Device
from viberary_pipeline.encoders.files import ResolvedEncoder, resolve
from viberary_pipeline.encoders.space import query_encoder_for
from viberary_pipeline.evaluation.queries import QuerySet, judged_files, judged_set, trec_set
from viberary_pipeline.index.canaries import Canary, load_canaries
from viberary_pipeline.quality.baseline import Source
from viberary_pipeline.quality.bounds import BOUNDS
from viberary_pipeline.redis_server import connect
from viberary_pipeline.settings import Settings, changed_settings
from viberary_pipeline.storage import Place, open_place
from viberary_pipeline.vectors.store import EmbeddingStore

if TYPE_CHECKING:
    from viberary_pipeline.sample import BundledSample


class Pipeline:
    """The settings of the runs of one process, and what they open, each once.

    Raises:
        SettingsError: a language or a recipe that is none.
        EvaluationError: a set of VIBERARY_EVALUATION_JUDGED that cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.home: Path = settings.writable_home()
        self.store = ArtifactStore(self.home)
        self.recipe: Recipe = recipe_named(settings.recipe)
        # Read at once: a wrong path is told before an hour of embedding, not after.
        self.given_judgements = [trec_set(*pair) for pair in judged_files(map(Path, settings.evaluation.judged))]
        self.sample = _bundled_sample(self.home / "sample") if settings.source == "sample" else None
        rules = settings.documents.resolved()
        dirt = self.sample.dirt if self.sample is not None else ()
        self.rules: DocumentRules = replace(rules, left_out=(*rules.left_out, *dirt))

    @cached_property
    def raw_location(self) -> str:
        """Where the raw files lie. Where nothing is set, that is the bundled sample, which is written there first."""
        return self.settings.raw if self.sample is None else self.sample.write()  # type: ignore[return-value]

    def source_of(self, table: Artifact) -> Source:
        """Which builds one of a table, or of documents, is compared with: those of its own source."""
        of: Source = table.facts.get("source", "ucsd")
        return of if of in ("openlibrary", "both") else self.settings.source

    @property
    def bounds(self) -> Path:
        """The bounds of the data checks."""
        return self.settings.quality.bounds or BOUNDS

    @property
    def canaries(self) -> tuple[Canary, ...]:
        """Queries whose answer is known. Raises `SettingsError` if their file cannot be read."""
        path = self.settings.gate.canaries
        if path is None and self.sample is not None and not self.settings.documents.filters:
            path = self.sample.canaries
        return load_canaries(path.expanduser().absolute()) if path is not None else ()

    @property
    def judged(self) -> list[QuerySet]:
        """Sets of judgements, for the documents that they judge."""
        from viberary_pipeline.sample import GOLDEN

        return [judged_set(GOLDEN)]

    @cached_property
    def encoder(self) -> ResolvedEncoder:
        """The model's files and fingerprint, with the recipe's token limit. Raises `EncoderError`."""
        return resolve(self.settings.encoder, self.home, max_tokens=self.recipe.max_tokens)

    @cached_property
    def query_encoder(self) -> ResolvedEncoder:
        """What readers' queries go through: `encoder`, or another in its space. Raises `EncoderError`."""
        name = self.settings.query.encoder
        if name in ("", self.settings.encoder):
            return self.encoder
        return query_encoder_for(self.encoder, name, self.home)

    @cached_property
    def redis(self) -> redis.Redis:
        """A connection to a server that was checked. Raises `RedisServerError`."""
        return connect(self.settings)

    @cached_property
    def executor(self) -> Executor:
        """Where the embedding worker runs. Raises `SettingsError` where its settings are not whole."""
        return executor_for(self.settings)

    @property
    def embeds_here(self) -> bool:
        """Whether this machine's CPU embeds."""
        return (self.settings.executor, self.settings.embedding.device) == ("local", "cpu")

    @property
    def jobs(self) -> Place | None:
        """Where jobs lie that other machines are to reach; None for those of this machine."""
        return jobs_place(self.settings)

    @property
    def limits(self) -> Limits:
        """How long a build waits for its embedding."""
        embedding = self.settings.embedding
        return Limits(deadline=embedding.deadline_minutes * 60, stall=embedding.stall_minutes * 60)

    @property
    def device(self) -> Device:
        """What documents are embedded on, here or on the executor's machines."""
        settings = self.settings
        return {"local": settings.embedding.device, "ec2": "cuda", "batch": settings.batch.device}[settings.executor]

    def job_options(self, graph: Path | None) -> JobOptions:
        """How jobs are computed; this machine's CPU runs `graph`, the encoder as ONNX, where there is one."""
        embedding = self.settings.embedding
        return JobOptions(
            device=self.device,
            dtype=embedding.dtype,
            stored=embedding.stored,
            graph=str(graph) if graph is not None and self.embeds_here else "",
        )

    @property
    def jobs_alone(self) -> bool:
        """Whether nobody else's jobs lie there: while the home is held, all of them were left by dead builds."""
        return self.jobs is not None and self.settings.embedding.jobs is None

    def vectors(self, key: str, encoder: ResolvedEncoder | None = None) -> EmbeddingStore:
        """The store of an encoder's vectors that are kept under `key` (`JobOptions.key`).

        Args:
            key: The key.
            encoder: Whose; None: `encoder`.
        """
        return EmbeddingStore(
            self.home / "embeddings",
            key,
            (encoder or self.encoder).spec.dimensions,
            dtype=self.settings.embedding.stored,
            shared=self.shared_vectors,
        )

    @property
    def shared_vectors(self) -> Place | None:
        """Where in S3 the vectors of all encoders lie; None where they are this folder's alone."""
        return open_place(uri) if (uri := self.settings.vectors_uri) else None


def _bundled_sample(folder: Path) -> "BundledSample":
    from viberary_pipeline.sample import BundledSample  # nobody else need have it

    return BundledSample(folder)


def pipeline_resource(settings: Settings) -> dg.ResourceDefinition:
    """The resource `pipeline`. Its description, which the UI shows, lists the settings that are not the defaults."""
    opened = Pipeline(settings)
    changed = [
        f"- `{variable}` = {value if value == '***' else f'`{value}`'}"
        for variable, value in changed_settings(settings).items()
    ]
    about = "\n".join(["The settings of this process that differ from docs/settings.md:", "", *(changed or ["none"])])

    @dg.resource(description=about)
    def pipeline(_: dg.InitResourceContext) -> Pipeline:
        return opened

    return pipeline
