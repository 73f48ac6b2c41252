"""Drift: how far a table is from the one that the last published build was made of (quality/baseline.py).

The figures are metrics like those of `sql/{table}.sql`: bounds.toml says how far is too far. Where there is nothing
to compare with, each is undefined, which passes, and says why.
"""

from collections.abc import Callable, Mapping

from viberary_pipeline.quality.baseline import Before, Profile
from viberary_pipeline.quality.metrics import Metric
from viberary_pipeline.quality.profile import shares

KEY_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "books": ("title", "description", "authors"),
    "reviews": ("review_text",),
    "documents": ("text", "author", "reviews_used"),
}
"""Columns without which a work is found by nobody."""


def drift_metrics(table: str, now: Profile | None, compared_with: Before) -> dict[str, Metric]:
    """The drift of one table, by the name of the metric; all undefined where there is nothing to compare with.

    Args:
        table: One of `bounds.TABLES`.
        now: Its profile.
        compared_with: What `before` found.
    """
    last = compared_with.profile(table)
    if now is None or last is None:
        why = compared_with.why_not or "the build before did not measure this table"
        return dict.fromkeys(_MEASURES[table], Metric(None, undefined=why))
    return {name: measure(now, last) for name, measure in _MEASURES[table].items()}


def distance(now: Mapping[str, float], last: Mapping[str, float]) -> float:
    """The total variation distance of two distributions, 0 (equal) to 1 (nothing in common): the share of rows
    that would have to change their place. Half the sum of the differences of the shares."""
    return 0.5 * sum(abs(now.get(label, 0.0) - last.get(label, 0.0)) for label in now.keys() | last.keys())


def fill_rates(profile: Profile) -> dict[str, float]:
    """The share, 0 to 1, of rows that have a value, by column; none where there are no rows."""
    rows = profile["rows"]
    return {column: filled / rows for column, filled in profile["fill"].items()} if rows else {}


def reject_share(profile: Profile) -> float | None:
    """The share of lines that were left out; None where it is not known, or there was no line."""
    lines, rejected = profile.get("lines"), profile.get("rejected")
    return rejected / lines if lines and rejected is not None else None


def _rows(now: Profile, last: Profile) -> Metric:
    if not last["rows"]:
        return Metric(None, undefined="the build before had no rows")
    return Metric(now["rows"] / last["rows"], examples=(f"{last['rows']:,} before, {now['rows']:,} now",))


def _fill(columns: tuple[str, ...] | None = None) -> Callable[[Profile, Profile], Metric]:
    """The largest drop of a fill rate among some columns, or all; the examples name the columns."""

    def largest_drop(now: Profile, last: Profile) -> Metric:
        rates, earlier = fill_rates(now), fill_rates(last)
        drops = {
            column: earlier[column] - rates.get(column, 0.0)
            for column in earlier
            if column in now["fill"] and (columns is None or column in columns)
        }
        if not drops:
            return Metric(None, undefined="the build before had no rows")
        worst = sorted((column for column in drops if drops[column] > 0), key=lambda column: -drops[column])[:3]
        examples = (f"{c}: {earlier[c]:.1%} before, {rates.get(c, 0.0):.1%} now" for c in worst)
        return Metric(max(0.0, *drops.values()), examples=tuple(examples))

    return largest_drop


def _moved(name: str) -> Callable[[Profile, Profile], Metric]:
    """How far a distribution has moved; the examples name what changed most."""

    def moved(now: Profile, last: Profile) -> Metric:
        if name not in now["distributions"] or name not in last["distributions"]:
            return Metric(None, undefined="the build before did not measure this")
        new, old = shares(now["distributions"][name]), shares(last["distributions"][name])
        if not new or not old:
            return Metric(None, undefined="no rows to compare")
        changes = {label: new.get(label, 0.0) - old.get(label, 0.0) for label in new.keys() | old.keys()}
        changed = (label for label in changes if changes[label])
        most = sorted(changed, key=lambda label: (-round(abs(changes[label]), 6), label))
        examples = (f"{x or 'none'}: {old.get(x, 0.0):.1%} before, {new.get(x, 0.0):.1%} now" for x in most[:3])
        return Metric(distance(new, old), examples=tuple(examples))

    return moved


def _rejects(now: Profile, last: Profile) -> Metric:
    new, old = reject_share(now), reject_share(last)
    if new is None or old is None:
        return Metric(None, undefined="no lines to compare")
    return Metric(max(new - old, 0.0), examples=(f"{old:.4%} before, {new:.4%} now",))


_MEASURES: Mapping[str, Mapping[str, Callable[[Profile, Profile], Metric]]] = {
    "books": {
        "share_of_last_rows": _rows,
        "share_of_key_fill_lost": _fill(KEY_COLUMNS["books"]),
        "share_of_fill_lost": _fill(),
        "share_of_languages_moved": _moved("languages"),
        "share_of_ratings_moved": _moved("ratings"),
        "share_of_lines_rejected_more": _rejects,
    },
    "authors": {
        "share_of_last_rows": _rows,
        "share_of_fill_lost": _fill(),
        "share_of_lines_rejected_more": _rejects,
    },
    "reviews": {
        "share_of_last_rows": _rows,
        "share_of_key_fill_lost": _fill(KEY_COLUMNS["reviews"]),
        "share_of_fill_lost": _fill(),
        "share_of_ratings_moved": _moved("ratings"),
        "share_of_lengths_moved": _moved("text_length"),
        "share_of_lines_rejected_more": _rejects,
    },
    "documents": {
        "share_of_last_rows": _rows,
        "share_of_key_fill_lost": _fill(KEY_COLUMNS["documents"]),
        "share_of_fill_lost": _fill(),
        "share_of_languages_moved": _moved("languages"),
        "share_of_lengths_moved": _moved("text_length"),
    },
}

DRIFT_METRICS: frozenset[str] = frozenset(name for measures in _MEASURES.values() for name in measures)
"""What `VIBERARY_ACCEPT_DRIFT` accepts a miss of."""
