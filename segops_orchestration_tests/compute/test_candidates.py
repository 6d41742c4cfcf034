"""A delta evaluates the users whose answer can have changed, and nobody else.

Each time limit is tried with one user at each side of each of its edges; each such user has a segment and event types
of their own, so that a segment's number of candidates says whether that user was one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration_tests.compute.conftest import tenants
from segops_orchestration_tests.compute.story import T0, T1, days, happened, ordered
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.oracle.case import (
    HOUR,
    IDENTIFIED,
    MINUTE,
    MS,
    Document,
    all_of,
    event_count,
    event_property,
    membership,
    monetary,
    recency,
    sequence,
    user_property,
)

WHEN: Mapping[str, datetime] = {
    "T0": T0,
    "T0 + 1 ms": T0 + MS,
    "T1": T1,
    "T1 + 1 ms": T1 + MS,
    "long ago": T0 - days(400),
    "T0 - 1 day - 1 ms": T0 - days(1) - MS,
    "T0 - 1 day": T0 - days(1),
    "T0 - 1 day + 1 ms": T0 - days(1) + MS,
    "T1 - 1 day - 1 ms": T1 - days(1) - MS,
    "T1 - 1 day": T1 - days(1),
    "T1 - 1 day + 1 ms": T1 - days(1) + MS,
    "T0 - 2 days": T0 - days(2),
    "T0 - 2 days + 1 ms": T0 - days(2) + MS,
    "T1 - 2 days": T1 - days(2),
    "T1 - 2 days + 1 ms": T1 - days(2) + MS,
}
# The dates near a limit of days are for conditions that have one.
ALWAYS_TRIED = 5
PRESENT = {"T0 + 1 ms", "T1"}
ONE_DAY = {"T0 - 1 day + 1 ms", "T1 - 1 day - 1 ms", "T1 - 1 day"}
ONE_DAY_INCLUSIVE = {"T0 - 1 day", "T0 - 1 day + 1 ms", "T1 - 1 day - 1 ms"}
TWO_DAYS = {"T0 - 2 days + 1 ms", "T1 - 2 days"}


def _is(path: str, value: object) -> Document:
    return {"property": path, "operator": "eq", "value": value}


def _last(amount: int, unit: str) -> Document:
    return {"last": amount, "unit": unit}


def _two_days_running(event_type: str) -> Document:
    return {
        "type": "regularity",
        "event_type": event_type,
        "period": _last(1, "day"),
        "periods": 2,
        "min_periods": 2,
        "operator": "gte",
        "value": 1,
    }


@dataclass(frozen=True)
class Limits:
    """A condition about events of a type, and when an event must be dated to make its user a candidate."""

    condition: Callable[[str], Document]
    candidates: set[str]


LIMITS: Mapping[str, Limits] = {
    "event_count": Limits(lambda e: event_count("gte", 1, e), PRESENT),
    "event_count of none": Limits(lambda e: event_count("eq", 0, e), PRESENT),
    "event_count in a window": Limits(lambda e: event_count("gte", 1, e, window_days=1), PRESENT | ONE_DAY),
    "event_count of none in a window": Limits(lambda e: event_count("lte", 0, e, window_days=1), PRESENT | ONE_DAY),
    "recency lt": Limits(lambda e: recency("lt", 1, e), PRESENT | ONE_DAY),
    "recency gt": Limits(lambda e: recency("gt", 1, e), PRESENT | ONE_DAY_INCLUSIVE),
    "recency eq": Limits(lambda e: recency("eq", 1, e), PRESENT | ONE_DAY | TWO_DAYS),
    "monetary": Limits(lambda e: monetary("sum", "gte", 1, event_type=e), PRESENT),
    "event_property": Limits(lambda e: event_property("total", "is_set", e), PRESENT),
    "sequence, its first step": Limits(lambda e: sequence(e, "never", window_days=1), PRESENT | ONE_DAY),
    "sequence, a later step": Limits(lambda e: sequence("never", e, window_days=1), PRESENT),
    "sequence of all time": Limits(lambda e: sequence(e, "never"), PRESENT),
    "a filter that the event satisfies": Limits(lambda e: event_count("gte", 1, e, where=[_is("total", 7)]), PRESENT),
    "a filter that it does not": Limits(lambda e: event_count("gte", 1, e, where=[_is("total", 8)]), set()),
    "a step's filter that the event does not satisfy": Limits(
        lambda e: sequence({"event_type": e, "where": [_is("total", 8)]}, "never", window_days=1), set()
    ),
    "the last hours": Limits(
        lambda e: monetary("sum", "gte", 1, event_type=e, window=_last(24, "hour")), PRESENT | ONE_DAY
    ),
    "between two ages": Limits(
        lambda e: event_count("gte", 1, e, window={"from_ago": 2, "to_ago": 1, "unit": "day"}), ONE_DAY | TWO_DAYS
    ),
    "of any age above one": Limits(lambda e: event_count("gte", 1, e, window={"to_ago": 1, "unit": "day"}), ONE_DAY),
    "a fixed window that ends at T1": Limits(
        lambda e: event_count("gte", 1, e, window={"to": T1.isoformat()}), PRESENT - {"T1"}
    ),
    "a fixed window of the past": Limits(lambda e: event_count("gte", 1, e, window={"to": "2020-01-01"}), set()),
    "a sequence between two ages": Limits(
        lambda e: sequence("never", e, window={"from_ago": 2, "to_ago": 1, "unit": "day"}), ONE_DAY
    ),
    "first_event": Limits(lambda e: {"type": "first_event", "event_type": e, "window_days": 1}, PRESENT | ONE_DAY),
    "regularity": Limits(lambda e: _two_days_running(e), PRESENT | ONE_DAY | TWO_DAYS),
}


@pytest.fixture(scope="module")
def found(module_catalog: Catalog, warehouse: Warehouse) -> Mapping[str, set[str]]:
    """By condition, the dates that made a user a candidate."""
    places = {
        f"c{number}-p{place}": (condition, when)
        for number, condition in enumerate(LIMITS)
        for place, when in enumerate(WHEN)
        if place < ALWAYS_TRIED or LIMITS[condition].candidates != PRESENT
    }
    with tenants(module_catalog, warehouse) as new_tenant:
        tenant = new_tenant()
        tenant.define({slug: all_of(LIMITS[condition].condition(slug)) for slug, (condition, _) in places.items()})
        tenant.ingest(happened(slug, slug, WHEN[when], '{"total": 7}') for slug, (_, when) in places.items())
        tenant.ingest(happened(slug, "hello", T0 - days(500)) for slug in places)
        tenant.compute("full", at=T0)
        delta = tenant.compute("delta", at=T1)

    assert {segment.mode for segment in delta.segments} == {"delta"}
    assert {segment.candidates for segment in delta.segments} == {0, 1}
    result: dict[str, set[str]] = {condition: set() for condition in LIMITS}
    for segment in delta.segments:
        condition, when = places[segment.slug]
        result[condition] |= {when} if segment.candidates else set()
    return result


@pytest.mark.parametrize("condition", LIMITS)
def test_only_events_that_crossed_a_limit_make_candidates(condition: str, found: Mapping[str, set[str]]) -> None:
    assert found[condition] == LIMITS[condition].candidates


def candidates(tenant: StoryTenant, at: datetime = T1) -> dict[str, int | None]:
    result = tenant.compute("delta", at=at)
    assert {segment.mode for segment in result.segments} == {"delta"}
    return {segment.slug: segment.candidates for segment in result.segments}


def test_an_identification_that_comes_due_makes_a_candidate(tenant: StoryTenant) -> None:
    tenant.define({"gold": all_of(user_property("plan", "eq", value="gold"))})
    dates = {"before": T0, "due": T0 + MS, "due too": T1, "later": T1 + MS}
    tenant.ingest(happened(user, IDENTIFIED, at, '{"plan": "gold"}') for user, at in dates.items())
    tenant.ingest(happened(user, "order_placed", T0 - HOUR) for user in dates)
    tenant.compute("full", at=T0)

    assert candidates(tenant) == {"gold": 2}
    assert tenant.members("gold") == {"before", "due", "due too"}


@pytest.mark.parametrize(
    ("operator", "dates"),
    [
        ("in_last", {"T0 + 1 ms", "T1", "T0 - 1 day + 1 ms", "T1 - 1 day"}),
        ("in_next", {"T0 + 1 ms", "T1", "T0 + 1 day + 1 ms", "T1 + 1 day"}),
        ("before_last", {"T0 - 1 day + 1 ms", "T1 - 1 day"}),
    ],
)
def test_a_date_in_a_payload_that_crosses_a_limit_makes_a_candidate(
    operator: str, dates: set[str], tenant: StoryTenant
) -> None:
    due = {
        f"{name}{sign}{end}": at + days(count) + edge
        for name, at in (("T0", T0), ("T1", T1))
        for sign, count in (("", 0), (" - 1 day", -1), (" + 1 day", 1))
        for end, edge in (("", 0 * MS), (" + 1 ms", MS))
    }
    tested: Document = {"property": "due[].on", "operator": operator, "value": _last(1, "day")}
    of_elements = {"property": "due", "operator": "has_element", "where": [{**tested, "property": "on"}]}
    tenant.define(
        {
            "user": all_of({"type": "user_property", **tested}),
            "event": all_of(
                event_property(
                    event_type="context_identified", path=tested["property"], operator=operator, value=tested["value"]
                )
            ),
            "element": all_of({"type": "user_property", **of_elements}),
            "filter": all_of(event_count("gte", 1, IDENTIFIED, where=[tested])),
        }
    )
    for number, (user, at) in enumerate(due.items()):
        # Written in two ways, the second of which hides the day from a search for it.
        text = at.isoformat() if number % 2 else at.isoformat().replace("-", "\\u002d")
        tenant.ingest(
            [happened(user, IDENTIFIED, T0 - days(30), f'{{"due": [{{"on": "1999-12-31"}}, {{"on": "{text}"}}]}}')]
        )
    tenant.compute("full", at=T0)

    assert candidates(tenant) == dict.fromkeys(("user", "event", "element", "filter"), len(dates))
    evaluated = tenant.compute("full", at=T1)
    assert {segment.entered + segment.exited for segment in evaluated.segments} == {0}


def test_an_identification_that_reaches_the_age_asked_for_makes_a_candidate(tenant: StoryTenant) -> None:
    held = {"type": "property_held", "property": "plan", "operator": "eq", "value": "gold", "at_least": _last(1, "day")}
    tenant.define({"loyal": all_of(held)})
    for name, at in WHEN.items():
        tenant.ingest([happened(name, "hello", T0 - days(500)), happened(name, IDENTIFIED, at, '{"plan": "gold"}')])
    tenant.compute("full", at=T0)

    assert candidates(tenant) == {"loyal": len(PRESENT | ONE_DAY)}
    assert tenant.compute("full", at=T1).segments[0].entered == 0


def test_a_month_ago_that_moves_back_makes_candidates_of_those_it_passes(tenant: StoryTenant) -> None:
    tenant.define({"recent": all_of(event_count("gte", 1, window=_last(1, "month")))})
    march_30, march_31 = (datetime(2026, 3, day, 12, tzinfo=UTC) for day in (30, 31))
    february_28 = datetime(2026, 2, 28, 12, tzinfo=UTC)
    tenant.ingest(
        [
            happened("always out", "order_placed", february_28),
            happened("out, then in", "order_placed", february_28 + 30 * MINUTE),
            happened("always in", "order_placed", february_28 + HOUR + MS),
        ]
    )
    tenant.compute("full", at=march_30 + HOUR)
    assert tenant.members("recent") == {"always in"}

    assert candidates(tenant, at=march_31) == {"recent": 1}
    assert tenant.members("recent") == {"out, then in", "always in"}


def test_an_event_of_another_type_that_comes_due_lies_after_a_strict_sequence_not_within(tenant: StoryTenant) -> None:
    tenant.define({"straight": all_of(sequence("page_viewed", "order_placed", strict=True, window_days=1))})
    for user in ("after", "bystander", "leaving", "not the first"):
        tenant.ingest([happened(user, "hello", T0 - days(500))])
    tenant.ingest([happened("after", "anything", T1)])
    tenant.ingest([happened("bystander", "anything", T1 + MS), happened("bystander", "page_viewed", T0)])
    tenant.ingest([happened("leaving", "page_viewed", T1 - days(1)), happened("leaving", "order_placed", T0)])
    tenant.ingest([happened("not the first", "anything", T1 - days(1))])
    tenant.compute("full", at=T0)
    assert tenant.members("straight") == {"leaving"}

    assert candidates(tenant) == {"straight": 1}
    assert tenant.members("straight") == set()


def test_with_no_event_and_no_limit_passed_nobody_is_evaluated(tenant: StoryTenant) -> None:
    tenant.define({"buyers": all_of(event_count("gte", 1)), "others": all_of(event_count("eq", 0))})
    tenant.ingest(ordered("ann", "bob"))
    tenant.compute("full", at=T0)

    assert candidates(tenant) == {"buyers": 0, "others": 0}


def test_who_had_an_event_arrive_is_evaluated_whatever_the_event(tenant: StoryTenant) -> None:
    tenant.define({"buyers": all_of(event_count("gte", 1)), "gold": all_of(user_property("plan", "is_set"))})
    tenant.ingest(ordered("ann", "bob", "carol"))
    tenant.compute("full", at=T0)
    tenant.ingest([happened("ann", "newsletter_opened", T0 - days(90)), happened("bob", "order_placed", T1)])

    assert candidates(tenant) == {"buyers": 2, "gold": 2}


def test_who_comes_to_exist_is_evaluated(tenant: StoryTenant) -> None:
    tenant.define({"others": all_of(event_count("eq", 0))})
    tenant.ingest([*ordered("ann"), happened("new", "page_viewed", T1), happened("later", "page_viewed", T1 + MS)])
    tenant.compute("full", at=T0)

    assert candidates(tenant) == {"others": 1}
    assert tenant.members("others") == {"new"}


def test_who_existed_before_is_not_evaluated_for_an_event_that_no_condition_asks_about(tenant: StoryTenant) -> None:
    tenant.define({"others": all_of(event_count("eq", 0))})
    tenant.ingest([happened("ann", "page_viewed", T0 - HOUR)])
    tenant.ingest([happened("ann", "page_viewed", T1)])
    tenant.compute("full", at=T0)

    assert candidates(tenant) == {"others": 0}


def test_who_entered_or_left_a_referenced_segment_is_evaluated(tenant: StoryTenant) -> None:
    tenant.define({"recent": all_of(event_count("gte", 1, window_days=1))})
    tenant.define({"in": all_of(membership("recent")), "out": all_of(membership("recent", "not_in"))})
    tenant.ingest(ordered("leaves", at=T1 - days(1)))
    tenant.ingest(ordered("stays", at=T0))
    tenant.ingest([*ordered("enters", at=T1), *ordered("enters", at=T0 - days(90))])
    tenant.compute("full", at=T0)

    assert candidates(tenant) == {"recent": 2, "in": 2, "out": 2}
    assert tenant.members("in") == {"stays", "enters"}
    assert tenant.members("out") == {"leaves"}


def test_a_user_who_was_evaluated_and_stayed_put_in_a_reference_concerns_nobody(tenant: StoryTenant) -> None:
    tenant.define({"buyers": all_of(event_count("gte", 1))})
    tenant.define({"in": all_of(membership("buyers"))})
    tenant.ingest([*ordered("ann"), *ordered("ann", at=T1)])
    tenant.compute("full", at=T0)

    assert candidates(tenant) == {"buyers": 1, "in": 0}


def test_segments_computed_at_different_times_have_candidates_of_their_own(tenant: StoryTenant) -> None:
    tenant.define({"early": all_of(event_count("gte", 1)), "late": all_of(event_count("gte", 2))})
    tenant.ingest(ordered("ann"))
    tenant.compute("full", at=T0)
    tenant.ingest(ordered("bob"))
    tenant.compute("delta", at=T0, segments=["late"])
    tenant.ingest(ordered("carol"))

    assert candidates(tenant) == {"early": 2, "late": 1}
