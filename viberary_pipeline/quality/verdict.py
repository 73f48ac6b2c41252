"""The verdict on the tables as they are: whether their validations allow an index to be built from them."""

from viberary_pipeline.artifacts import Artifact, ArtifactStore
from viberary_pipeline.errors import ArtifactError, GateRefused
from viberary_pipeline.quality.bounds import TABLES


def validation_stage(table: str) -> str:
    """The name under which the validation of a table is kept."""
    return f"{table}_quality"


def require_passed(store: ArtifactStore) -> None:
    """Raise unless every table, as it is now, was validated and misses no expectation of severity ERROR.

    A blocking check stops the run that it is part of. A later run of only the last stages would not meet it: the
    refused table is the current one by then. So whoever builds an index asks here.

    Raises:
        GateRefused: a table was refused, or has changed since it was validated.
    """
    for table in TABLES:
        current = store.current(table)
        try:
            validation = store.current(validation_stage(table))
        except ArtifactError:
            validation = None
        if validation is None or validation.inputs.get(table) != current.key:
            raise GateRefused(
                f"The table {table} has not been validated as it is",
                expected=f"the checks of {table} to have run on artifact {current.key}",
                found="no validation" if validation is None else f"one of artifact {validation.inputs.get(table)}",
                todo=f"run the checks of {table} in the Dagster UI, or `viberary build`",
            )
        missed = _missed_errors(validation)
        if missed:
            raise GateRefused(
                f"The table {table} was refused by its checks",
                expected="every expectation of severity ERROR to be met",
                found="; ".join(missed),
                todo="mend the input or, if the data is right, the bounds; then `viberary build`",
            )


def refused_tables(store: ArtifactStore) -> list[str]:
    """The tables that, as they are now, were validated and miss an expectation of severity ERROR."""
    refused = []
    for table in TABLES:
        try:
            current, validation = store.current(table), store.current(validation_stage(table))
        except ArtifactError:
            continue
        if validation.inputs.get(table) == current.key and _missed_errors(validation):
            refused.append(table)
    return refused


def _missed_errors(validation: Artifact) -> list[str]:
    return [
        f"{result['name']}: expected {result['expected']}, found {result['observed']}"
        for result in validation.facts["results"]
        if result["severity"] == "ERROR" and not result["success"]
    ]
