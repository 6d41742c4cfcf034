"""Which other segments a definition refers to."""

from __future__ import annotations

from collections.abc import Iterator

from segops_orchestration.dsl.models import Condition, Definition, Group, Not, SegmentMembership


def iter_conditions(definition: Definition) -> Iterator[Condition]:
    """Every condition of the tree in document order, a group or ``not`` before what it holds."""
    for condition in definition.conditions:
        yield from _walk(condition)


def referenced_segments(definition: Definition) -> tuple[int | str, ...]:
    """Ids and slugs of the segments referred to, in document order, each once."""
    found = (
        condition.segment_id for condition in iter_conditions(definition) if isinstance(condition, SegmentMembership)
    )
    return tuple(dict.fromkeys(found))


def _walk(condition: Condition) -> Iterator[Condition]:
    yield condition
    if isinstance(condition, Group):
        for inner in condition.conditions:
            yield from _walk(inner)
    elif isinstance(condition, Not):
        yield from _walk(condition.condition)
