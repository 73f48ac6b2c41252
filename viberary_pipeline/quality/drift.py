"""Drift: how far a table is from the one that the live build was made of (quality/baseline.py).

Each figure is a metric like those of `sql/{table}.sql`, and bounds.toml says how far is too far. Without a baseline a
figure has no value: its expectation is not compared, and says why.
"""

from collections.abc import Callable, Mapping

from viberary_pipeline.quality.baseline import Comparison, Profile
from viberary_pipeline.quality.metrics import Metric
from viberary_pipeline.quality.profile import shares

KEY_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "books": ("title", "description", "authors"),
    "reviews": ("review_text",),
    "documents": ("text", "author", "reviews_used"),
}
"""Columns without which nobody finds a work."""


def drift_metrics(table: str, current: Profile | None, compared_with: Comparison) -> dict[str, Metric]:
    """The drift of one table, by the name of the metric; without values where there is nothing to compare with.

    Args:
        table: One of `bounds.TABLES`.
        current: Its profile.
        compared_with: What `baseline.load_baseline` returned.
    """
    baseline = compared_with.profile(table)
    if current is None or baseline is None:
        reason = compared_with.reason or "the live build did not measure this table"
        return dict.fromkeys(_MEASURES[table], Metric(None, undefined=reason))
    return {name: measure(current, baseline) for name, measure in _MEASURES[table].items()}


def distance(current: Mapping[str, float], baseline: Mapping[str, float]) -> float:
    """The total variation distance of two distributions, 0 (equal) to 1 (nothing in common): the share of rows that
    would have to change their value. Half the sum of the differences of the shares."""
    return 0.5 * sum(abs(current.get(label, 0.0) - baseline.get(label, 0.0)) for label in {**current, **baseline})


def fill_rates(profile: Profile) -> dict[str, float]:
    """The share, 0 to 1, of rows that have a value, by column; none where there are no rows."""
    rows = profile["rows"]
    return {column: filled / rows for column, filled in profile["fill"].items()} if rows else {}


def reject_share(profile: Profile) -> float | None:
    """The share of lines that were left out; None where it is not known, or there was no line."""
    lines, rejected = profile.get("lines"), profile.get("rejected")
    return rejected / lines if lines and rejected is not None else None


_NO_ROWS = Metric(None, undefined="the live build had no rows")


def _rows(current: Profile, baseline: Profile) -> Metric:
    now, before = current["rows"], baseline["rows"]
    return Metric(now / before, examples=(f"{now:,} rows, {before:,} in the live build",)) if before else _NO_ROWS


def _fill(columns: tuple[str, ...] | None = None) -> Callable[[Profile, Profile], Metric]:
    """The largest drop of a fill rate among some columns, or all; the examples name the columns."""

    def largest_drop(current: Profile, baseline: Profile) -> Metric:
        new, old = fill_rates(current), fill_rates(baseline)
        drops = {
            column: old[column] - new.get(column, 0.0)
            for column in old
            if column in current["fill"] and (columns is None or column in columns)
        }
        if not drops:
            return _NO_ROWS
        worst = sorted((column for column in drops if drops[column] > 0), key=lambda column: -drops[column])[:3]
        examples = (f"{c}: {new.get(c, 0.0):.1%} filled, {old[c]:.1%} in the live build" for c in worst)
        return Metric(max(0.0, *drops.values()), examples=tuple(examples))

    return largest_drop


def _moved(name: str) -> Callable[[Profile, Profile], Metric]:
    """How far a distribution has moved; the examples name the values that changed most."""

    def moved(current: Profile, baseline: Profile) -> Metric:
        if name not in current["distributions"] or name not in baseline["distributions"]:
            return Metric(None, undefined="the live build did not measure this")
        new, old = shares(current["distributions"][name]), shares(baseline["distributions"][name])
        if not new or not old:
            return Metric(None, undefined="no rows to compare")
        changes = {label: new.get(label, 0.0) - old.get(label, 0.0) for label in {**new, **old}}
        changed = (label for label in changes if changes[label])
        most = sorted(changed, key=lambda label: (-round(abs(changes[label]), 6), label))
        examples = (f"{x or 'none'}: {new.get(x, 0.0):.1%}, {old.get(x, 0.0):.1%} in the live build" for x in most[:3])
        return Metric(distance(new, old), examples=tuple(examples))

    return moved


def _rejects(current: Profile, baseline: Profile) -> Metric:
    new, old = reject_share(current), reject_share(baseline)
    if new is None or old is None:
        return Metric(None, undefined="no lines to compare")
    return Metric(max(new - old, 0.0), examples=(f"{new:.4%} of lines rejected, {old:.4%} in the live build",))


_EVERY_TABLE: Mapping[str, Callable[[Profile, Profile], Metric]] = {
    "share_of_last_rows": _rows,
    "share_of_fill_lost": _fill(),
}
_MEASURES: Mapping[str, Mapping[str, Callable[[Profile, Profile], Metric]]] = {
    "books": {
        **_EVERY_TABLE,
        "share_of_key_fill_lost": _fill(KEY_COLUMNS["books"]),
        "share_of_languages_moved": _moved("languages"),
        "share_of_ratings_moved": _moved("ratings"),
        "share_of_lines_rejected_more": _rejects,
    },
    "authors": {**_EVERY_TABLE, "share_of_lines_rejected_more": _rejects},
    "reviews": {
        **_EVERY_TABLE,
        "share_of_key_fill_lost": _fill(KEY_COLUMNS["reviews"]),
        "share_of_ratings_moved": _moved("ratings"),
        "share_of_lengths_moved": _moved("text_length"),
        "share_of_lines_rejected_more": _rejects,
    },
    "documents": {
        **_EVERY_TABLE,
        "share_of_key_fill_lost": _fill(KEY_COLUMNS["documents"]),
        "share_of_languages_moved": _moved("languages"),
        "share_of_lengths_moved": _moved("text_length"),
    },
}

DRIFT_METRICS: frozenset[str] = frozenset(name for measures in _MEASURES.values() for name in measures)
"""The metrics of drift; `VIBERARY_ACCEPT_DRIFT` accepts that they are out of bounds."""
