"""The asset checks: Great Expectations suites on the tables. (The gates of the index are checks of its asset.)"""

from viberary_pipeline.checks.table_checks import table_checks

__all__ = ["table_checks"]
