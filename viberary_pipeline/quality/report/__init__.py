"""The data-quality report: one HTML page per build that a person enjoys reading, and its plots.

inputs = gather(store, home, source)            what the stages left behind, as far as they came
write_report(out, inputs)                       -> one self-contained page
publish_report(home, name, inputs)              -> quality/report/{name}.html and latest.html, older ones pruned
plots_markdown("books", profile)                -> the table's plots for the Dagster UI
"""

from viberary_pipeline.quality.report.inputs import READ_TABLES, ReportInputs, TableInput, gather, standing_tables
from viberary_pipeline.quality.report.page import code_digest, make_latest, publish_report, write_report
from viberary_pipeline.quality.report.plots import plots_markdown
from viberary_pipeline.quality.report.summary import verdict

__all__ = [
    "READ_TABLES",
    "ReportInputs",
    "TableInput",
    "code_digest",
    "gather",
    "make_latest",
    "plots_markdown",
    "publish_report",
    "standing_tables",
    "verdict",
    "write_report",
]
