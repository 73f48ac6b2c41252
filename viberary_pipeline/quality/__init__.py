"""Data quality: Great Expectations over what DuckDB measured, bounded by one readable file.

The one way in which every table is checked:

1. `sql/{table}.sql` measures the full Parquet table in DuckDB: counts of offending rows, shares, medians,
   each with a few examples. 15.7 million reviews become one row of numbers.
2. `bounds.toml` says what each number must be, how severe a miss is, and why.
3. `validate` hands Great Expectations the one-row frame, one column per metric (its SQL data sources do not
   work with DuckDB, and its pandas ones are slow on wide, text-heavy frames), and keeps the result.
4. Data Docs, a static site that needs no network, shows the newest result of each table and the history.

Beside it: `profile` says what a table looks like, `drift` how far it is from the last published one (metrics
again, with bounds like any other), and `report` tells a person all of it on one page.

    expectation_specs("books")                         # cheap: what will be checked
    validate("books", parquet, docs=docs, run_name=run_id)   # -> ValidationReport
"""

from viberary_pipeline.errors import QualityError
from viberary_pipeline.quality.bounds import BOUNDS, TABLES, ExpectationSpec, expectation_specs
from viberary_pipeline.quality.metrics import RELATED
from viberary_pipeline.quality.validation import ExpectationResult, ValidationReport, validate

__all__ = [
    "BOUNDS",
    "RELATED",
    "TABLES",
    "ExpectationResult",
    "ExpectationSpec",
    "QualityError",
    "ValidationReport",
    "expectation_specs",
    "validate",
]
