"""Event types that a definition names and a tenant has no event of: mostly slips, at times what is yet to come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from segops_orchestration.dsl.models import Definition
from segops_orchestration.dsl.wording import child, did_you_mean, element, found
from segops_orchestration.warehouse.client import TenantWarehouse

_MOST_SUGGESTED_FROM = 10_000


@dataclass(frozen=True)
class UnknownEventType:
    """``path`` is where a segment's document names it; ``hint`` is the closing question, or empty."""

    slug: str
    path: str
    event_type: str
    hint: str

    def __str__(self) -> str:
        return f"{self.path}: no event of type {found(self.event_type)} yet{self.hint}"


def unknown_event_types(database: TenantWarehouse, definitions: Mapping[str, Definition]) -> list[UnknownEventType]:
    """The event types that no event of the tenant has, in the order of the definitions (by slug).

    Empty when the tenant has no events at all: then that is the news.

    Raises:
        WarehouseError: ClickHouse refused or could not be reached.
    """
    named = {slug: list(_named(definition)) for slug, definition in definitions.items()}
    wanted = sorted({event_type for names in named.values() for _, event_type in names})
    known = _known(database, wanted)
    if len(known) == len(wanted):
        return []
    others = _some(database)
    if not others:
        return []
    return [
        UnknownEventType(slug, path, event_type, did_you_mean(event_type, others))
        for slug, names in named.items()
        for path, event_type in names
        if event_type not in known
    ]


def _named(definition: Definition) -> Iterator[tuple[str, str]]:
    """Each event type and its path in the segment document."""
    return _walk("definition", definition.model_dump(mode="json"))


def _walk(path: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _walk(element(path, index), item)
    elif isinstance(value, dict):
        for key, item in value.items():
            where = child(path, key)
            if key == "event_type":
                yield where, item
            elif key == "events":
                yield from _steps(where, item)
            else:
                yield from _walk(where, item)


def _steps(path: str, steps: Iterable[object]) -> Iterator[tuple[str, str]]:
    """A sequence's steps: each is an event type or an object that has one."""
    for index, step in enumerate(steps):
        where = element(path, index)
        if isinstance(step, str):
            yield where, step
        else:
            yield from _walk(where, step)


def _known(database: TenantWarehouse, wanted: list[str]) -> set[str]:
    """Those of the wanted types that have an event: the key's first column, so this reads next to nothing."""
    rows = database.query(
        "SELECT DISTINCT event_type FROM events WHERE event_type IN {wanted:Array(String)}", {"wanted": wanted}
    ).result_rows
    return {event_type for (event_type,) in rows}


def _some(database: TenantWarehouse) -> list[str]:
    rows = database.query(
        f"SELECT DISTINCT toString(event_type) AS name FROM events ORDER BY name LIMIT {_MOST_SUGGESTED_FROM}"
    ).result_rows
    return [event_type for (event_type,) in rows]
