"""One text for each definition."""

from __future__ import annotations

import json
import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from segops_orchestration.dsl.parse import canonical_json, parse_definition
from segops_orchestration_tests.dsl.documents import (
    DEFINITIONS,
    EVENT_COUNT,
    EVENT_SEQUENCE,
    MONETARY,
    NOT,
    USER_PROPERTY,
    Document,
    definition,
    generated,
)


def canonical(*conditions: Document) -> str:
    return canonical_json(parse_definition(definition(*conditions)))


def test_keys_are_sorted_and_nothing_is_spaced() -> None:
    assert canonical(NOT) == (
        '{"conditions":[{"condition":{"event_type":"order_placed","operator":"gte","type":"event_count","value":3},'
        '"type":"not"}],"logic":"AND"}'
    )


def test_defaults_are_left_out() -> None:
    spelt_out = EVENT_SEQUENCE | {"strict": False, "window_days": None}
    assert canonical(spelt_out) == canonical(EVENT_SEQUENCE)
    assert "strict" not in canonical(spelt_out)


def test_numbers_are_at_their_shortest() -> None:
    assert '"value":500}' in canonical(MONETARY | {"value": 500.0})
    assert '"value":0}' in canonical(MONETARY | {"value": -0.0})
    assert '"value":19.99}' in canonical(MONETARY | {"value": 19.990})
    assert canonical(MONETARY | {"value": 1e22}) == canonical(MONETARY | {"value": 10**22})


def test_a_text_stays_apart_from_the_number_it_spells() -> None:
    spellings: list[Any] = [1, "1", True, "true", 1.5, "1.5"]
    assert len({canonical(USER_PROPERTY | {"value": value}) for value in spellings}) == len(spellings)


def test_text_is_written_as_it_is() -> None:
    assert '"Ærø 🛒"' in canonical(EVENT_COUNT | {"event_type": "Ærø 🛒"})


@generated
@given(DEFINITIONS)
def test_it_parses_back_to_an_equal_definition(document: Document) -> None:
    parsed = parse_definition(document)
    again = parse_definition(json.loads(canonical_json(parsed)))
    assert again == parsed
    assert canonical_json(again) == canonical_json(parsed)


@generated
@given(DEFINITIONS)
def test_a_dumped_model_parses_back_too(document: Document) -> None:
    parsed = parse_definition(document)
    assert parse_definition(parsed.model_dump()) == parsed


@generated
@given(DEFINITIONS, st.randoms(use_true_random=False))
def test_it_does_not_depend_on_spelling(document: Document, chance: random.Random) -> None:
    assert canonical_json(parse_definition(respelt(document, chance))) == canonical_json(parse_definition(document))


WHOLE = {"segment_id", "last", "from_ago", "to_ago", "periods", "min_periods"}
"""Fields that take whole numbers alone; so does ``value`` of what counts events."""


def respelt(value: Any, chance: random.Random) -> Any:
    """The same document with keys in another order, whole numbers as floats and defaults written out."""
    if isinstance(value, dict):
        counts = value.get("type") in ("event_count", "regularity")
        items = [
            (key, item if key in WHOLE or (counts and key == "value") else respelt(item, chance))
            for key, item in value.items()
        ]
        if value.get("type") in ("event_count", "event_sequence"):
            items += [(name, None) for name in ("window_days", "window") if name not in value]
        chance.shuffle(items)
        return dict(items)
    if isinstance(value, list):
        return [respelt(item, chance) for item in value]
    if type(value) is int and abs(value) < 2**53:
        return float(value)
    return value
