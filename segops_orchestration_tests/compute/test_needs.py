"""What a delta copies of a user's events: no more than what the segments read for which the user is a candidate."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from segops_orchestration.compute.needs import EVERY_TYPE, Needs, needs_of
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


def whole(*event_types: str) -> Needs:
    return Needs(whole=frozenset(event_types))


def recent(*event_types: str) -> Needs:
    return Needs(recent=frozenset(event_types))


NEEDS: Mapping[str, tuple[Document, Needs]] = {
    "a count of all time": (event_count("gte", 1), whole(ORDER)),
    "a count in a window": (event_count("gte", 1, window_days=93), recent(ORDER)),
    "a count in a window that is longer": (event_count("gte", 1, window_days=93.5), whole(ORDER)),
    "three months": (event_count("gte", 1, window={"last": 3, "unit": "month"}), recent(ORDER)),
    "four months": (event_count("gte", 1, window={"last": 4, "unit": "month"}), whole(ORDER)),
    "between two ages": (event_count("gte", 1, window={"from_ago": 9, "to_ago": 2, "unit": "day"}), recent(ORDER)),
    "above an age": (event_count("gte", 1, window={"to_ago": 2, "unit": "day"}), whole(ORDER)),
    "a fixed window": (event_count("gte", 1, window={"from": "2026-01-01"}), whole(ORDER)),
    "recency lt": (recency("lt", 30), recent(ORDER)),
    "recency eq, to the end of its day": (recency("eq", 92), recent(ORDER)),
    "recency eq, one day more": (recency("eq", 93), whole(ORDER)),
    "recency gt": (recency("gt", 30), whole(ORDER)),
    "an amount": (monetary("sum", "gte", 1, window_days=7), recent(ORDER)),
    "the latest event": (event_property("total", "is_set"), whole(ORDER)),
    "a user property": (user_property("plan", "is_set"), whole(IDENTIFIED)),
    "a sequence": (sequence(VIEW, ORDER, window_days=7), recent(VIEW, ORDER)),
    "a strict sequence": (sequence(VIEW, ORDER, strict=True, window_days=7), recent(EVERY_TYPE)),
    "a first event": ({"type": "first_event", "event_type": ORDER, "window_days": 7}, whole(ORDER)),
    "a segment": (membership("vip"), Needs()),
    "what is inside a not": (negated(event_count("gte", 1, window_days=7)), recent(ORDER)),
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
