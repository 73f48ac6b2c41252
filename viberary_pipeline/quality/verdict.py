"""The verdict on the tables as they are: whether their validations allow an index to be built from them."""

from collections.abc import Mapping
from typing import Any

from viberary_pipeline.artifacts import Artifact, ArtifactStore
from viberary_pipeline.errors import ArtifactError, GateRefused
from viberary_pipeline.quality.bounds import TABLES
from viberary_pipeline.quality.results import ExpectationResult


def validation_stage(table: str) -> str:
    """The stage whose artifact is the validation of a table."""
    return f"{table}_quality"


def results_of(validation: Artifact) -> tuple[ExpectationResult, ...]:
    """The results that a validation holds, in the order of `bounds.toml`."""
    return tuple(map(ExpectationResult.from_json, validation.facts["results"]))


def require_passed(store: ArtifactStore) -> None:
    """Raise unless every table, as it is now, was validated and fails no expectation of severity ERROR.

    A blocking check stops the run that it is part of. A later run of only the last stages does not evaluate it, and the
    refused table is the current one by then. So whoever builds an index asks here.

    Raises:
        GateRefused: a table was refused, or has changed since it was validated.
    """
    for table in TABLES:
        current, validation = store.current(table), current_artifact(store, validation_stage(table))
        if validation is None or validation.inputs.get(table) != current.key:
            raise GateRefused(
                f"The current table {table} has not been checked",
                expected=f"the checks of {table} to have run on artifact {current.key}",
                found="no checks" if validation is None else f"checks of artifact {validation.inputs.get(table)}",
                todo=f"run the checks of {table} in the Dagster UI, or `viberary build`",
            )
        if errors := _errors(table, validation):
            raise GateRefused(
                f"The table {table} was refused by its checks",
                expected="every expectation of severity ERROR to be met",
                found="; ".join(errors),
                todo="correct the input or, if the data is right, the bounds; then run `viberary build`",
            )


def refused_tables(store: ArtifactStore) -> list[str]:
    """The tables that, as they are now, were validated and fail an expectation of severity ERROR."""
    return [
        table
        for table in TABLES
        if (current := current_artifact(store, table))
        and (validation := current_artifact(store, validation_stage(table)))
        and validation.inputs.get(table) == current.key
        and _errors(table, validation)
    ]


def current_artifact(store: ArtifactStore, stage: str) -> Artifact | None:
    """What the stage last left; None where it has not run."""
    try:
        return store.current(stage)
    except ArtifactError:
        return None


def same_artifact(
    store: ArtifactStore, stage: str, inputs: Mapping[str, str], settings: Mapping[str, Any]
) -> Artifact | None:
    """The current artifact of a stage if it has these inputs and (among its own) these settings."""
    found = current_artifact(store, stage)
    same = found and dict(found.inputs) == dict(inputs) and settings.items() <= found.settings.items()
    return found if same else None


def _errors(table: str, validation: Artifact) -> list[str]:
    return [result.sentence(table) for result in results_of(validation) if result.badge == "error"]
