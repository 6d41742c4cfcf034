"""Whatever is given to the parser, it answers with a definition or with problems."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segops_orchestration.dsl.models import CONDITION_MODELS, Definition
from segops_orchestration.dsl.parse import canonical_json, parse_definition
from segops_orchestration.errors import InvalidDocument
from segops_orchestration_tests.dsl.documents import CONDITIONS, EVENT_COUNT, definition, generated

FIELDS = sorted({field for model in CONDITION_MODELS.values() for field in model.model_fields})
WORDS = st.sampled_from([*FIELDS, *CONDITION_MODELS, "AND", "gte", "in", "between", "is_set", "sum"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | WORDS
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(), inner, max_size=6),
    max_leaves=12,
)
NEAR_MISSES = st.builds(
    lambda condition, changes: condition | changes,
    CONDITIONS,
    st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3),
)


def answer(document: object) -> Definition | InvalidDocument:
    """What the parser says; anything but a definition or its refusal is raised."""
    try:
        return parse_definition(document)
    except InvalidDocument as refusal:
        return refusal


def parses_or_is_refused(document: object) -> None:
    said = answer(document)
    if isinstance(said, InvalidDocument):
        assert said.problems
        assert str(said).encode()
    else:
        assert parse_definition(json.loads(canonical_json(said))) == said


@generated
@given(JSON)
def test_any_json_value(document: object) -> None:
    parses_or_is_refused(document)


@generated
@given(st.lists(JSON | NEAR_MISSES, min_size=1, max_size=3))
def test_any_conditions(conditions: list[object]) -> None:
    parses_or_is_refused(definition(*conditions))


@pytest.mark.parametrize("document", [None, [], "", "{}", 5, True, float("nan"), {1}, b"x", object(), ()])
def test_what_is_no_object(document: object) -> None:
    with pytest.raises(InvalidDocument, match="allowed: an object with logic and conditions"):
        parse_definition(document)


@pytest.mark.parametrize("key", ["conditions", "condition", "type", "value", "x"])
def test_ten_thousand_levels(key: str) -> None:
    document: Any = EVENT_COUNT
    for _ in range(10_000):
        document = (
            {"type": "group", "logic": "AND", "conditions": [document]}
            if key == "conditions"
            else {
                "type": "not",
                key: document,
            }
        )
    with pytest.raises(InvalidDocument):
        parse_definition(definition(document))


def test_a_document_that_contains_itself() -> None:
    group: dict[str, Any] = {"type": "group", "logic": "AND", "conditions": []}
    group["conditions"] += [group] * 50
    with pytest.raises(InvalidDocument):
        parse_definition(definition(group))


def test_a_where_that_contains_itself() -> None:
    test: dict[str, Any] = {"property": "a", "operator": "has_element", "where": []}
    test["where"] += [test] * 100
    with pytest.raises(InvalidDocument, match="nested too deep; allowed: 8 levels of where"):
        parse_definition(definition(*[EVENT_COUNT | {"where": [test] * 100}] * 100))


def test_the_filters_of_all_conditions_are_counted_together() -> None:
    where = [{"property": "a", "operator": "is_set"}] * 100
    sequence = {"type": "event_sequence", "events": [{"event_type": "a", "where": where}] * 10}
    with pytest.raises(InvalidDocument) as error:
        parse_definition(definition(*[sequence] * 100))
    assert [problem.path for problem in error.value.problems] == ["conditions[2].events[0].where"]


@pytest.mark.parametrize("field", ["where", "events", "window", "value"])
@pytest.mark.parametrize(
    "huge", [[[]] * 10**6, [{}] * 10**6, {str(index): [] for index in range(10**5)}], ids=["lists", "objects", "fields"]
)
def test_huge_values_are_refused_in_a_few_lines(field: str, huge: Any) -> None:
    condition = {"type": "event_sequence", "events": huge} if field == "events" else EVENT_COUNT | {field: huge}
    with pytest.raises(InvalidDocument) as error:
        parse_definition(definition(condition))
    assert len(str(error.value)) < 30_000


@pytest.mark.parametrize("value", [date(2026, 1, 31), Decimal("1.5"), {1, 2}, b"10", object(), float])
def test_a_value_that_json_does_not_have(value: object) -> None:
    for field in (*EVENT_COUNT, "window_days"):
        with pytest.raises(InvalidDocument, match=f"conditions\\[0\\].{field}"):
            parse_definition(definition(EVENT_COUNT | {field: value}))


def test_keys_that_are_no_text() -> None:
    with pytest.raises(InvalidDocument, match="unknown field"):
        parse_definition({"logic": "AND", "conditions": [EVENT_COUNT], None: 1, (1, 2): 2, 5: 3})
