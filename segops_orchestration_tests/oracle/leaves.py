"""Generated conditions, each of one type; ``documents`` puts them together.

Every choice is one ``choice`` of the given source of randomness. With pools that have extensions, about half of the
conditions use one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from segops_orchestration_tests.oracle.pools import Extensions, Pools
from segops_orchestration_tests.oracle.vocabulary import NUMERIC_OPERATORS

Document = dict[str, Any]

_AMOUNT_PATHS = ("total", "total", "total", "total", "odd", "a\\.b")


def _yes(random: Random) -> bool:
    return random.choice((False, True))


# -- windows, durations and filters ----------------------------------------------------------------------


def _window_days(random: Random, pools: Pools) -> Document:
    windows = random.choice(((), pools.windows, pools.windows))
    return {"window_days": random.choice(windows)} if windows else {}


def _window(random: Random, pools: Pools) -> Document:
    """None, ``window_days``, or with extensions a ``window`` of any form."""
    if pools.extensions is None or not _yes(random):
        return _window_days(random, pools)
    return _any_window(random, pools.extensions)


def _any_window(random: Random, extensions: Extensions) -> Document:
    form = random.choice((_rolling, _rolling, _two_sided, _fixed))
    return {"window": form(random, extensions)}


def _rolling(random: Random, extensions: Extensions) -> Document:
    amount, unit = random.choice(extensions.durations)
    return {"last": amount, "unit": unit}


def _two_sided(random: Random, extensions: Extensions) -> Document:
    amount, unit = random.choice(extensions.durations)
    from_ago = {"from_ago": amount + random.choice((1, 2))}
    to_ago = {"to_ago": amount}
    sides = random.choice((from_ago, {"from_ago": amount}, to_ago, {**from_ago, **to_ago}, {**from_ago, **to_ago}))
    return {**sides, "unit": unit}


def _fixed(random: Random, extensions: Extensions) -> Document:
    start, end = sorted((random.choice(extensions.instants), random.choice(extensions.instants)))
    sides: tuple[Document, ...] = ({"from": start}, {"to": end})
    if start != end:
        sides = (*sides, {"from": start, "to": end}, {"from": start, "to": end})
    return random.choice(sides)


def _where(random: Random, pools: Pools) -> Document:
    """The filters of a condition or step: none, or one or two, of which all must be true."""
    if pools.extensions is None:
        return {}
    number = random.choice((0, 0, 0, 1, 2))
    return {"where": [_property_test(random, pools) for _ in range(number)]} if number else {}


def _property_test(random: Random, pools: Pools) -> Document:
    tests = random.choice(pools.tests)
    return dict(random.choice(tests[random.choice(tuple(tests))]))


# -- leaves ----------------------------------------------------------------------------------------------


def _event_count(random: Random, pools: Pools) -> Document:
    return {
        "event_type": random.choice(pools.event_types),
        "operator": random.choice(NUMERIC_OPERATORS),
        "value": random.choice(range(4)),
        **_window(random, pools),
        **_where(random, pools),
    }


def _recency(random: Random, pools: Pools) -> Document:
    operator = random.choice(("gt", "lt", "eq"))
    whole = sorted({int(days) for days in pools.windows if days >= 1} | {1})
    return {
        "event_type": random.choice(pools.event_types),
        "operator": operator,
        "window_days": random.choice(whole if operator == "eq" else pools.windows),
        **_where(random, pools),
    }


def _monetary(random: Random, pools: Pools) -> Document:
    event_type, metric, threshold = random.choice(pools.amounts)
    return {
        "event_type": event_type,
        "property": random.choice(_AMOUNT_PATHS),
        "metric": metric,
        "operator": random.choice(NUMERIC_OPERATORS),
        "value": threshold,
        **(_window(random, pools) if pools.extensions else {}),
        **_where(random, pools),
    }


def _event_property(random: Random, pools: Pools) -> Document:
    test = _property_test(random, pools)
    event_type = random.choice(pools.event_types)
    window = _any_window(random, pools.extensions) if pools.extensions and _yes(random) else {}
    # The where of has_element is about elements; there is no second one to narrow the events.
    where = {} if "where" in test else _where(random, pools)
    return {"event_type": event_type, **window, **where, **test}


def _event_sequence(random: Random, pools: Pools) -> Document:
    steps = [_step(random, pools, event_type) for event_type in random.choice(pools.sequences)]
    found = {"events": steps, **_window(random, pools)}
    if pools.extensions and _yes(random):
        found["within"] = _rolling(random, pools.extensions)
    return {**found, "strict": True} if _yes(random) else found


def _step(random: Random, pools: Pools, event_type: str) -> str | Document:
    where = _where(random, pools) if pools.extensions and _yes(random) else {}
    return {"event_type": event_type, **where} if where else event_type


def _first_event(random: Random, pools: Pools) -> Document:
    assert pools.extensions is not None
    days = {"window_days": random.choice(pools.windows)}
    window = random.choice((_any_window(random, pools.extensions), days))
    return {"event_type": random.choice(pools.event_types), **window, **_where(random, pools)}


def _regularity(random: Random, pools: Pools) -> Document:
    assert pools.extensions is not None
    period = _rolling(random, pools.extensions)
    # All periods together are at most ten years.
    periods = random.choice((2, 2, 3, 4, 9 if period["unit"] == "year" else 12))
    return {
        "event_type": random.choice(pools.event_types),
        "period": period,
        "periods": periods,
        "min_periods": random.choice(range(1, periods + 1)),
        "operator": random.choice(NUMERIC_OPERATORS),
        "value": random.choice(range(3)),
        **_where(random, pools),
    }


def _property_held(random: Random, pools: Pools) -> Document:
    assert pools.extensions is not None
    name = random.choice(("at_least", "less_than"))
    return {**_property_test(random, pools), name: _rolling(random, pools.extensions)}


Draw = Callable[[Random, Pools], Document]

PUBLIC_LEAVES: Mapping[str, Draw] = {
    "event_count": _event_count,
    "recency": _recency,
    "monetary": _monetary,
    "event_property": _event_property,
    "user_property": _property_test,
    "event_sequence": _event_sequence,
}
EXTENDED_LEAVES: Mapping[str, Draw] = {
    "first_event": _first_event,
    "regularity": _regularity,
    "property_held": _property_held,
}
LEAVES = {**PUBLIC_LEAVES, **EXTENDED_LEAVES}
