"""What a delta copies of a user's events: no more than what the segments read for which the user is a candidate."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from segops_orchestration.compute.needs import ALL_DAYS, EVERY_TYPE, Need, Needs, combined, needs_of
from segops_orchestration.dsl.parse import parse_definition
from segops_orchestration_tests.compute.story import T0, T1, days, happened
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.oracle.case import (
    IDENTIFIED,
    ORDER,
    VIEW,
    Document,
    all_of,
    event_count,
    event_property,
    membership,
    monetary,
    negated,
    recency,
    sequence,
    user_property,
)


def times(*event_types: str, days: int = ALL_DAYS) -> Needs:
    """Events without their payloads."""
    return frozenset(Need(event_type, days) for event_type in event_types)


def payloads(*event_types: str, days: int = ALL_DAYS) -> Needs:
    return frozenset(Need(event_type, days, payload=True) for event_type in event_types)


PAID = [{"property": "paid", "operator": "eq", "value": True}]

NEEDS: Mapping[str, tuple[Document, Needs]] = {
    "a count of all time": (event_count("gte", 1), times(ORDER)),
    "a count in a window": (event_count("gte", 1, window_days=93), times(ORDER, days=93)),
    "a window of part of a day": (event_count("gte", 1, window_days=0.1), times(ORDER, days=1)),
    "a count of filtered events": (event_count("gte", 1, where=PAID, window_days=7), payloads(ORDER, days=7)),
    "three months, however long": (event_count("gte", 1, window={"last": 3, "unit": "month"}), times(ORDER, days=93)),
    "between two ages": (
        event_count("gte", 1, window={"from_ago": 9, "to_ago": 2, "unit": "day"}),
        times(ORDER, days=9),
    ),
    "above an age": (event_count("gte", 1, window={"to_ago": 2, "unit": "day"}), times(ORDER)),
    "a fixed window": (event_count("gte", 1, window={"from": "2026-01-01"}), times(ORDER)),
    "recency lt": (recency("lt", 30), times(ORDER, days=31)),
    "recency eq, to the end of its day": (recency("eq", 92), times(ORDER, days=93)),
    "recency gt": (recency("gt", 30), times(ORDER)),
    "an amount": (monetary("sum", "gte", 1, window_days=7), payloads(ORDER, days=7)),
    "the latest event": (event_property("total", "is_set"), payloads(ORDER)),
    "a user property": (user_property("plan", "is_set"), payloads(IDENTIFIED)),
    "a sequence": (sequence(VIEW, ORDER, window_days=7), times(VIEW, ORDER, days=7)),
    "a strict sequence": (sequence(VIEW, ORDER, strict=True, window_days=7), times(EVERY_TYPE, days=7)),
    "a first event": ({"type": "first_event", "event_type": ORDER, "window_days": 7}, times(ORDER)),
    "a segment": (membership("vip"), frozenset()),
    "what is inside a not": (negated(event_count("gte", 1, window_days=7)), times(ORDER, days=7)),
}


@pytest.mark.parametrize("name", NEEDS)
def test_what_a_condition_reads_is_copied(name: str) -> None:
    condition, needs = NEEDS[name]

    assert needs_of(parse_definition(all_of(condition))) == needs


def test_a_user_who_comes_up_again_for_a_segment_that_reads_more_gets_what_was_not_copied(tenant: StoryTenant) -> None:
    tenant.define({"viewers": all_of(event_count("gte", 1, VIEW, window_days=1))})
    # Evaluated once viewers are, for users that time moved out of there; it reads orders of any age, and views too.
    tenant.define(
        {
            "lapsed": all_of(
                membership("viewers", "not_in"), monetary("sum", "eq", 7), event_count("eq", 2, VIEW, window_days=30)
            )
        }
    )
    tenant.ingest(
        [
            happened("ann", VIEW, T1 - days(1)),
            happened("ann", VIEW, T1 - days(20)),
            happened("ann", ORDER, T0 - days(200), '{"total": 3}'),
            happened("ann", ORDER, T0 - days(2), '{"total": 4}'),
        ]
    )
    tenant.compute("full", at=T0)
    assert tenant.all_members() == {"viewers": {"ann"}, "lapsed": frozenset()}

    tenant.compute("delta", at=T1)

    assert tenant.all_members() == {"viewers": frozenset(), "lapsed": {"ann"}}


def test_what_another_need_covers_is_left_out() -> None:
    needs = [Need(ORDER, 7), Need(ORDER, 30), Need(ORDER, 7, payload=True), Need(VIEW, 30), Need(EVERY_TYPE, 30)]

    assert combined(needs) == {Need(EVERY_TYPE, 30), Need(ORDER, 7, payload=True)}


def test_an_event_that_is_needed_with_its_payload_and_for_its_time_counts_once(tenant: StoryTenant) -> None:
    tenant.define(
        {
            "buyers": all_of(event_count("eq", 2, window_days=30)),
            "big_buyers": all_of(monetary("sum", "eq", 7, window_days=10)),
        }
    )
    tenant.compute("full", at=T0)
    tenant.ingest(
        [
            happened("ann", ORDER, T0 - days(20), '{"total": 3}'),
            happened("ann", ORDER, T0 - days(2), '{"total": 7}'),
        ]
    )

    tenant.compute("delta", at=T1)

    assert tenant.all_members() == {"buyers": {"ann"}, "big_buyers": {"ann"}}


def test_a_payload_that_only_a_later_level_reads_is_copied_with_the_event(tenant: StoryTenant) -> None:
    tenant.define({"viewers": all_of(event_count("gte", 1, VIEW, window_days=1))})
    viewed = event_count("eq", 1, VIEW, where=[{"property": "page", "operator": "eq", "value": "home"}])
    tenant.define({"lost": all_of(membership("viewers", "not_in"), viewed)})
    tenant.ingest([happened("ann", VIEW, T1 - days(1), '{"page": "home"}')])
    tenant.compute("full", at=T0)
    assert tenant.all_members() == {"viewers": {"ann"}, "lost": frozenset()}

    tenant.compute("delta", at=T1)

    assert tenant.all_members() == {"viewers": frozenset(), "lost": {"ann"}}
