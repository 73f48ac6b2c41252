"""query_encoder: the same model as one ONNX file, for machines without torch."""

import dagster as dg

from viberary_pipeline.assets.stages import Result, Work, stage
from viberary_pipeline.encoders.files import float32_graphs
from viberary_pipeline.encoders.onnx_export import export_query_encoder


@stage(
    group="vectors", kinds={"onnx"}, code=("encoders/onnx_export.py", "encoders/precision.py", "encoders/quantize.py")
)
def query_encoder(work: Work) -> Result:
    """model.onnx and tokenizer.json: token ids in, the normalised vector out; parity decides on its precision."""
    pipeline = work.pipeline
    model, precision = pipeline.encoder, pipeline.settings.query.precision
    made = work.produce(
        # What the manifest keeps: all but the probes, which only a program reads.
        lambda out: {
            name: value
            for name, value in export_query_encoder(
                model, out, precision=precision, float32=float32_graphs(pipeline.home) / model.fingerprint
            ).items()
            if name != "probes"
        },
        encoder=model.fingerprint,
        precision=precision,
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
