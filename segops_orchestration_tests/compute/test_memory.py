"""A computation stays within the memory that one query may hold, in more buckets if need be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from segops_orchestration.compute import changes
from segops_orchestration.compute import compute as engine
from segops_orchestration.compute.buckets import MOST_BUCKETS, first_buckets, in_buckets
from segops_orchestration.compute.candidates import Candidates
from segops_orchestration.compute.compute import TOO_MANY_CANDIDATES
from segops_orchestration.compute.session import ComputeSession
from segops_orchestration.dsl.parse import parse_definition
from segops_orchestration.errors import QueryMemoryExceeded, SegOpsError
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import TenantWarehouse
from segops_orchestration_tests.compute.story import T0, T1, ordered
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.oracle.case import MINUTE, all_of, event_count

USERS = 60_000
_HISTORY = """INSERT INTO events (event_id, user_id, event_type, occurred_at, ingested_at)
SELECT
  reinterpretAsUUID(number + 1000000), concat('a user with a long id ', toString(number % {users:UInt64})),
  'order_placed', fromUnixTimestamp64Milli({at:Int64}), now64(3)
FROM numbers({rows:UInt64})"""
# All hold for users with an order, so that each has a set of all of these.
MANY = all_of(*(event_count("gte", 1, window_days=days) for days in range(10, 18)))
TWICE = all_of(event_count("gte", 2))


def history(tenant: StoryTenant, rows: int) -> None:
    """The first users have an order more than the others when there are more rows than users."""
    at = round((T0 - 30 * MINUTE).timestamp() * 1000)
    tenant.database.command(_HISTORY, {"users": USERS, "rows": rows, "at": at})


def count(tenant: StoryTenant, slug: str) -> int:
    """How many members are stored."""
    return next(one.members or 0 for one in tenant.catalog.segment_status(tenant.slug) if one.slug == slug)


def passes(monkeypatch: pytest.MonkeyPatch, name: str) -> list[str]:
    """How each pass of a full computation or a delta ended, as they follow."""
    ends: list[str] = []
    real: Callable[..., int] = getattr(changes, name)

    def watched(*arguments: object) -> int:
        try:
            rows = real(*arguments)
        except QueryMemoryExceeded:
            ends.append("too much")
            raise
        ends.append("fits")
        return rows

    monkeypatch.setattr(changes, name, watched)
    return ends


def assert_changes_are_members(tenant: StoryTenant) -> None:
    """No change of a pass that did not fit was left behind."""
    once = """SELECT countIf(was != 1) FROM (
      SELECT segment_id, user_id, count() AS was FROM membership_changes GROUP BY segment_id, user_id)"""
    assert tenant.database.query(once).result_rows == [(0,)]


def test_a_full_computation_that_does_not_fit_is_divided_until_it_does(
    tenant: StoryTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant.define({"many": MANY})
    history(tenant, USERS)
    monkeypatch.setattr(tenant.warehouse, "query_memory", 64 << 20)
    monkeypatch.setattr(engine, "first_buckets", lambda *_: 1)
    ends = passes(monkeypatch, "_stage")

    tenant.compute("full", at=T0)

    assert ends[0] == "too much"
    assert ends.count("fits") >= 2
    assert count(tenant, "many") == USERS
    assert_changes_are_members(tenant)


def test_a_delta_whose_candidates_do_not_fit_is_divided_until_they_do(
    tenant: StoryTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant.define({"many": MANY, "twice": TWICE})
    tenant.compute("full", at=T0)
    history(tenant, USERS + 10_000)
    monkeypatch.setattr(tenant.warehouse, "query_memory", 64 << 20)
    monkeypatch.setattr(engine, "first_buckets", lambda *_: 1)
    ends = passes(monkeypatch, "_stage_deltas")

    result = tenant.compute("delta", at=T1)

    assert {segment.mode for segment in result.segments} == {"delta"}
    assert ends[0] == "too much"
    assert ends.count("fits") >= 2
    assert (count(tenant, "many"), count(tenant, "twice")) == (USERS, 10_000)
    assert_changes_are_members(tenant)


@pytest.mark.parametrize("step", ["prepare", "find"])
def test_when_looking_candidates_up_does_not_fit_the_segments_go_in_full(
    step: str, tenant: StoryTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant.define({"many": MANY})
    tenant.compute("full", at=T0)
    tenant.ingest(ordered("ann", "bob"))

    def exceed(*_: object) -> None:
        raise QueryMemoryExceeded("too many")

    with monkeypatch.context() as patch:
        patch.setattr(Candidates, step, exceed)
        (segment,) = tenant.compute("delta", at=T1).segments

    assert (segment.mode, segment.reason, segment.members) == ("full", TOO_MANY_CANDIDATES, 2)
    assert tenant.members("many") == {"ann", "bob"}
    assert tenant.database.query("SELECT count() FROM candidates").result_rows == [(0,)]


def test_what_was_written_of_a_bucket_that_did_not_fit_is_taken_back_before_it_is_divided() -> None:
    done: list[tuple[int, int]] = []
    taken_back: list[tuple[int, int]] = []

    def evaluate(bucket: int, of: int) -> int:
        if of < 8:
            raise QueryMemoryExceeded("full")
        done.append((bucket, of))
        return 1

    assert in_buckets("a segment", 2, evaluate, lambda bucket, of: taken_back.append((bucket, of))) == 8
    assert taken_back == [(0, 2), (0, 4)]
    assert sorted(done) == [(bucket, 8) for bucket in range(8)]


def test_when_even_the_smallest_buckets_do_not_fit_the_message_says_which_setting_to_raise() -> None:
    def evaluate(bucket: int, of: int) -> int:
        raise QueryMemoryExceeded("acme: Query memory limit exceeded")

    with pytest.raises(QueryMemoryExceeded, match=r"segment vip: even one of .* raise SEGOPS_MAX_QUERY_MEMORY"):
        in_buckets("segment vip", 1, evaluate, lambda bucket, of: None)


def test_more_users_and_more_conditions_are_divided_into_more_buckets(
    tenant_warehouse: TenantWarehouse,
) -> None:
    session = ComputeSession(tenant_warehouse, 1, 1, datetime.now(UTC), None)
    few, many = parse_definition(TWICE), parse_definition(MANY)
    assert first_buckets(session, 1_000_000, [few]) == 1
    assert first_buckets(session, 10_000_000, [few]) == 4
    assert first_buckets(session, 10_000_000, [many]) == 14
    assert first_buckets(session, 10**12, [many]) == MOST_BUCKETS


def test_every_query_of_a_computation_bears_the_limit(tenant: StoryTenant, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: set[object] = set()
    for name in ("command", "query"):
        real = getattr(TenantWarehouse, name)

        def watched(self: TenantWarehouse, sql: str, *rest: object, real: Callable[..., object] = real) -> object:
            settings = rest[1] if len(rest) > 1 else {}
            if "membership" in sql and "system." not in sql:
                limits.add(settings.get("max_memory_usage") if isinstance(settings, dict) else None)
            return real(self, sql, *rest)

        monkeypatch.setattr(TenantWarehouse, name, watched)
    monkeypatch.setattr(tenant.warehouse, "query_memory", 500_000_000)
    tenant.define({"many": MANY})
    tenant.ingest(ordered("ann"))

    engine.compute(tenant.catalog, tenant.warehouse, tenant.slug, at=T0)

    assert limits == {500_000_000}


def test_the_limit_is_a_setting_and_one_gibibyte_by_default(tmp_path: Path) -> None:
    home = {"SEGOPS_HOME": str(tmp_path)}
    assert Settings.from_env(home).max_query_memory == 1 << 30
    assert Settings.from_env({**home, "SEGOPS_MAX_QUERY_MEMORY": "2.5GiB"}).max_query_memory == 5 << 29


@pytest.mark.parametrize(
    ("text", "message"),
    [("much", "'much' is not an amount of memory; write bytes, or a unit"), ("64MiB", "the least is 128MiB")],
)
def test_a_limit_that_is_no_amount_or_too_little_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SegOpsError, match=f"SEGOPS_MAX_QUERY_MEMORY: .*{message}"):
        Settings.from_env({"SEGOPS_HOME": str(tmp_path), "SEGOPS_MAX_QUERY_MEMORY": text})
