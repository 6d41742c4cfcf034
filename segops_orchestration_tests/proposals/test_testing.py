"""The tests of segment files: run by the real engine, apart from one another, on a database that is gone afterwards."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from segops_orchestration.dsl.segment_file import SegmentDocument, parse_segment_document
from segops_orchestration.errors import InvalidDocument
from segops_orchestration.proposals import testing
from segops_orchestration.proposals.scratch import ScratchDatabase, drop_leftovers
from segops_orchestration.proposals.testing import Misplaced, run_tests
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration_tests.oracle.case import ORDER, Document, all_of, event_count, membership, monetary, negated
from segops_orchestration_tests.oracle.cases import CASES, EXTENSION_CASES, Case

AT = "2026-03-01T12:00:00Z"


def event(user: str, when: str = "-1d", total: float = 10, **more: Any) -> dict[str, Any]:
    return {"user_id": user, "event_type": ORDER, "occurred_at": when, "payload": {"total": total}, **more}


def document(slug: str, definition: Document, *tests: dict[str, Any]) -> SegmentDocument:
    given = {"slug": slug, "name": slug, "definition": definition}
    return parse_segment_document({**given, "tests": list(tests)} if tests else given)


def scratch_databases(warehouse: Warehouse) -> list[str]:
    rows = warehouse.admin.query("SELECT name FROM system.databases WHERE name LIKE 'scratch%'").result_rows
    return [name for (name,) in rows]


def test_a_test_passes_or_names_who_is_on_the_wrong_side(warehouse: Warehouse) -> None:
    vip = document(
        "vip",
        all_of(monetary("sum", "gte", 100)),
        {"name": "right", "at": AT, "events": [event("ann", total=100), event("bob")], "in": ["ann"], "out": ["bob"]},
        {"name": "wrong", "at": AT, "events": [event("ann", total=99), event("bob")], "in": ["ann"], "out": ["bob"]},
    )

    right, wrong = run_tests(warehouse, [vip])

    assert (right.slug, right.number, right.name, right.passed) == ("vip", 0, "right", True)
    assert (wrong.number, wrong.misplaced) == (1, (Misplaced("ann", "in", "out"),))


def test_tests_do_not_see_one_another(warehouse: Warehouse) -> None:
    twice = document(
        "twice",
        all_of(event_count("gte", 2)),
        {"at": AT, "events": [event("ann")], "out": ["ann"]},
        {"at": AT, "events": [event("ann"), event("ann", "-2d")], "in": ["ann"]},
        {"at": "2026-03-02", "events": [event("ann")], "out": ["ann"]},
    )
    once = document("once", all_of(event_count("eq", 1)), {"at": AT, "events": [event("ann")], "in": ["ann"]})

    assert all(outcome.passed for outcome in run_tests(warehouse, [twice, once]))


def test_segments_that_are_referred_to_are_evaluated_with_the_events_of_the_test(warehouse: Warehouse) -> None:
    documents = [
        document("rich", all_of(monetary("sum", "gte", 100))),
        document("regular", all_of(membership("rich"), event_count("gte", 2))),
        document(
            "other",
            all_of(negated(membership("regular")), membership("rich")),
            {
                "at": AT,
                "events": [event("ann", total=100), event("bob", total=60), event("bob", "-3h", 60), event("cid")],
                "in": ["ann"],
                "out": ["bob", "cid"],
            },
        ),
    ]

    assert [outcome.passed for outcome in run_tests(warehouse, documents)] == [True]


def test_a_reference_to_no_file_or_in_a_circle_is_refused_with_its_place(warehouse: Warehouse) -> None:
    test = {"at": AT, "events": [event("ann")], "in": ["ann"]}
    documents = [
        document("a", all_of(membership("b")), test),
        document("b", all_of(membership("a"), membership("vipp"))),
        document("vip", all_of(membership("nobody-tests-this"))),
    ]

    with pytest.raises(InvalidDocument) as failure:
        run_tests(warehouse, documents, sources={"a": "a.yaml", "b": "b.yaml"})

    assert [str(problem) for problem in failure.value.problems] == [
        "b.yaml: definition.conditions[1].segment_id: no segment 'vipp' among these files; did you mean 'vip'?",
        "a.yaml: definition.conditions[0].segment_id: segments refer to each other in a cycle: a -> b -> a",
    ]


def test_events_arrive_in_the_order_in_which_they_are_written(warehouse: Warehouse) -> None:
    same = {"event_id": "order 1"}
    last = {"type": "event_property", "event_type": ORDER, "property": "total", "operator": "eq", "value": 1}
    redelivered = {"at": AT, "events": [event("ann", total=1, **same), event("ann", total=2, **same)], "in": ["ann"]}
    later = {"at": AT, "events": [event("ann", total=2), event("ann", total=1)], "in": ["ann"]}
    to_come = {"at": AT, "events": [event("ann", total=1), event("ann", "+1m", total=2)], "in": ["ann"]}

    outcomes = run_tests(warehouse, [document("last", all_of(last), redelivered, later, to_come)])

    assert [outcome.passed for outcome in outcomes] == [True, True, True]


def test_the_scratch_database_is_dropped_also_after_a_failure(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    buyers = document("buyers", all_of(event_count("gte", 1)), {"at": AT, "events": [event("ann")], "in": ["ann"]})
    seen: list[list[str]] = []

    def fail(*_: object) -> None:
        seen.append(scratch_databases(warehouse))
        raise KeyboardInterrupt

    run_tests(warehouse, [buyers])
    assert scratch_databases(warehouse) == []
    monkeypatch.setattr(testing, "_ingest", fail)
    with pytest.raises(KeyboardInterrupt):
        run_tests(warehouse, [buyers])
    assert (len(seen[0]), scratch_databases(warehouse)) == (1, [])


def test_leftovers_of_processes_that_died_are_dropped_and_others_are_not(warehouse: Warehouse) -> None:
    dead = "scratch_segops_999999999_1767225600_aaaaaaaaaaaa"
    inherited = f"scratch_segops_{os.getpid()}_1767225600_aaaaaaaaaaaa"  # Of a process that had our number before us.
    alive = f"scratch_segops_{os.getpid()}_4102444800_aaaaaaaaaaaa"
    for name in (dead, inherited, alive):
        warehouse.admin.command(f"CREATE DATABASE {name}")

    assert drop_leftovers(warehouse) == sorted([dead, inherited])
    assert scratch_databases(warehouse) == [alive]
    ScratchDatabase(warehouse, alive).drop()


def as_documents(number: int, case: Case) -> Iterator[SegmentDocument]:
    """A case of the oracle as a segment file with a test, beside the files that it refers to."""
    slugs = {key: f"case-{number}-{key}" for key in case.segments}

    def renamed(value: Any) -> Any:
        if isinstance(value, list):
            return [renamed(item) for item in value]
        if not isinstance(value, dict):
            return value
        return {key: slugs[item] if key == "segment_id" else renamed(item) for key, item in value.items()}

    for key, definition in case.segments.items():
        yield document(slugs[key], renamed(definition))
    in_order = sorted(case.events, key=lambda one: (one.ingested_at, one.event_id))
    events = [
        {
            "user_id": one.user_id,
            "event_type": one.event_type,
            "occurred_at": one.occurred_at.isoformat(),
            "payload": json.loads(one.payload),
            "event_id": str(one.event_id),
        }
        for one in in_order
    ]
    users = {one.user_id for one in case.events}
    test = {"name": case.id, "at": case.at.isoformat(), "events": events}
    sides = {"in": sorted(case.expected_members), "out": sorted(users - case.expected_members)}
    yield document(f"case-{number}", renamed(case.definition), {**test, **sides})


def is_expressible(case: Case) -> bool:
    """Whether a segment file can say it: payloads are objects there, written with each number's shortest digits."""
    try:
        payloads = [(json.loads(one.payload), one.payload) for one in case.events]
    except ValueError:
        return False
    return bool(case.events) and all(
        isinstance(value, dict) and json.dumps(value, ensure_ascii=False) == text for value, text in payloads
    )


def test_the_oracles_cases_pass_as_tests_of_segment_files(warehouse: Warehouse) -> None:
    cases = [case for case in (*CASES, *EXTENSION_CASES) if is_expressible(case)]
    assert len(cases) > 150

    outcomes = run_tests(warehouse, [one for number, case in enumerate(cases) for one in as_documents(number, case)])

    assert [(outcome.name, outcome.misplaced) for outcome in outcomes if not outcome.passed] == []
    assert len(outcomes) == len(cases)
