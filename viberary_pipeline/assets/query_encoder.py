"""query_encoder: the documents' model, or another in its space, as one ONNX file for machines without torch."""

from pathlib import Path
from typing import Any

import dagster as dg

from viberary_pipeline.assets.stages import Result, Work, stage
from viberary_pipeline.encoders.files import float32_graphs
from viberary_pipeline.encoders.onnx_export import export_query_encoder
from viberary_pipeline.encoders.onnx_files import write_description
from viberary_pipeline.encoders.space import LEAST_SPACE_COSINE, measured_space


@stage(
    group="vectors", kinds={"onnx"}, code=("encoders/onnx_export.py", "encoders/precision.py", "encoders/quantize.py")
)
def query_encoder(work: Work) -> Result:
    """model.onnx and tokenizer.json: token ids in, the normalised vector out; parity decides on its precision."""
    pipeline = work.pipeline
    documents, model, precision = pipeline.encoder, pipeline.query_encoder, pipeline.settings.query.precision
    other = model.fingerprint != documents.fingerprint

    def export(out: Path) -> dict[str, Any]:
        space = measured_space(model, documents) if other else None  # first: it may refuse
        float32 = float32_graphs(pipeline.home) / model.fingerprint
        description = export_query_encoder(model, out, precision=precision, float32=float32)
        if space is not None:
            description = write_description(out, {**description, "space": space})
        # What the manifest keeps: all but the probes, which only a program reads.
        return {name: value for name, value in description.items() if name != "probes"}

    made = work.produce(
        export,
        encoder=model.fingerprint,
        precision=precision,
        **({"space": [documents.fingerprint, LEAST_SPACE_COSINE]} if other else {}),
    )
    facts = made.artifact.facts
    parity = facts["parity"][facts["precision"]]
    return Result(
        made,
        f"{model.spec.name} as ONNX, {facts['precision']}, mean cosine {parity['mean_cosine']:.5f} to the model over "
        f"{parity['queries']} queries",
        metadata={
            "encoder": model.spec.name,
            "precision": facts["precision"],
            "facts": dg.MetadataValue.json(dict(facts)),
        },
    )
