"""The SQL, word for word, in files that can be read: ``pytest segops_orchestration_tests/compiler --update-snapshots``
writes them anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from segops_orchestration.compiler.moved import compile_moved
from segops_orchestration.compiler.segment import CompiledQuery, compile_members
from segops_orchestration.compiler.source import CANDIDATES, EVERYONE, ONE_BUCKET, ONE_USER
from segops_orchestration.dsl.parse import parse_definition
from segops_orchestration_tests.compiler.documents import CONDITIONS, EXTENSIONS, EXTENSIONS_MOVED, MOVED, OPERATORS
from segops_orchestration_tests.oracle.case import Document, all_of, event_count, membership, negated, user_property

SNAPSHOTS = Path(__file__).parent / "snapshots"

SOURCES = {"everyone": EVERYONE, "one_bucket": ONE_BUCKET, "one_user": ONE_USER, "candidates": CANDIDATES}
ONE_OF_EACH_RELATION = all_of(event_count("gte", 1), user_property("plan", "is_set"), membership("vip"))


def resolve(segment: int | str) -> int:
    return {"vip": 7}.get(str(segment), 8)


def members(document: Document) -> CompiledQuery:
    return compile_members(parse_definition(document), EVERYONE, resolve)


def _compiled() -> Iterator[tuple[str, CompiledQuery]]:
    for name, document in {**CONDITIONS, **OPERATORS, **EXTENSIONS}.items():
        yield name, members(document)
    for name, document in {**MOVED, **EXTENSIONS_MOVED}.items():
        yield name, compile_moved(parse_definition(document))
    for name, source in SOURCES.items():
        definition = parse_definition(ONE_OF_EACH_RELATION)
        yield f"source_{name}", compile_members(definition, source, resolve)
    proposed = parse_definition(all_of(event_count("gte", 5)))
    twice = parse_definition(all_of(membership("new"), negated(membership("new", "not_in")), membership("vip")))
    yield (
        "segment_membership_evaluated",
        compile_members(twice, EVERYONE, lambda key: proposed if key == "new" else resolve(key)),
    )


QUERIES = dict(_compiled())


def _written(query: CompiledQuery) -> str:
    """The query with its parameters as comments below."""
    parameters = "".join(f"-- {name} = {value!r}\n" for name, value in query.parameters.items())
    return f"{query.sql}\n\n{parameters}"


@pytest.mark.parametrize("name", QUERIES)
def test_the_sql_is_that_of_the_snapshot(name: str, request: pytest.FixtureRequest) -> None:
    path = SNAPSHOTS / f"{name}.sql"
    if request.config.getoption("--update-snapshots", default=False):
        path.write_text(_written(QUERIES[name]), encoding="utf-8")

    assert _written(QUERIES[name]) == path.read_text(encoding="utf-8")


def test_every_snapshot_belongs_to_a_query() -> None:
    assert {path.stem for path in SNAPSHOTS.iterdir()} == set(QUERIES)


def test_compiling_again_gives_the_same_words_and_values() -> None:
    again = dict(_compiled())

    assert {name: _written(query) for name, query in again.items()} == {
        name: _written(query) for name, query in QUERIES.items()
    }


def test_definitions_that_refer_to_one_another_in_a_circle_are_refused() -> None:
    definitions = {name: parse_definition(all_of(membership(other))) for name, other in (("a", "b"), ("b", "a"))}

    with pytest.raises(ValueError, match="segment b refers to itself"):
        compile_members(definitions["a"], EVERYONE, lambda key: definitions[str(key)])
