"""Builds of a few works in a real Redis, with the verdict of an evaluation that had nothing to compare with."""

from typing import Any

import redis

from viberary_pipeline.index.build import IndexSource, build_index
from viberary_pipeline.index.gate_result import EVALUATION, GateResult
from viberary_pipeline.index.gate_rules import GateRules
from viberary_pipeline.index.publish import publish, record_verdict
from viberary_pipeline.redis_contract import BuildRecord, HnswSettings, read_record

NOT_EVALUATED = GateResult.not_compared(EVALUATION, 0.03, "a test")


def evaluated(client: redis.Redis, build: str) -> BuildRecord:
    """The record of a build, once it holds a verdict of the evaluation: only then it may be published."""
    record_verdict(client, build, NOT_EVALUATED)
    record = read_record(client, build)
    assert record is not None
    return record


def built(client: redis.Redis, source: IndexSource, rules: GateRules, **options: Any) -> BuildRecord:
    """A build that may be published."""
    record, gates = build_index(client, source, HnswSettings(ef_runtime=200), rules, **options)
    assert not any(gate.failed for gate in gates), gates
    return evaluated(client, record.build)


def published(client: redis.Redis, source: IndexSource, rules: GateRules, **options: Any) -> BuildRecord:
    """A build that is live."""
    return publish(client, built(client, source, rules, **options).build)
