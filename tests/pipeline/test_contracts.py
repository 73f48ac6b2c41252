"""Contracts: the tables have the columns that `contracts/*.json` promise, and no null where none is promised.

A schema is changed on purpose: change the contract with it.
"""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from viberary_pipeline.artifacts import ArtifactStore
from viberary_pipeline.duck import parquet_glob
from viberary_pipeline.sources.table_specs import TABLES, UCSD

CONTRACTS = Path(__file__).parents[2] / "contracts"
FILES = {
    **{table.name: (table.name, f"{table.name}.parquet") for table in UCSD},
    **{f"{table.name}_rejects": (table.name, f"{table.name}_rejects.parquet") for table in UCSD},
    "documents": ("documents", "documents.parquet"),
    "same_works": ("same_works", "same_works.parquet"),
    "same_editions": ("same_works", "same_editions.parquet"),
    "same_title_author": ("documents", "same_title_author.parquet"),
}


def contract(name: str) -> dict[str, Any]:
    return json.loads((CONTRACTS / f"{name}.json").read_text(encoding="utf-8"))


def contract_of(name: str) -> dict[str, Any]:
    return contract("rejects" if name.endswith("_rejects") else name)


@pytest.mark.parametrize("name", FILES)
def test_a_table_has_the_columns_of_its_contract(published, name):
    stage, file = FILES[name]
    path = parquet_glob(ArtifactStore(published.home).current(stage).file(file))
    found = duckdb.execute("DESCRIBE SELECT * FROM read_parquet($path)", {"path": path}).fetchall()
    promised = contract_of(name)["columns"]
    assert [(column, kind) for column, kind, *_ in found] == [(column["name"], column["type"]) for column in promised]
    for column in promised:
        if not column["nullable"]:
            nulls = duckdb.execute(
                f'SELECT count(*) FROM read_parquet($path) WHERE "{column["name"]}" IS NULL', {"path": path}
            ).fetchone()
            assert nulls == (0,), column["name"]


def test_every_contract_is_of_a_table_and_says_what_each_column_means():
    names = {path.stem for path in CONTRACTS.glob("*.json")}
    assert names == {*TABLES, "rejects", "documents", "same_title_author", "same_works", "same_editions"}
    for name in names:
        promised = contract(name)
        assert promised["table"] == name
        assert promised["row"].endswith(".")
        for column in promised["columns"]:
            assert set(column) == {"name", "type", "nullable", "meaning"}
            assert column["meaning"].endswith("."), column
            assert column["nullable"] in (True, False)
