"""A proposal for an event schema, from examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from segops_orchestration.catalog.event_schemas import MOST_PROPERTIES, NAME_CHARACTERS, PropertySchema, PropertyType
from segops_orchestration.warehouse.ingest import times
from segops_orchestration.warehouse.ingest.arrays import texts


def infer(payloads: Sequence[Mapping[str, Any]]) -> list[PropertySchema]:
    """The properties of these payloads, by name; required is what none of them lacks.

    Values of several types are proposed as a string. Objects, for which schemas have no type, are left out.
    """
    values: dict[str, list[Any]] = {}
    for payload in payloads:
        for name, value in payload.items():
            if value is not None and _may_be_named(name):
                values.setdefault(name, []).append(value)
    proposed = []
    for name, found in sorted(values.items()):
        kind = _type_of(found)
        if kind is not None:
            proposed.append(PropertySchema(name, kind, required=len(found) == len(payloads)))
    return proposed[:MOST_PROPERTIES]


def _may_be_named(name: str) -> bool:
    return 0 < len(name) <= NAME_CHARACTERS and name.isprintable()


def type_of(value: Any) -> PropertyType | None:
    """The type that one value has; None for objects and null."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, list):
        return "array"
    if not isinstance(value, str):
        return None
    return "datetime" if is_time(value) else "string"


def is_time(text: str) -> bool:
    """Whether a text is a date or time as events write them."""
    if not text.isascii():
        return False
    return bool((times.parse(texts([text]), None).status == times.GOOD).all())


def _type_of(values: Sequence[Any]) -> PropertyType | None:
    kinds = {type_of(value) for value in values}
    if None in kinds:
        return None
    return kinds.pop() if len(kinds) == 1 else "string"
