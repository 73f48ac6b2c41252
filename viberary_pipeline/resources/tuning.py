"""What `viberary tune` needs of the pipeline: vectors of documents, and a trainer, by the executors of a build."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from viberary_pipeline.embedding.embed import embed_missing
from viberary_pipeline.embedding.jobs import JobOptions
from viberary_pipeline.encoders.files import ResolvedEncoder
from viberary_pipeline.home_lock import hold_home
from viberary_pipeline.resources.pipeline import Pipeline
from viberary_pipeline.tuning.remote import RemoteTrainer
from viberary_pipeline.tuning.run import DocumentVectors, Trainer, train_here


def document_vectors(pipeline: Pipeline) -> DocumentVectors:
    """What gives the vectors of texts from the home's store; those that it lacks are embedded, in full precision, while
    the home is held. A build with that encoder finds them there."""
    settings = pipeline.settings.embedding

    def vectors(encoder: ResolvedEncoder, texts: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        # int8 has a store of its own.
        options = JobOptions(device=pipeline.job_options(None).device)
        store = pipeline.vectors(encoder.fingerprint, encoder)
        with hold_home(pipeline.home):
            embed_missing(
                list(texts),
                encoder=encoder,
                store=store,
                executor=pipeline.executor,
                jobs_root=pipeline.home / "jobs",
                jobs_at=pipeline.jobs,
                shard_rows=settings.shard_rows,
                options=options,
                limits=pipeline.limits,
            )
            return store.vectors_for(pa.array([text_hash for text_hash, _ in texts], pa.string()))

    return vectors


def trainer(pipeline: Pipeline) -> Trainer:
    """What trains: this process, or the machines of VIBERARY_EXECUTOR. Raises `SettingsError` where its settings are
    not whole."""
    if pipeline.settings.executor == "local":
        return train_here
    executor, jobs = pipeline.executor, pipeline.jobs
    assert jobs is not None  # the executor's settings are whole
    return RemoteTrainer(executor, jobs, pipeline.limits)
