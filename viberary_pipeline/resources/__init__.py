"""What Dagster hands to every stage: the pipeline (its settings and what they open), and the lock of the home."""

from viberary_pipeline.resources.home_lock import home_lock
from viberary_pipeline.resources.pipeline import Pipeline, pipeline_resource
from viberary_pipeline.resources.run_reporter import RunReporter

__all__ = ["Pipeline", "RunReporter", "home_lock", "pipeline_resource"]
