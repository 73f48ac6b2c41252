"""query_encoder: the same model as one ONNX file, for machines without torch."""

from typing import Any

import dagster as dg

from viberary_pipeline.assets.common import StageConfig, artifact_metadata
from viberary_pipeline.encoders.files import float32_graphs
from viberary_pipeline.encoders.onnx_export import export_query_encoder
from viberary_pipeline.encoders.quantize import METHOD
from viberary_pipeline.resources import Encoder, Storage

EXPORT_VERSION = 4
"""Raised whenever the export writes something else for the same model."""


@dg.asset(group_name="vectors", kinds={"onnx"})
def query_encoder(
    context: dg.AssetExecutionContext, config: StageConfig, storage: Storage, encoder: Encoder
) -> dg.MaterializeResult:
    """model.onnx and tokenizer.json: token ids in, the normalised vector out; parity decides on its precision."""
    model = encoder.resolve()
    produced = storage.store.produce(
        "query_encoder",
        inputs={},
        settings={
            "encoder": model.fingerprint,
            "precision": encoder.query_precision,
            "export_version": EXPORT_VERSION,
            "quantising": METHOD,
        },
        build=lambda out: _facts(
            export_query_encoder(
                model, out, precision=encoder.precision, float32=float32_graphs(storage.path) / model.fingerprint
            )
        ),
        force=config.force,
    )
    facts = produced.artifact.facts
    parity = facts["parity"][facts["precision"]]
    context.log.info(
        f"{model.spec.name} as ONNX, {facts['precision']}, mean cosine {parity['mean_cosine']:.5f} to the model over "
        f"{parity['queries']} queries" + (" (unchanged)" if produced.reused else "")
    )
    return dg.MaterializeResult(
        metadata={
            **artifact_metadata(produced),
            "encoder": model.spec.name,
            "precision": facts["precision"],
            "facts": dg.MetadataValue.json(dict(facts)),
        }
    )


def _facts(description: dict[str, Any]) -> dict[str, Any]:
    """What the artifact's manifest keeps: all but the probes, which only a program reads."""
    return {name: value for name, value in description.items() if name != "probes"}
