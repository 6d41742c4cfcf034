"""A proposal for an event schema, from examples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from segops_orchestration.catalog.event_schemas import MOST_PROPERTIES, NAME_CHARACTERS, PropertySchema, PropertyType
from segops_orchestration.warehouse.ingest import times
from segops_orchestration.warehouse.ingest.arrays import texts

_TIME_CHARACTERS = 100


def infer(payloads: Sequence[Mapping[str, Any]]) -> list[PropertySchema]:
    """The properties of these payloads, by name; required is what none of them lacks.

    Values of several types are proposed as a string. Objects, for which schemas have no type, are left out.
    """
    values: dict[str, list[Any]] = {}
    for payload in payloads:
        for name, value in payload.items():
            if value is not None and _may_be_named(name):
                values.setdefault(name, []).append(value)
    times_among = _times_among(values.values())
    proposed: list[PropertySchema] = []
    for name, found in sorted(values.items()):
        if len(proposed) == MOST_PROPERTIES:
            break
        kind = _type_of(found, times_among)
        if kind is not None:
            proposed.append(PropertySchema(name, kind, required=len(found) == len(payloads)))
    return proposed


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
    return "datetime" if value in _times_among([[value]]) else "string"


def _times_among(values: Iterable[Sequence[Any]]) -> frozenset[str]:
    """The texts that are dates or times as events write them; all at once, because each parse costs as much as many."""
    written = sorted({value for found in values for value in found if isinstance(value, str) and _may_be_a_time(value)})
    if not written:
        return frozenset()
    good = times.parse(texts(written), None).status == times.GOOD
    return frozenset(text for text, is_time in zip(written, good.tolist(), strict=True) if is_time)


def _may_be_a_time(text: str) -> bool:
    return text.isascii() and 0 < len(text) <= _TIME_CHARACTERS


def _type_of(values: Sequence[Any], times_among: frozenset[str]) -> PropertyType | None:
    kinds: set[PropertyType | None] = {
        ("datetime" if value in times_among else "string") if isinstance(value, str) else type_of(value)
        for value in values
    }
    if None in kinds:
        return None
    return kinds.pop() if len(kinds) == 1 else "string"
