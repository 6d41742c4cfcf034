"""Event schemas applied to payloads: what is required must be there, numbers and booleans in text become such.

Everything else stays as it is written: properties that the schema does not know, and values that are neither what it
says nor text that can be read so.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from segops_orchestration.api.ingest.json_reader import JsonReader
from segops_orchestration.catalog.event_schemas import EventSchema, PropertySchema, PropertyType

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


class Missing(NamedTuple):
    """A required property that is not there."""

    name: str
    reason: str


@dataclass(frozen=True)
class Applied:
    """A payload after its schema.

    Attributes:
        text: the payload, with what was coerced.
        missing: required properties that are absent or null.
        coerced: names of the properties that were.
    """

    text: str
    missing: tuple[Missing, ...]
    coerced: tuple[str, ...]


class SchemaRules:
    """A tenant's schemas, ready to be applied."""

    def __init__(self, schemas: Iterable[EventSchema]) -> None:
        self._rules = {schema.event_type: _Rule.of(schema) for schema in schemas}

    def apply(self, event_type: str, payload: str) -> Applied | None:
        """A payload (a JSON object, or empty) after its type's schema; None when the type has none."""
        rule = self._rules.get(event_type)
        return None if rule is None else rule.apply(payload or "{}")


@dataclass(frozen=True)
class _Rule:
    event_type: str
    types: dict[str, PropertyType]
    required: tuple[PropertySchema, ...]

    @classmethod
    def of(cls, schema: EventSchema) -> _Rule:
        return cls(
            schema.event_type,
            {each.name: each.type for each in schema.properties},
            tuple(each for each in schema.properties if each.required),
        )

    def apply(self, payload: str) -> Applied:
        reader = JsonReader(payload)
        present: set[str] = set()
        coerced: list[str] = []
        parts: list[str] = []
        kept = 0
        for name in reader.names():
            start = reader.position
            raw = reader.value()
            if raw != "null":
                present.add(name)
            value = _coerced(raw, self.types.get(name))
            if value is not None:
                parts += [payload[kept:start], value]
                kept = reader.position
                coerced.append(name)
        missing = tuple(
            Missing(each.name, f"missing; the schema of {self.event_type!r} requires it")
            for each in self.required
            if each.name not in present
        )
        return Applied("".join([*parts, payload[kept:]]), missing, tuple(coerced))


def _coerced(raw: str, wanted: PropertyType | None) -> str | None:
    """The JSON of a text that can be read as the number or boolean that is wanted; None: leave it as it is."""
    if wanted not in ("number", "boolean") or raw[0] != '"':
        return None
    text = str(json.loads(raw)).strip()
    if wanted == "boolean":
        return text.lower() if text.lower() in ("true", "false") else None
    return text if _NUMBER.fullmatch(text) and math.isfinite(float(text)) else None
