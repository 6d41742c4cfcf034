"""What an explanation says, one case at a time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.errors import NotFound
from segops_orchestration.explain.explain import ExplainedCondition, Explanation, explain
from segops_orchestration.explain.stored import StoredMembership
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration_tests.compute.conftest import tenants
from segops_orchestration_tests.compute.story import T0, days, happened, ordered
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.oracle.case import HOUR

MILLISECOND = timedelta(milliseconds=1)
THIS_MONTH = {"type": "event_count", "event_type": "order_placed", "operator": "gte", "value": 2, "window_days": 30}
LAPSED = {"type": "recency", "event_type": "order_placed", "operator": "gt", "window_days": 30}


@pytest.fixture(scope="module")
def shared(module_catalog: Catalog, warehouse: Warehouse) -> Iterator[StoryTenant]:
    """One tenant for the whole module: each test has a user and segments of its own."""
    with tenants(module_catalog, warehouse) as make:
        yield make()


def explained(
    tenant: StoryTenant, user: str, *conditions: dict[str, Any], logic: str = "AND", at: datetime = T0, **bounds: int
) -> Explanation:
    """Define the conditions as a segment named after the user, and explain it."""
    tenant.define({user: {"logic": logic, "conditions": list(conditions)}})
    return explain(tenant.catalog, tenant.warehouse, tenant.slug, user, user, at=at, **bounds)


def only(found: Explanation) -> ExplainedCondition:
    (condition,) = found.definition.conditions
    return condition


# -- when it flips -------------------------------------------------------------------------------------------


def test_a_count_falls_when_the_event_that_it_needs_leaves_the_window(shared: StoryTenant) -> None:
    for age in (20, 10, 1):
        shared.ingest(ordered("window", at=T0 - days(age)))
    found = explained(shared, "window", THIS_MONTH)
    assert (found.is_member, found.flips_at) == (True, T0 + days(20))
    assert only(found).actual == {"count": 3}
    assert [event.occurred_at for event in only(found).decided_by] == [T0 - days(1)]


def test_an_inclusive_limit_is_passed_a_millisecond_later(shared: StoryTenant) -> None:
    shared.ingest(ordered("lapsing", at=T0 - days(10)))
    found = explained(shared, "lapsing", LAPSED)
    assert (found.is_member, found.flips_at) == (False, T0 + days(20) + MILLISECOND)
    assert only(found).actual == {"age_seconds": days(10).total_seconds()}


def test_an_event_of_the_future_counts_from_its_time_on(shared: StoryTenant) -> None:
    shared.ingest([*ordered("future", at=T0 - HOUR), *ordered("future", at=T0 + days(3))])
    assert explained(shared, "future", THIS_MONTH).flips_at == T0 + days(3)


def test_of_two_conditions_each_has_its_own_flip_and_the_membership_the_first_that_matters(shared: StoryTenant) -> None:
    shared.ingest([*ordered("both", at=T0 - days(5)), *ordered("both", at=T0 - days(3))])
    found = explained(shared, "both", THIS_MONTH, LAPSED, logic="OR")
    assert [one.flips_at for one in found.definition.conditions] == [T0 + days(25), T0 + days(27) + MILLISECOND]
    assert found.flips_at == T0 + days(25)


def test_what_stays_for_ever_has_no_flip(shared: StoryTenant) -> None:
    shared.ingest(ordered("forever"))
    ever = {"type": "event_count", "event_type": "order_placed", "operator": "gte", "value": 1}
    found = explained(shared, "forever", ever)
    assert (found.is_member, found.flips_at, found.no_flip_before) == (True, None, None)


def test_a_date_in_the_payload_comes_due(shared: StoryTenant) -> None:
    due = T0 + days(40)
    payload = f'{{"renews": "{due:%Y-%m-%dT%H:%M:%S}Z"}}'
    shared.ingest([happened("renewal", "context_identified", T0 - days(1), payload)])
    soon = {"type": "user_property", "property": "renews", "operator": "in_next", "value": {"last": 7, "unit": "day"}}
    found = explained(shared, "renewal", soon)
    assert (found.is_member, found.flips_at) == (False, due - days(7))
    assert only(found).actual == {"value": f"{due:%Y-%m-%dT%H:%M:%S}Z"}


def test_dates_at_the_ends_of_the_calendar_are_no_trouble(shared: StoryTenant) -> None:
    payload = '{"first": "0001-01-01", "last": "9999-12-31"}'
    shared.ingest([happened("calendar", "context_identified", T0 - days(1), payload)])
    tests = [
        {"type": "user_property", "property": name, "operator": operator, "value": {"last": 1, "unit": unit}}
        for name in ("first", "last")
        for operator in ("in_last", "in_next", "before_last")
        for unit in ("day", "month")
    ]
    found = explained(shared, "calendar", *tests, logic="OR")
    assert [one.holds for one in found.definition.conditions] == [False] * 4 + [True] * 2 + [False] * 6
    assert {one.flips_at for one in found.definition.conditions} == {None}


# -- bounds of the search ------------------------------------------------------------------------------------


def test_a_search_that_is_cut_off_says_until_when_nothing_flips(shared: StoryTenant) -> None:
    for age in (4, 3, 2, 1):
        shared.ingest(ordered("many", at=T0 - days(age)))
    found = explained(shared, "many", THIS_MONTH, most_turns=2)
    assert (found.flips_at, found.no_flip_before) == (None, T0 + days(27))
    assert explained(shared, "many", THIS_MONTH, most_turns=4).flips_at == T0 + days(28)


def test_a_search_ends_when_it_has_read_enough(shared: StoryTenant) -> None:
    for age in (4, 3):
        shared.ingest(ordered("much", at=T0 - days(age)))
    found = explained(shared, "much", THIS_MONTH, most_events_read=1)
    assert (found.flips_at, found.no_flip_before) == (None, T0 + days(26))


def _crowd(tenant: StoryTenant, user: str, orders: int) -> None:
    """An order of the user each second, the last one at T0."""
    tenant.database.command(
        "INSERT INTO events (event_id, user_id, event_type, occurred_at, ingested_at, payload)"
        " SELECT generateUUIDv4(), {user:String}, 'order_placed', {at:DateTime64(3)} - toIntervalSecond(number),"
        " {at:DateTime64(3)}, concat('{\"total\": ', toString(number % 100), '}') FROM numbers({orders:UInt64})",
        {"user": user, "at": f"{T0:%Y-%m-%d %H:%M:%S}", "orders": orders},
    )


def test_where_an_answer_changes_only_once_thousands_of_events_are_no_matter(shared: StoryTenant) -> None:
    _crowd(shared, "busy", 5_000)
    twice = {"type": "event_sequence", "events": ["order_placed", "order_placed"], "strict": True, "window_days": 30}
    found = explained(shared, "busy", THIS_MONTH, twice, LAPSED, logic="OR", most_events_read=1_000_000)
    flips = [one.flips_at for one in found.definition.conditions]
    last = T0 + days(30)
    assert flips == [last - timedelta(seconds=1), last - timedelta(seconds=1), last + MILLISECOND]
    assert (found.flips_at, found.no_flip_before) == (last - timedelta(seconds=1), None)


def test_a_user_of_many_events_is_explained(shared: StoryTenant) -> None:
    orders = 100_000
    _crowd(shared, "crowded", orders)
    total = {"type": "monetary", "event_type": "order_placed", "property": "total", "metric": "sum"}
    twice = {"type": "event_sequence", "events": ["order_placed", "order_placed"], "strict": True}
    found = explained(
        shared, "crowded", {**total, "operator": "gte", "value": 1, "window_days": 30}, twice, most_events_read=200_000
    )
    assert [one.actual for one in found.definition.conditions] == [
        {"sum": 4_950_000, "amounts": orders},
        {"steps_reached": 2, "steps": 2},
    ]
    assert found.is_member
    assert found.no_flip_before is not None


def test_the_largest_document_is_explained(shared: StoryTenant) -> None:
    shared.ingest(ordered("large", at=T0 - days(1)))
    month = {"last": 1, "unit": "month"}
    steady = {"type": "regularity", "event_type": "order_placed", "period": month, "operator": "gte", "value": 1}
    steps = [{"event_type": "order_placed", "where": [{"property": f"p{n}", "operator": "is_set"}]} for n in range(10)]
    sequence = {"type": "event_sequence", "events": steps}
    conditions = [{**steady, "periods": 60, "min_periods": number} for number in range(1, 11)]
    conditions += [{**sequence, "within": {"last": number, "unit": "day"}} for number in (1, 2)]
    conditions += [{**THIS_MONTH, "value": number} for number in range(2, 90)]
    found = explained(shared, "large", *conditions, logic="OR")
    first, *others = found.definition.conditions
    assert (first.holds, first.actual) == (True, {"periods_kept": 1, "periods": 60, "counts": [1] + [0] * 59})
    assert first.flips_at == found.flips_at
    assert not any(one.holds for one in others)


# -- the tree ------------------------------------------------------------------------------------------------


def test_a_referenced_segment_is_unfolded_once(shared: StoryTenant) -> None:
    shared.ingest(ordered("referring", at=T0 - days(2)))
    shared.define({"lapsed": {"logic": "AND", "conditions": [LAPSED]}})
    member = {"type": "segment_membership", "segment_id": "lapsed", "operator": "in"}
    found = explained(shared, "referring", member, {**member, "operator": "not_in"}, logic="OR")
    first, second = found.definition.conditions
    assert [inner.path for inner in first.conditions] == ["segment lapsed: conditions[0]"]
    assert (second.conditions, second.unfolded_at) == ((), "conditions[0]")
    assert (first.holds, second.holds, found.is_member) == (False, True, True)
    assert first.flips_at == second.flips_at == T0 + days(28) + MILLISECOND
    assert found.flips_at is None
    assert first.actual == second.actual == {"is_member": False}


def test_a_sequence_tells_how_far_the_user_got(shared: StoryTenant) -> None:
    view, order = (happened("halfway", kind, T0 - days(age)) for kind, age in (("page_viewed", 3), ("cart_updated", 2)))
    shared.ingest([view, order])
    steps = {"type": "event_sequence", "events": ["page_viewed", "cart_updated", "order_placed"]}
    condition = only(explained(shared, "halfway", steps))
    assert condition.actual == {"steps_reached": 2, "steps": 3}
    assert [event.event_id for event in condition.decided_by] == [str(view.event_id), str(order.event_id)]


def test_values_and_amounts_are_shown_as_they_are(shared: StoryTenant) -> None:
    shared.ingest(ordered("values", at=T0 - days(1), payload='{"total": 0.1, "items": [{"sku": "a"}, {"sku": 1}]}'))
    shared.ingest(ordered("values", at=T0 - days(2), payload='{"total": 0.2}'))
    total = {"type": "monetary", "event_type": "order_placed", "property": "total", "metric": "sum"}
    sku = {"type": "event_property", "event_type": "order_placed", "property": "items[].sku", "operator": "is_set"}
    found = explained(shared, "values", {**total, "operator": "eq", "value": 0.3}, sku)
    assert [one.actual for one in found.definition.conditions] == [{"sum": 0.3, "amounts": 2}, {"value": ["a", 1]}]


def test_a_user_without_events_is_in_no_segment(shared: StoryTenant) -> None:
    never = {"type": "event_count", "event_type": "order_placed", "operator": "eq", "value": 0}
    found = explained(shared, "nobody", never)
    assert (found.events, found.is_member, found.flips_at, found.no_flip_before) == (0, False, None, None)


def test_a_user_whose_first_event_is_yet_to_come_enters_then(shared: StoryTenant) -> None:
    shared.ingest([happened("unborn", "page_viewed", T0 + days(1))])
    never = {"type": "event_count", "event_type": "order_placed", "operator": "eq", "value": 0}
    found = explained(shared, "unborn", never)
    assert (found.events, found.is_member, found.flips_at) == (0, False, T0 + days(1))


def test_an_unknown_segment_is_refused(shared: StoryTenant) -> None:
    with pytest.raises(NotFound):
        explain(shared.catalog, shared.warehouse, shared.slug, "no-such", "ada")


# -- what is stored ------------------------------------------------------------------------------------------


def stored(found: Explanation) -> StoredMembership:
    assert found.stored is not None
    return found.stored


def kinds(found: Explanation) -> list[str]:
    return [reason.kind for reason in stored(found).reasons]


def test_the_stored_membership_agrees_after_a_computation(shared: StoryTenant) -> None:
    shared.ingest(ordered("agreeing", at=T0 - days(1)))
    assert explained(shared, "agreeing", LAPSED).stored is None
    shared.compute(at=T0, segments=["agreeing"])
    found = explained(shared, "agreeing", LAPSED)
    assert (stored(found).is_member, stored(found).agrees, stored(found).at) == (False, True, T0)


def test_time_that_passed_since_the_computation_is_named(shared: StoryTenant) -> None:
    shared.ingest(ordered("aging", at=T0 - days(29)))
    explained(shared, "aging", LAPSED)
    shared.compute(at=T0, segments=["aging"])
    found = explained(shared, "aging", LAPSED, at=T0 + days(2))
    assert (found.is_member, stored(found).is_member, kinds(found)) == (True, False, ["time_passed"])


def test_events_that_arrived_since_the_computation_are_named(shared: StoryTenant) -> None:
    shared.ingest(ordered("arriving", at=T0 - days(40)))
    explained(shared, "arriving", LAPSED)
    shared.compute(at=T0, segments=["arriving"])
    shared.ingest(ordered("arriving", at=T0 - days(1)))
    found = explained(shared, "arriving", LAPSED)
    assert (found.is_member, stored(found).is_member, kinds(found)) == (False, True, ["events_arrived"])


def test_an_edit_since_the_computation_is_named(shared: StoryTenant) -> None:
    shared.ingest(ordered("edited", at=T0 - days(1)))
    explained(shared, "edited", LAPSED)
    shared.compute(at=T0, segments=["edited"])
    found = explained(shared, "edited", {**LAPSED, "operator": "lt"})
    assert (found.is_member, kinds(found)) == (True, ["definition_edited"])


def test_an_edit_of_a_referenced_segment_is_named(shared: StoryTenant) -> None:
    shared.ingest(ordered("above", at=T0 - days(1)))
    shared.define({"below": {"logic": "AND", "conditions": [LAPSED]}})
    member = {"type": "segment_membership", "segment_id": "below", "operator": "in"}
    explained(shared, "above", member)
    shared.compute(at=T0, segments=["above"])
    shared.define({"below": {"logic": "AND", "conditions": [{**LAPSED, "operator": "lt"}]}})
    assert kinds(explained(shared, "above", member)) == ["referenced_segment_edited"]


def test_an_archived_segment_is_explained_and_said_to_be_left_alone(shared: StoryTenant) -> None:
    shared.ingest(ordered("archived", at=T0 - days(40)))
    explained(shared, "archived", LAPSED)
    shared.compute(at=T0, segments=["archived"])
    shared.catalog.archive_segment(shared.slug, "archived")
    shared.ingest(ordered("archived", at=T0 - days(1)))
    found = explain(shared.catalog, shared.warehouse, shared.slug, "archived", "archived", at=T0)
    assert kinds(found) == ["archived", "events_arrived"]


def test_a_wrong_membership_that_nothing_accounts_for_is_told(shared: StoryTenant) -> None:
    shared.ingest(ordered("tampered", at=T0 - days(1)))
    explained(shared, "tampered", LAPSED)
    shared.compute(at=T0, segments=["tampered"])
    segment_id = shared.catalog.get_segment(shared.slug, "tampered").id
    shared.database.insert(
        "segment_memberships",
        [[segment_id, "tampered", T0, 2**62, 0]],
        ["segment_id", "user_id", "computed_at", "version", "is_deleted"],
    )
    assert kinds(explained(shared, "tampered", LAPSED)) == ["unexplained"]
