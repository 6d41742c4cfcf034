"""One user's events in the warehouse: how many there are, and the way to read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from segops_orchestration.compiler.parameters import Parameters, instant_text
from segops_orchestration.compiler.source import IDENTIFICATION
from segops_orchestration.compute.session import memory_settings
from segops_orchestration.dsl.models import Condition, EventSequence, PropertyHeld, UserProperty
from segops_orchestration.warehouse.client import TenantWarehouse

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_SECONDS = 120
# ClickHouse refuses larger syntax trees than that of some 400 KB of SQL; large statements also take long to plan.
_LONGEST_STATEMENT = 50_000

_HISTORY = """SELECT
  count(), countIf(occurred_at <= {{at:DateTime64(3, 'UTC')}}), toUnixTimestamp64Milli(min(occurred_at)),
  sum(length(payload)), [{by_type}]
FROM events_by_user
WHERE user_id = {{user_id:String}}"""


@dataclass(frozen=True)
class Statement:
    """A SELECT and the values of its own placeholders."""

    sql: str
    parameters: Mapping[str, object]


def unions(selects: Iterable[Statement]) -> Iterator[Statement]:
    """The SELECTs put together by UNION ALL, in as few statements as is good."""
    texts: list[str] = []
    parameters: dict[str, object] = {}
    for one in selects:
        if texts and sum(map(len, texts)) + len(one.sql) > _LONGEST_STATEMENT:
            yield Statement("\nUNION ALL\n".join(texts), parameters)
            texts, parameters = [], {}
        texts.append(one.sql)
        parameters.update(one.parameters)
    if texts:
        yield Statement("\nUNION ALL\n".join(texts), parameters)


def milliseconds(instant: datetime) -> int:
    """Unix milliseconds."""
    return (instant - _EPOCH) // timedelta(milliseconds=1)


def instant_of(unix_milliseconds: int | str) -> datetime:
    """The instant of unix milliseconds."""
    return _EPOCH + timedelta(milliseconds=int(unix_milliseconds))


@dataclass(frozen=True)
class UserEvents:
    """One user of one tenant, at the instant ``at``."""

    warehouse: TenantWarehouse
    user_id: str
    at: datetime

    def rows(self, sql: str, parameters: Mapping[str, object] | None = None) -> Sequence[Sequence[Any]]:
        """Run a SELECT within a query's memory; ``at`` and ``user_id`` are bound."""
        bound = {"at": instant_text(self.at), "user_id": self.user_id, **(parameters or {})}
        settings = {
            "max_execution_time": _MAX_SECONDS,
            **memory_settings(self.warehouse.query_memory),
            # A user's events lie side by side: few blocks, kept small because payloads are copied for each instant.
            "max_block_size": 8192,
        }
        rows: Sequence[Sequence[Any]] = self.warehouse.query(sql, bound, settings).result_rows
        return rows


@dataclass(frozen=True)
class History:
    """How much there is of a user: deliveries of all events, future-dated ones too.

    ``first_ms`` is the time of the first event, None when there is none; ``by_type`` counts the types asked for.
    """

    events: int
    events_until_now: int
    first_ms: int | None
    payload_bytes: int
    by_type: Mapping[str, int]

    @property
    def is_past(self) -> bool:
        """Whether no event is dated in the future."""
        return self.events == self.events_until_now

    @property
    def bytes_per_event(self) -> int:
        return self.payload_bytes // self.events if self.events else 0

    def read_for(self, condition: Condition) -> int:
        """How many events one evaluation of the condition reads."""
        types = event_types_of(condition)
        return self.events if types is None else sum(self.by_type.get(name, 0) for name in types)


def read_history(user: UserEvents, conditions: Sequence[Condition]) -> History:
    """Count the user's events, and those of each type that the conditions read."""
    parameters = Parameters()
    types = sorted({name for condition in conditions for name in event_types_of(condition) or ()})
    texts = [parameters.of(f"t{number}").text("event_type", name) for number, name in enumerate(types)]
    sql = _HISTORY.format(by_type=", ".join(f"countIf(event_type = {text})" for text in texts))
    ((events, until_now, first_ms, payload_bytes, counts),) = user.rows(sql, parameters.values)
    by_type = dict(zip(types, map(int, counts), strict=True))
    return History(int(events), int(until_now), int(first_ms) if events else None, int(payload_bytes), by_type)


def event_types_of(condition: Condition) -> frozenset[str] | None:
    """The types of the events that a leaf reads; None for all."""
    if isinstance(condition, EventSequence):
        return None if condition.strict else frozenset(step.event_type for step in condition.steps)
    if isinstance(condition, UserProperty | PropertyHeld):
        return frozenset({IDENTIFICATION})
    return frozenset({getattr(condition, "event_type", IDENTIFICATION)})
