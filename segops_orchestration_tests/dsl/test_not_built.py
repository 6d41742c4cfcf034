"""Extensions that this version knows by name and refuses as such."""

from __future__ import annotations

import pytest

from segops_orchestration.dsl.not_built import NOT_BUILT
from segops_orchestration_tests.dsl.documents import (
    EVENT_COUNT,
    EVENT_PROPERTY,
    EVENT_SEQUENCE,
    MONETARY,
    RECENCY,
    USER_PROPERTY,
    Document,
    faults,
)

EXAMPLES = {
    document["type"]: document
    for document in (EVENT_COUNT, RECENCY, MONETARY, EVENT_PROPERTY, USER_PROPERTY, EVENT_SEQUENCE)
}
STEP = {"event_type": "order_placed", "where": []}


def _with_extension(kind: str, name: str) -> tuple[Document, str]:
    """A condition that uses the extension, and the path of its use."""
    if kind == "type":
        return {"type": name}, "type"
    if kind == "field":
        owner, field = name.split(".")
        return EXAMPLES[owner] | {field: []}, field
    if kind == "metric":
        return MONETARY | {"metric": name}, "metric"
    if kind == "operator":
        return USER_PROPERTY | {"operator": name, "value": {"last": 7, "unit": "day"}}, "operator"
    if name == "array step":
        return USER_PROPERTY | {"property": "purchases[].sku"}, "property"
    return EVENT_SEQUENCE | {"events": ["cart_updated", STEP]}, "events[1]"


@pytest.mark.parametrize(("kind", "name"), sorted(NOT_BUILT - {("field", "document.timezone")}))
def test_is_refused_as_an_extension_at_its_path(kind: str, name: str) -> None:
    condition, field = _with_extension(kind, name)
    problems = faults(condition)
    assert list(problems) == [f"conditions[0].{field}"]
    assert (
        "an extension of the segment language that this version does not support" in problems[f"conditions[0].{field}"]
    )


def test_a_field_of_another_condition_is_unknown_not_an_extension() -> None:
    assert faults(RECENCY | {"within": {}})["conditions[0].within"].startswith("unknown field")
