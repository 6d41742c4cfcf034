"""The tests of a segment file: what they say, and how mistakes in them are told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from segops_orchestration.dsl.parse import canonical_json
from segops_orchestration.dsl.segment_file import parse_segment_document, parse_segment_text
from segops_orchestration.dsl.segment_tests import SegmentTest
from segops_orchestration.errors import InvalidDocument

FILE = """
slug: vip
name: VIP
definition:
  logic: AND
  conditions:
    - {type: event_count, event_type: order_placed, operator: gte, value: 1}
tests:
  - name: one order is enough
    at: 2026-03-01T12:00:00Z
    events:
      - {user_id: ann, event_type: order_placed, occurred_at: -3d, payload: {total: 19.90}}
      - {user_id: bob, event_type: page_viewed, occurred_at: 2026-02-27, event_id: first}
    in: [ann]
    out: [bob]
"""
EVENT = {"user_id": "ann", "event_type": "order_placed", "occurred_at": "-3d"}
TEST: dict[str, Any] = {"at": "2026-03-01", "events": [EVENT], "in": ["ann"]}


def segment(*tests: object) -> dict[str, object]:
    condition = {"type": "event_count", "event_type": "order_placed", "operator": "gte", "value": 1}
    definition = {"logic": "AND", "conditions": [condition]}
    return {"slug": "vip", "name": "VIP", "definition": definition, "tests": list(tests)}


def problems(*tests: object) -> list[str]:
    with pytest.raises(InvalidDocument) as failure:
        parse_segment_document(segment(*tests))
    return [str(problem) for problem in failure.value.problems]


def test_a_test_has_events_an_instant_and_who_is_in_and_out() -> None:
    [test] = parse_segment_text(FILE, format="yaml").tests

    assert (test.name, test.instant) == ("one order is enough", datetime(2026, 3, 1, 12, tzinfo=UTC))
    assert (test.in_, test.out) == (("ann",), ("bob",))
    assert test.events[0].payload == {"total": 19.9}
    assert test.events[1].event_id == "first"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-3d", "2026-02-26 12:00"),
        ("+90m", "2026-03-01 13:30"),
        ("-2w", "2026-02-15 12:00"),
        ("-0s", "2026-03-01 12:00"),
        ("-12h", "2026-03-01 00:00"),
        ("2026-02-27", "2026-02-27 00:00"),
        ("2026-02-27T10:00:00+02:00", "2026-02-27 08:00"),
    ],
)
def test_an_event_happens_at_an_instant_or_relative_to_that_of_the_test(text: str, expected: str) -> None:
    test = SegmentTest.model_validate(
        {**TEST, "at": "2026-03-01T12:00:00Z", "events": [{**EVENT, "occurred_at": text}]}
    )

    assert f"{test.events[0].instant(test.instant):%Y-%m-%d %H:%M}" == expected


def test_tests_are_no_part_of_the_definition() -> None:
    with_tests = parse_segment_document(segment(TEST))
    without = parse_segment_document({key: value for key, value in segment().items() if key != "tests"})

    assert canonical_json(with_tests.definition) == canonical_json(without.definition)
    assert without.tests == ()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"at": "soon"}, "tests[0].at: found 'soon'; allowed: an ISO date or time such as 2026-03-01T12:00:00Z"),
        ({"events": []}, "tests[0].events: found an array of 0; allowed: an array of 1 to 1,000 events"),
        ({"events": ["ann"]}, "tests[0].events[0]: found 'ann'; allowed: an object with user_id, event_type and "
         "occurred_at"),
        ({"in": ["ann", 7]}, "tests[0].in[1]: found 7; allowed: a user id, text of 1 to 512 characters"),
        ({"out": ["ann"]}, "tests[0].out[0]: 'ann' is listed under in too"),
        ({"in": ["anna"]}, "tests[0].in[0]: 'anna' has no event in this test; who has none is in no segment"),
        ({"in": []}, "tests[0]: in and out are both missing; name at least one user in one of them"),
        ({"name": ""}, "tests[0].name: found ''; allowed: text of 1 to 200 characters"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_path(change: dict[str, Any], expected: str) -> None:
    assert problems({**TEST, **change}) == [expected]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"occurred_at": "-3 days"}, "occurred_at: found '-3 days'; allowed: an ISO date or time such as "
         "2026-03-01T12:00:00Z, or one relative to at such as -3d or +90m (s, m, h, d, w)"),
        ({"occurred_at": "-999999w"}, "occurred_at: found '-999999w'; allowed: an instant in the years 1970 to 2200"),
        ({"payload": [1]}, "payload: found an array of 1; allowed: an object of properties"),
        ({"user": "ann"}, "user: unknown field; allowed: user_id, event_type, occurred_at, payload, event_id; "
         "did you mean 'user_id'?"),
    ],
)  # fmt: skip
def test_a_mistake_in_an_event_is_told_with_its_path(change: dict[str, Any], expected: str) -> None:
    assert problems({**TEST, "events": [{**EVENT, **change}]}) == [f"tests[0].events[0].{expected}"]


def test_a_missing_field_is_told_with_what_it_needs() -> None:
    assert problems({"events": [EVENT], "in": ["ann"]}) == [
        "tests[0].at: missing; required: an ISO date or time such as 2026-03-01T12:00:00Z"
    ]


def test_every_mistake_is_told_at_once() -> None:
    assert len(problems({**TEST, "at": "soon"}, {**TEST, "out": ["ann"]}, "no test")) == 3
