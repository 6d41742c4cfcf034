"""What generated conditions are drawn from: words, windows and thresholds that the events make matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from statistics import median
from typing import Any

from segops_orchestration_tests.oracle.values import number, parsed
from segops_orchestration_tests.oracle.vocabulary import (
    EVENT_TYPES,
    EXTENDED_TESTS,
    PROPERTY_TESTS,
    WINDOW_DAYS,
    Test,
    by_operator,
)

Amount = tuple[str, str, float]

PUBLIC_METRICS = ("sum", "avg", "max")
_MICRO = Decimal("0.000001")
_LARGEST_THRESHOLD = Decimal(10) ** 9


@dataclass(frozen=True)
class Extensions:
    """What the extensions are drawn from: durations, and the ISO instants of fixed windows in their order."""

    durations: Sequence[tuple[int, str]] = ((1, "day"),)
    instants: Sequence[str] = ("2026-01-30", "2026-01-31")


@dataclass(frozen=True)
class Pools:
    """What conditions are drawn from. Windows are in days; amounts are event types, metrics and thresholds.

    Without ``extensions`` only public documents are drawn.
    """

    event_types: Sequence[str]
    sequences: Sequence[tuple[str, ...]]
    windows: Sequence[float]
    amounts: Sequence[Amount]
    tests: Sequence[Mapping[str, Sequence[Test]]]
    extensions: Extensions | None = None

    @classmethod
    def of(
        cls,
        events: Sequence[Mapping[str, Any]] = (),
        event_types: Sequence[str] = EVENT_TYPES,
        windows: Sequence[float] = WINDOW_DAYS,
        tests: Sequence[Sequence[Test]] = (),
        extensions: Extensions | None = None,
    ) -> Pools:
        """Pools of these types and windows, with amounts and sequences near those of ``events``.

        ``tests`` are groups of property tests; each group is asked as often as the others.
        """
        every = PROPERTY_TESTS + EXTENDED_TESTS if extensions else PROPERTY_TESTS
        grouped = [by_operator(group) for group in tests or [every] if group]
        amounts = _thresholds(events, event_types[0], every_metric=extensions is not None)
        return cls(event_types, _sequences(events, event_types), windows, amounts, grouped, extensions)


def _thresholds(events: Sequence[Mapping[str, Any]], some_type: str, *, every_metric: bool) -> list[Amount]:
    """Event types and metrics with what they come to for some user, sums also a millionth more."""
    held: dict[tuple[str, str], list[Decimal]] = {}
    known: set[tuple[str, ...]] = set()
    for event in events:
        identity = tuple(str(event[name]) for name in ("event_type", "user_id", "occurred", "event_id"))
        amount = number(parsed(event["payload"]).get("total"))
        if amount is not None and identity not in known:
            held.setdefault((event["event_type"], event["user_id"]), []).append(amount)
        known.add(identity)
    found = {(some_type, "sum", Decimal(0))}
    for (event_type, _), amounts in held.items():
        total = sum(amounts, Decimal(0))
        found |= {(event_type, "sum", total), (event_type, "sum", total + _MICRO)}
        found |= {(event_type, "avg", total / len(amounts)), (event_type, "max", max(amounts))}
        found |= {(event_type, "min", min(amounts)), (event_type, "median", median(amounts))}
        found |= {(event_type, "count_distinct", Decimal(len(set(amounts))))}
    kept = {
        (event_type, metric, round(amount, 6))
        for event_type, metric, amount in found
        if every_metric or metric in PUBLIC_METRICS
    }
    ranked = sorted(kept, key=lambda asked: (abs(asked[2]), asked))
    # The public metrics have worlds of their own, so here the others come twice.
    ranked += [asked for asked in ranked if asked[1] not in PUBLIC_METRICS]
    return [(kind, metric, float(amount)) for kind, metric, amount in ranked if abs(amount) < _LARGEST_THRESHOLD]


def _sequences(events: Sequence[Mapping[str, Any]], event_types: Sequence[str]) -> list[tuple[str, ...]]:
    """Every two types in a row, and what the users did in two, three or four events on end."""
    found = dict.fromkeys(product(event_types, repeat=2))
    for user in sorted({event["user_id"] for event in events}):
        theirs = sorted((event for event in events if event["user_id"] == user), key=lambda event: event["occurred"])
        done = [event["event_type"] for event in theirs]
        for length in (2, 3, 4):
            found.update(dict.fromkeys(zip(*(done[start:] for start in range(length)), strict=False)))
    return list(found)
