"""``plan()`` foretells exactly what saving and computing then do, and writes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.dsl.parse import parse_definition
from segops_orchestration.dsl.segment_file import SegmentDocument
from segops_orchestration.proposals import effect
from segops_orchestration.proposals.plan import Plan, SegmentPlan, plan
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration_tests.compute.conftest import tenants
from segops_orchestration_tests.compute.story import T0, T1, days, happened, ordered
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.oracle.case import (
    VIEW,
    Document,
    all_of,
    any_of,
    event_count,
    membership,
    monetary,
    negated,
    recency,
)

USERS = [f"user {number:02}" for number in range(40)]
BUYERS = all_of(event_count("gte", 1))
SPENDERS = all_of(monetary("sum", "gte", 100))
SAVED = {
    "buyers": BUYERS,
    "spenders": SPENDERS,
    "idle": all_of(membership("spenders"), recency("gt", 20)),
    "not-idle": all_of(negated(membership("idle")), membership("buyers")),
    "viewers": all_of(event_count("gte", 1, VIEW)),
    "old": BUYERS,
}
EDITED = {
    "spenders": all_of(monetary("sum", "gte", 150)),
    "old": all_of(event_count("gte", 2)),
    "new": any_of(membership("idle", "not_in"), membership("brand-new")),
    "brand-new": all_of(membership("not-idle"), event_count("gte", 2)),
    "viewers": all_of(event_count("gte", 1, VIEW)),
}


def documents(segments: Mapping[str, Document]) -> list[SegmentDocument]:
    return [
        SegmentDocument(slug=slug, name=slug, definition=parse_definition(definition))
        for slug, definition in segments.items()
    ]


def planned(tenant: StoryTenant, segments: Mapping[str, Document], **options: Any) -> Plan:
    options.setdefault("at", T1)
    return plan(tenant.catalog, tenant.warehouse, tenant.slug, documents(segments), **options)


def of(found: Plan, slug: str) -> SegmentPlan:
    (segment,) = [one for one in found.segments if one.slug == slug]
    return segment


def would_be(found: Plan, slug: str) -> int:
    told = of(found, slug).effect
    assert told is not None
    return told.would_be


def compute_story(tenant: StoryTenant) -> StoryTenant:
    """Forty users with orders of many amounts and ages; ``old`` was computed and then archived."""
    events = [happened("viewer", VIEW, T0 - days(1))]
    for number, user in enumerate(USERS):
        payload = f'{{"total": {number * 5}}}'
        events += ordered(user, at=T0 - days(number), payload=payload)
        if number % 3 == 0:
            events += ordered(user, at=T0 - days(60), payload=payload)
    tenant.ingest(events)
    tenant.define(SAVED)
    tenant.compute(at=T0)
    tenant.catalog.archive_segment(tenant.slug, "old")
    return tenant


@pytest.fixture(scope="module")
def computed(settings: Settings, warehouse: Warehouse, module_home: Path) -> Iterator[StoryTenant]:
    """The story, for tests that only look; its catalogue is ``module_home/catalog.db``."""
    with (
        Catalog.open(replace(settings, database_url=f"sqlite:///{module_home / 'catalog.db'}")) as catalog,
        tenants(catalog, warehouse) as make,
    ):
        yield compute_story(make())


@pytest.fixture(scope="module")
def module_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plans")


def test_a_plan_foretells_what_saving_and_computing_do(tenant: StoryTenant) -> None:
    computed = compute_story(tenant)
    foretold = planned(computed, EDITED, sample=100)

    computed.define(EDITED)
    done = {one.slug: one for one in computed.compute(at=T1).segments}

    evaluated = {one.slug: one.effect for one in foretold.segments if one.effect is not None}
    assert sorted(evaluated) == ["brand-new", "idle", "new", "not-idle", "old", "spenders"]
    for slug, found in evaluated.items():
        result = done[slug]
        assert (found.would_be, found.entered, found.exited) == (result.members, result.entered, result.exited), slug
        moved = [(user, change) for user, change in computed.changes(slug)][-result.entered - result.exited :]
        told = [(user, "entered") for user in found.entered_sample]
        told += [(user, "exited") for user in found.exited_sample]
        assert sorted(told) == sorted(moved), slug
    assert {len(one.entered_sample) + len(one.exited_sample) for one in evaluated.values()} != {0}


def test_each_segment_is_called_what_becomes_of_it(computed: StoryTenant) -> None:
    found = planned(computed, EDITED)

    assert [(one.slug, one.change, one.because) for one in found.segments] == [
        ("spenders", "changed", ()),
        ("old", "restored", ()),
        ("new", "new", ("spenders",)),
        ("brand-new", "new", ("spenders",)),
        ("viewers", "unchanged", ()),
        ("buyers", "unchanged", ()),
        ("idle", "affected", ("spenders",)),
        ("not-idle", "affected", ("spenders",)),
    ]
    assert found.changes


def test_what_does_not_change_shows_the_members_that_it_has(computed: StoryTenant) -> None:
    buyers = of(planned(computed, EDITED), "buyers")

    assert (buyers.members, buyers.effect) == (40, None)


def test_a_restored_segment_is_compared_with_the_members_it_was_left_with(computed: StoryTenant) -> None:
    old = of(planned(computed, {"old": all_of(event_count("gte", 2))}), "old")

    assert old.effect is not None
    assert (old.members, old.effect.would_be, old.effect.exited) == (40, 14, 26)


def test_pruning_lets_everybody_leave(computed: StoryTenant) -> None:
    kept = {slug: SAVED[slug] for slug in ("buyers", "spenders", "viewers")}

    found = planned(computed, kept, prune=True, sample=2)

    assert [(one.slug, one.change) for one in found.segments][3:] == [("idle", "archived"), ("not-idle", "archived")]
    effect_of_idle = of(found, "idle").effect
    assert effect_of_idle is not None
    assert (effect_of_idle.would_be, effect_of_idle.exited) == (0, of(found, "idle").members)
    assert effect_of_idle.exited_sample == ("user 21", "user 22")


def test_the_sample_is_the_first_ids_in_order(computed: StoryTenant) -> None:
    nobody = all_of(event_count("gte", 99))

    ids = {sample: of(planned(computed, {"buyers": nobody}, sample=sample), "buyers").effect for sample in (0, 3)}

    assert ids[0] is not None
    assert (ids[0].exited, ids[0].exited_sample) == (40, ())
    assert ids[3] is not None
    assert ids[3].exited_sample == ("user 00", "user 01", "user 02")


def test_in_buckets_the_answer_is_the_same(computed: StoryTenant, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = planned(computed, EDITED, sample=4)
    monkeypatch.setattr(effect, "first_buckets", lambda *_: 7)

    assert planned(computed, EDITED, sample=4).segments == whole.segments


def test_the_answer_is_that_of_the_given_instant(computed: StoryTenant) -> None:
    young = {"young": all_of(recency("lt", 5.5))}

    assert [would_be(planned(computed, young, at=at), "young") for at in (T0, T0 + days(2))] == [6, 4]


def test_nothing_needs_to_have_been_computed(tenant: StoryTenant) -> None:
    tenant.ingest(ordered("ann", "bob"))
    tenant.define({"buyers": BUYERS})

    found = planned(tenant, {"buyers": BUYERS, "all": all_of(membership("buyers"))})

    assert (of(found, "buyers").members, of(found, "buyers").effect) == (None, None)
    assert would_be(found, "all") == 2


def test_nothing_is_written(computed: StoryTenant, module_home: Path) -> None:
    def everything() -> tuple[list[str], list[Any]]:
        with sqlite3.connect(module_home / "catalog.db") as connection:
            catalogue = list(connection.iterdump())
        sizes = (
            "SELECT table, sum(rows) FROM system.parts WHERE active AND database = {name:String} GROUP BY 1 ORDER BY 1"
        )
        rows = computed.database.query(sizes, {"name": computed.database.database}).result_rows
        return catalogue, list(rows)

    databases = computed.warehouse.tenant_slugs()
    before = everything()

    planned(computed, EDITED)
    planned(computed, {"buyers": BUYERS}, prune=True)

    assert everything() == before
    assert computed.warehouse.tenant_slugs() == databases


def test_a_tenant_without_a_database_gets_none(tenant: StoryTenant) -> None:
    tenant.database.drop()

    found = planned(tenant, {"buyers": BUYERS}, at=None)

    assert (found.has_events, of(found, "buyers").effect) == (False, effect.NOBODY)
    assert abs((found.at - datetime.now(UTC)).total_seconds()) < 60
    assert not tenant.database.exists()
