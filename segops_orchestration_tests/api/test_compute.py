"""Computations that callers ask for, in worker processes of the service."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psutil
import pytest

from segops_orchestration.api.runs import runs as runs_module
from segops_orchestration.compute.lease import HeldLease
from segops_orchestration_tests.api.calling import OPERATOR, Caller, Tenant
from segops_orchestration_tests.api.segment_shop import give_orders, made, spent

_SECONDS = 60.0


def ended(caller: Caller, segment_id: int, run_id: str) -> dict[str, Any]:
    """The computation of a run, once it has ended."""
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        (found,) = caller.get(f"segments/{segment_id}/computations/?run_id={run_id}")["results"]
        segment = caller.get(f"segments/{segment_id}/")
        if found["status"] in ("succeeded", "failed") and segment["status"] != "computing":
            computation: dict[str, Any] = found
            return computation
        time.sleep(0.1)
    raise AssertionError(f"run {run_id} has not ended: {found}")


@contextmanager
def busy(tenant: Tenant) -> Iterator[None]:
    """Somebody else computes the tenant meanwhile."""
    with HeldLease(tenant.api.catalog, tenant.slug, "somebody-else"):
        yield


def worker_of(run_id: str) -> psutil.Process:
    """The process that computes a run, once there is one."""
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        for process in psutil.Process().children(recursive=True):
            try:
                if run_id in process.cmdline():
                    return process
            except psutil.Error:
                continue
        time.sleep(0.05)
    raise AssertionError(f"no process computes {run_id}")


def test_a_computation_is_queued_runs_and_is_seen_to_end(tenant: Tenant) -> None:
    give_orders(tenant, [("ada", 5), ("ben", 50)])
    segment = made(tenant, spent(10))
    answer = tenant.member_key.post(f"segments/{segment['id']}/compute/", status=202)
    assert set(answer) == {"status", "run_id"}
    assert answer["status"] == "queued"
    computation = ended(tenant.viewer_key, segment["id"], answer["run_id"])
    assert (computation["status"], computation["members"], computation["entered"]) == ("succeeded", 1, 1)
    assert (computation["mode"], computation["reason"]) == ("full", "never computed")
    assert computation["requested_by"].startswith("member key")
    after = tenant.viewer_key.get(f"segments/{segment['id']}/")
    assert (after["status"], after["member_count"]) == ("computed", 1)


def test_while_one_is_under_way_a_second_is_refused_with_its_run(tenant: Tenant) -> None:
    segment = made(tenant, spent(10))
    path = f"segments/{segment['id']}/compute/"
    with busy(tenant):
        first = tenant.member_key.post(path, {"mode": "full"}, status=202)
        assert tenant.member_key.post(path, status=409)["run_id"] == first["run_id"]
        assert tenant.viewer_key.get(f"segments/{segment['id']}/")["status"] == "computing"
        (shown,) = tenant.viewer_key.get(f"segments/{segment['id']}/computations/")["results"]
        assert (shown["run_id"], shown["status"] in ("queued", "running")) == (first["run_id"], True)
    assert ended(tenant.viewer_key, segment["id"], first["run_id"])["status"] == "succeeded"


def test_of_many_at_once_one_is_taken(tenant: Tenant) -> None:
    segment = made(tenant, spent(10))
    path = f"segments/{segment['id']}/compute/"
    caller = tenant.member_key
    with busy(tenant), ThreadPoolExecutor(8) as workers:
        answers = list(workers.map(lambda _: caller.send("POST", path), range(8)))
    assert sorted(one.status_code for one in answers) == [202] + [409] * 7
    assert len({one.json()["run_id"] for one in answers}) == 1
    assert ended(caller, segment["id"], answers[0].json()["run_id"])["status"] == "succeeded"


def test_a_worker_that_is_killed_leaves_its_computation_failed(tenant: Tenant) -> None:
    segment = made(tenant, spent(10))
    with busy(tenant):
        run_id = tenant.member_key.post(f"segments/{segment['id']}/compute/", status=202)["run_id"]
        os.kill(worker_of(run_id).pid, signal.SIGKILL)
        computation = ended(tenant.viewer_key, segment["id"], run_id)
    assert computation["status"] == "failed"
    assert "-9" in computation["error"]
    assert tenant.viewer_key.get(f"segments/{segment['id']}/")["status"] == "failed"
    again = tenant.member_key.post(f"segments/{segment['id']}/compute/", status=202)["run_id"]
    assert ended(tenant.viewer_key, segment["id"], again)["status"] == "succeeded"


def test_a_request_whose_service_died_is_failed_once_it_has_been_silent(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = made(tenant, spent(10))
    requests = tenant.api.catalog.service.computations
    requests.begin(tenant.slug, segment["id"], "run-of-the-dead", "worker", OPERATOR)
    tenant.api.services.runs.look()
    tenant.member_key.post(f"segments/{segment['id']}/compute/", status=409)
    monkeypatch.setattr(runs_module, "SILENT_FOR", timedelta(0))
    time.sleep(0.01)
    tenant.api.services.runs.look()
    request = requests.get("run-of-the-dead")
    assert request is not None
    assert request.status == "failed"


def test_a_request_that_ended_keeps_its_outcome(tenant: Tenant) -> None:
    segment = made(tenant, spent(10))
    requests = tenant.api.catalog.service.computations
    requests.begin(tenant.slug, segment["id"], f"{tenant.slug}-run", "worker", OPERATOR)
    assert requests.finish(f"{tenant.slug}-run", "succeeded")
    assert not requests.finish(f"{tenant.slug}-run", "failed", "too late")
    assert not requests.running(f"{tenant.slug}-run")


def test_an_archived_segment_is_not_computed(tenant: Tenant) -> None:
    segment = made(tenant, spent(10))
    tenant.member_key.call("DELETE", f"segments/{segment['id']}/", status=204)
    tenant.member_key.post(f"segments/{segment['id']}/compute/", status=409)


def test_viewers_and_other_tenants_compute_nothing(tenant: Tenant, other_tenant: Tenant) -> None:
    segment = made(tenant, spent(10))
    tenant.viewer_key.post(f"segments/{segment['id']}/compute/", status=403)
    other_tenant.admin_key.post(f"segments/{segment['id']}/compute/", status=404)
    other_tenant.admin_key.get(f"segments/{segment['id']}/computations/", status=404)
    assert tenant.viewer_key.get(f"segments/{segment['id']}/computations/")["count"] == 0


def test_a_repeated_request_has_the_first_ones_run(tenant: Tenant) -> None:
    segment = made(tenant, spent(10))
    path, key = f"segments/{segment['id']}/compute/", {"Idempotency-Key": "k-1"}
    first = tenant.member_key.post(path, status=202, headers=key)
    assert tenant.member_key.post(path, status=202, headers=key) == first
    ended(tenant.viewer_key, segment["id"], first["run_id"])
