"""The API asks for the runs that the code location would ask for, by names that it has."""

from __future__ import annotations

from typing import Literal

import dagster as dg
import pytest

from segops_orchestration.api.runs.work import JOB, TENANT_PARTITIONS, Work
from segops_orchestration.definitions import defs
from segops_orchestration.defs.jobs import recompute_request
from segops_orchestration.defs.memberships import ComputeMode
from segops_orchestration.defs.partitions import TENANTS


@pytest.mark.parametrize("mode", ["full", "delta"])
def test_a_run_that_the_api_asks_for_is_that_of_the_sensor_for_one_segment(mode: Literal["full", "delta"]) -> None:
    work = Work("acme", "vip", mode)
    usual = recompute_request("acme", ComputeMode(mode))
    ops = {name: dict(op["config"]) for name, op in usual.run_config["ops"].items()}
    assert ops["segment_memberships"].pop("segments", None) is None
    asked = {name: dict(op["config"]) for name, op in work.run_config["ops"].items()}
    assert asked["segment_memberships"].pop("segments") == ["vip"]
    assert asked == ops
    assert usual.tags.items() <= work.tags.items()
    assert work.tags["dagster/partition"] == usual.partition_key


def test_the_names_are_those_of_the_code_location() -> None:
    assert defs.resolve_job_def(JOB).name == JOB
    assert TENANT_PARTITIONS == TENANTS


def test_the_run_config_is_valid() -> None:
    job = defs.resolve_job_def(JOB)
    assert dg.validate_run_config(job, Work("acme", "vip", "delta").run_config)
