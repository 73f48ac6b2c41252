"""query_encoder: the same model as one ONNX file, for machines without torch."""

import dagster as dg

from viberary_pipeline.assets.common import StageConfig, artifact_metadata
from viberary_pipeline.encoders.onnx_export import export_query_encoder
from viberary_pipeline.resources import Encoder, Storage

EXPORT_VERSION = 1
"""Raised whenever the export writes something else for the same model."""


@dg.asset(group_name="vectors", kinds={"onnx"})
def query_encoder(
    context: dg.AssetExecutionContext, config: StageConfig, storage: Storage, encoder: Encoder
) -> dg.MaterializeResult:
    """model.onnx and tokenizer.json: token ids in, the normalised vector out; parity with the worker checked."""
    model = encoder.resolve()
    produced = storage.store.produce(
        "query_encoder",
        inputs={},
        settings={"encoder": model.fingerprint, "export_version": EXPORT_VERSION},
        build=lambda out: export_query_encoder(model, out),
        force=config.force,
    )
    facts = produced.artifact.facts
    context.log.info(f"{model.spec.name} as ONNX" + (" (unchanged)" if produced.reused else ""))
    return dg.MaterializeResult(
        metadata={
            **artifact_metadata(produced),
            "encoder": model.spec.name,
            "facts": dg.MetadataValue.json(dict(facts)),
        }
    )
