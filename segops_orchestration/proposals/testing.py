"""The tests that segment files carry, run by the real engine on a scratch database.

All tests share it: a user of test 7 goes by ``7:ann`` there, all events go in by one INSERT, and one statement
evaluates several segments for all the tests of one instant. So a hundred tests take a second or two.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID, uuid5

from segops_orchestration.catalog.references import Node, problems
from segops_orchestration.compiler.parameters import instant_text
from segops_orchestration.compiler.segment import compile_predicate, with_sets
from segops_orchestration.compiler.source import EVERYONE
from segops_orchestration.compiler.sql import indent
from segops_orchestration.dsl.models import Definition
from segops_orchestration.dsl.references import referenced_segments
from segops_orchestration.dsl.segment_file import SegmentDocument
from segops_orchestration.dsl.segment_tests import GivenEvent, SegmentTest
from segops_orchestration.errors import InvalidDocument
from segops_orchestration.proposals.scratch import scratch_database
from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse
from segops_orchestration.warehouse.ingest.identity import NAMESPACE

Side = Literal["in", "out"]

_SEGMENTS_PER_STATEMENT = 10
_WORKERS = 4
# Events of a test arrive in the order in which they are written, a millisecond apart.
_FIRST_ARRIVAL = datetime(2000, 1, 1, tzinfo=UTC)

_EVALUATE = """{sets}SELECT user_id, {answers}
FROM (
{universe}
)
WHERE toUInt32(splitByChar(':', user_id)[1]) IN {{tests:Array(UInt32)}}"""


@dataclass(frozen=True)
class Misplaced:
    """A user who is on the other side than the test says."""

    user_id: str
    expected: Side
    found: Side


@dataclass(frozen=True)
class TestOutcome:
    """What became of one test: ``number`` is its place in the file, from 0."""

    __test__ = False  # Not for pytest.

    slug: str
    number: int
    name: str
    at: datetime
    misplaced: tuple[Misplaced, ...]

    @property
    def passed(self) -> bool:
        """Whether everybody is where the test says."""
        return not self.misplaced


@dataclass(frozen=True)
class _Case:
    """A test, its segment, and the number by which its users go."""

    document: SegmentDocument
    place: int
    number: int

    @property
    def test(self) -> SegmentTest:
        return self.document.tests[self.place]

    def user(self, user_id: str) -> str:
        return f"{self.number}:{user_id}"

    def outcome(self, members: set[str]) -> TestOutcome:
        expected: list[tuple[str, Side]] = [(user, "in") for user in self.test.in_]
        expected += [(user, "out") for user in self.test.out]
        misplaced = []
        for user_id, side in expected:
            found: Side = "in" if self.user(user_id) in members else "out"
            if found != side:
                misplaced.append(Misplaced(user_id, side, found))
        return TestOutcome(self.document.slug, self.place, self.test.name, self.test.instant, tuple(misplaced))


def run_tests(
    warehouse: Warehouse, documents: Sequence[SegmentDocument], *, sources: Mapping[str, str] | None = None
) -> list[TestOutcome]:
    """Run the tests of all documents, in order. A segment that a tested one refers to is one of the documents too.

    Args:
        warehouse: the embedded one; a scratch database is made in it, and dropped whatever happens.
        sources: by slug, how problems name each document.

    Raises:
        InvalidDocument: a reference of a tested segment to none of the documents, or in a circle.
        WarehouseError: ClickHouse refused or could not be reached.
    """
    _check_references(documents, sources or {})
    cases = [
        _Case(document, place, number)
        for number, (document, place) in enumerate(
            (document, place) for document in documents for place in range(len(document.tests))
        )
    ]
    if not cases:
        return []
    with scratch_database(warehouse) as database:
        _ingest(database, cases)
        by_slug = {document.slug: document.definition for document in documents}
        members = _evaluate(database, cases, by_slug)
    return [case.outcome(members[case.number]) for case in cases]


def _check_references(documents: Sequence[SegmentDocument], sources: Mapping[str, str]) -> None:
    """Refuse references of tested segments, through chains, that lead nowhere or in a circle."""
    by_slug = {document.slug: document for document in documents}
    tested: dict[str, None] = {}
    waiting = [document.slug for document in reversed(documents) if document.tests]
    while waiting:
        slug = waiting.pop()
        if slug in by_slug and slug not in tested:
            tested[slug] = None
            waiting += [key for key in referenced_segments(by_slug[slug].definition) if isinstance(key, str)]
    nodes = [
        Node(0, slug, True, sources.get(slug, f"slug {slug}"), "", document.definition if slug in tested else None)
        for slug, document in by_slug.items()
    ]
    found = problems(None, nodes)
    if found:
        raise InvalidDocument(found)


def _ingest(database: TenantWarehouse, cases: Sequence[_Case]) -> None:
    columns = ("event_id", "user_id", "event_type", "occurred_at", "ingested_at", "payload")
    database.insert_bytes(
        "events",
        _rows(cases),
        "JSONEachRow",
        columns=columns,
        settings={"max_partitions_per_insert_block": 0, "async_insert": 0},
    )


def _rows(cases: Sequence[_Case]) -> Iterator[bytes]:
    number = 0
    for case in cases:
        for event in case.test.events:
            number += 1
            row = {
                "event_id": str(_event_id(event, number)),
                "user_id": case.user(event.user_id),
                "event_type": event.event_type,
                "occurred_at": instant_text(event.instant(case.test.instant)),
                "ingested_at": instant_text(_FIRST_ARRIVAL + timedelta(milliseconds=number)),
                "payload": json.dumps(event.payload, ensure_ascii=False),
            }
            yield json.dumps(row, ensure_ascii=False).encode() + b"\n"


def _event_id(event: GivenEvent, number: int) -> UUID:
    """As ingestion reads an id; without one, events of one instant are in the order in which they are written."""
    if event.event_id is None:
        return UUID(int=number)
    try:
        return UUID(event.event_id)
    except ValueError:
        return uuid5(NAMESPACE, event.event_id)


def _evaluate(
    database: TenantWarehouse, cases: Sequence[_Case], by_slug: Mapping[str, Definition]
) -> dict[int, set[str]]:
    """The members that each test's segment has at the test's instant, among the users of all tests, by test number."""
    groups: dict[datetime, dict[str, list[_Case]]] = {}
    for case in cases:
        groups.setdefault(case.test.instant, {}).setdefault(case.document.slug, []).append(case)
    batches = []
    for at, of_segment in groups.items():
        segments = list(of_segment.values())
        for start in range(0, len(segments), _SEGMENTS_PER_STATEMENT):
            batches.append((at, segments[start : start + _SEGMENTS_PER_STATEMENT]))

    def run(batch: tuple[datetime, list[list[_Case]]]) -> dict[int, set[str]]:
        return _evaluate_at(database, batch[0], batch[1], by_slug)

    with ThreadPoolExecutor(_WORKERS) as workers:
        return {number: members for found in workers.map(run, batches) for number, members in found.items()}


def _evaluate_at(
    database: TenantWarehouse, at: datetime, segments: Sequence[Sequence[_Case]], by_slug: Mapping[str, Definition]
) -> dict[int, set[str]]:
    """One statement: several segments at one instant, for the users of their tests."""

    def resolve(key: int | str) -> Definition:
        return by_slug[str(key)]

    sets: list[str] = []
    predicates: list[str] = []
    parameters: dict[str, object] = {"at": instant_text(at)}
    for index, cases in enumerate(segments):
        definition = by_slug[cases[0].document.slug]
        compiled = compile_predicate(definition, EVERYONE, resolve, prefix=f"s{index}_")
        sets += compiled.sets
        predicates.append(f"({compiled.predicate}) AS answer{index}")
        parameters.update(compiled.parameters)
    parameters["tests"] = [case.number for cases in segments for case in cases]
    sql = _EVALUATE.format(sets=with_sets(sets), answers=", ".join(predicates), universe=indent(EVERYONE.universe))
    rows = database.query(sql, parameters).result_rows
    return {
        case.number: {user_id for user_id, *answers in rows if answers[index]}
        for index, cases in enumerate(segments)
        for case in cases
    }
