"""Documents to test with: short words for one condition, and strategies for whole ones."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from segops_orchestration.dsl.parse import definition_problems, parse_definition
from segops_orchestration.dsl.windows import MOST

Document = dict[str, Any]

EVENT_COUNT: Document = {"type": "event_count", "event_type": "order_placed", "operator": "gte", "value": 3}
RECENCY: Document = {"type": "recency", "event_type": "order_placed", "operator": "gt", "window_days": 30}
MONETARY: Document = {
    "type": "monetary",
    "event_type": "order_placed",
    "property": "total",
    "metric": "sum",
    "operator": "gte",
    "value": 500,
}
EVENT_PROPERTY: Document = {
    "type": "event_property",
    "event_type": "order_placed",
    "property": "total",
    "operator": "eq",
    "value": 10,
}
USER_PROPERTY: Document = {"type": "user_property", "property": "city", "operator": "eq", "value": "Oslo"}
EVENT_SEQUENCE: Document = {"type": "event_sequence", "events": ["cart_updated", "order_placed"]}
SEGMENT_MEMBERSHIP: Document = {"type": "segment_membership", "segment_id": "vip", "operator": "in"}
WEEK: Document = {"last": 7, "unit": "day"}
FIRST_EVENT: Document = {"type": "first_event", "event_type": "order_placed", "window_days": 7}
REGULARITY: Document = {
    "type": "regularity",
    "event_type": "order_placed",
    "period": WEEK,
    "periods": 8,
    "min_periods": 6,
    "operator": "gte",
    "value": 1,
}
PROPERTY_HELD: Document = {
    "type": "property_held",
    "property": "plan",
    "operator": "eq",
    "value": "gold",
    "at_least": WEEK,
}
GROUP: Document = {"type": "group", "logic": "OR", "conditions": [EVENT_COUNT]}
NOT: Document = {"type": "not", "condition": EVENT_COUNT}

IS_GOLD: Document = {"property": "plan", "operator": "eq", "value": "gold"}
HAS_ELEMENT: Document = {"type": "user_property", "property": "items", "operator": "has_element", "where": [IS_GOLD]}

ALL_TYPES = (
    EVENT_COUNT,
    RECENCY,
    MONETARY,
    EVENT_PROPERTY,
    USER_PROPERTY,
    EVENT_SEQUENCE,
    SEGMENT_MEMBERSHIP,
    FIRST_EVENT,
    REGULARITY,
    PROPERTY_HELD,
    GROUP,
    NOT,
)


def definition(*conditions: object) -> Document:
    """A document of these conditions."""
    return {"logic": "AND", "conditions": list(conditions)}


def faults(*conditions: object) -> dict[str, str]:
    """The problems of a document of these conditions: message by path."""
    problems = definition_problems(definition(*conditions))
    assert len({problem.path for problem in problems}) == len(problems)
    return {problem.path: problem.message for problem in problems}


def parsed(condition: Document) -> Any:
    """The model of one condition."""
    return parse_definition(definition(condition)).conditions[0]


def without(condition: Document, field: str) -> Document:
    """The condition less one field."""
    return {name: value for name, value in condition.items() if name != field}


# Strategies

generated = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For tests on generated documents: the first text drawn on a new machine builds Hypothesis's Unicode tables."""

TEXT = st.text(max_size=20)
EVENT_TYPES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
NUMBERS = st.integers(-(10**12), 10**12) | st.floats(-1e12, 1e12, allow_nan=False)
SCALARS = TEXT | NUMBERS | st.booleans()
ORDERED = NUMBERS | NUMBERS.map(str) | st.sampled_from(["2026-01-31", "2026-01-31T10:00+02:00"])
WINDOW_DAYS = st.integers(1, 3650) | st.floats(0.001, 3650)
COMPARISONS = st.sampled_from(["eq", "neq", "gt", "gte", "lt", "lte"])
PATHS = st.sampled_from(["total", "address.city", r"dotted\.name", "a b.ü", "items[].sku", r"a\.b[][]"])
DURATIONS: st.SearchStrategy[Document] = st.builds(
    lambda unit, share: {"last": max(1, int(MOST[unit] * share)), "unit": unit},
    st.sampled_from(sorted(MOST)),
    st.floats(0, 1),
)
_SIDES = ("from_ago", "to_ago")
_AGES = st.tuples(st.integers(1, 10), st.integers(0, 9)).filter(lambda drawn: drawn[0] > drawn[1])
_AGO: st.SearchStrategy[Document] = st.builds(
    lambda ages, unit, sides: (
        {"unit": unit} | {side: age for side, age in zip(_SIDES, ages, strict=True) if side in sides}
    ),
    _AGES,
    st.sampled_from(sorted(MOST)),
    st.sampled_from([("from_ago",), ("to_ago",), ("from_ago", "to_ago")]),
)
_FIXED = st.sampled_from(
    [
        {"from": "2026-01-01"},
        {"to": "2026-01-31T10:00+02:00"},
        {"from": "2026-01-01", "to": "2026-01-01 00:00:00.001"},
    ]
)
WINDOWS = DURATIONS | _FIXED | _AGO

_COMPARE_SCALAR = ["eq", "neq", "contains", "does_not_contain", "starts_with", "ends_with"]
_PLAIN_TESTS = st.one_of(
    st.fixed_dictionaries({"operator": st.sampled_from(_COMPARE_SCALAR), "value": SCALARS}),
    st.fixed_dictionaries({"operator": st.sampled_from(["gt", "gte", "lt", "lte"]), "value": ORDERED}),
    st.fixed_dictionaries(
        {"operator": st.sampled_from(["in", "not_in"]), "value": st.lists(SCALARS, min_size=1, max_size=5)}
    ),
    st.tuples(st.sampled_from(["between", "not_between"]), NUMBERS, NUMBERS).map(
        lambda drawn: {"operator": drawn[0], "value": min(drawn[1:]), "value2": max(drawn[1:])}
    ),
    st.fixed_dictionaries(
        {"operator": st.just("matches_regex"), "value": st.sampled_from(["^a+b?", r"\pL{2,}", "[[:digit:]]"])}
    ),
    st.fixed_dictionaries({"operator": st.sampled_from(["is_set", "is_not_set", "is_true", "is_false"])}),
    st.fixed_dictionaries({"operator": st.sampled_from(["in_last", "in_next", "before_last"]), "value": DURATIONS}),
)


def _on_paths(tests: st.SearchStrategy[Document]) -> st.SearchStrategy[Document]:
    return st.builds(lambda path, test: {"property": path} | test, PATHS, tests)


def _of_elements(filters: st.SearchStrategy[Document]) -> st.SearchStrategy[Document]:
    return st.fixed_dictionaries(
        {"operator": st.just("has_element"), "where": st.lists(filters, min_size=1, max_size=2)}
    )


_PLAIN_FILTERS = _on_paths(_PLAIN_TESTS)
FILTERS = st.lists(_PLAIN_FILTERS | _on_paths(_of_elements(_PLAIN_FILTERS)), min_size=1, max_size=2)
_TESTS = _PLAIN_TESTS | st.builds(lambda filters: {"operator": "has_element", "where": filters}, FILTERS)


_OPTIONAL: dict[str, st.SearchStrategy[Any]] = {"strict": st.booleans(), "where": FILTERS, "within": DURATIONS}
_SPANS = st.fixed_dictionaries({"window_days": WINDOW_DAYS}) | st.fixed_dictionaries({"window": WINDOWS})


def _typed(name: str, *optional: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Document]:
    """Conditions of these fields; ``span`` among the optional ones is a window in one of its two fields."""
    plain = st.fixed_dictionaries(
        {"type": st.just(name), **fields},
        optional={field: _OPTIONAL[field] for field in optional if field != "span"},
    )
    return st.builds(dict.__or__, plain, st.just({}) | _SPANS) if "span" in optional else plain


def _held(test: Document, path: str, side: str, duration: Document) -> Document:
    return {"type": "property_held", "property": path, side: duration} | test


_RECENCIES = st.one_of(
    _typed("recency", "where", event_type=EVENT_TYPES, operator=st.sampled_from(["gt", "lt"]), window_days=WINDOW_DAYS),
    _typed("recency", event_type=EVENT_TYPES, operator=st.just("eq"), window_days=st.integers(1, 3650)),
)
_PROPERTIES = st.one_of(
    st.builds(
        lambda test, event_type, path, span: (
            {"type": "event_property", "event_type": event_type, "property": path} | span | test
        ),
        _TESTS,
        EVENT_TYPES,
        PATHS,
        st.just({}) | st.fixed_dictionaries({}, optional={"window": WINDOWS, "where": FILTERS}),
    ),
    st.builds(lambda test, path: {"type": "user_property", "property": path} | test, _TESTS, PATHS),
    st.builds(_held, _TESTS, PATHS, st.sampled_from(["at_least", "less_than"]), DURATIONS),
)
LEAVES: st.SearchStrategy[Document] = st.one_of(
    _typed(
        "event_count",
        "span",
        "where",
        event_type=EVENT_TYPES,
        operator=COMPARISONS,
        value=st.integers(0, 10**6),
    ),
    _RECENCIES,
    _typed(
        "monetary",
        "span",
        "where",
        event_type=EVENT_TYPES,
        property=PATHS,
        metric=st.sampled_from(["sum", "avg", "max", "min", "median", "count_distinct"]),
        operator=COMPARISONS,
        value=NUMBERS,
    ),
    _PROPERTIES,
    _typed(
        "event_sequence",
        "span",
        "within",
        "strict",
        events=st.lists(
            EVENT_TYPES | st.fixed_dictionaries({"event_type": EVENT_TYPES, "where": FILTERS}), min_size=2, max_size=10
        ),
    ),
    _typed(
        "segment_membership",
        segment_id=st.integers(1, 2**63 - 1) | st.from_regex(r"[a-z0-9][a-z0-9_-]{0,62}", fullmatch=True),
        operator=st.sampled_from(["in", "not_in"]),
    ),
    st.builds(dict.__or__, _typed("first_event", "where", event_type=EVENT_TYPES), _SPANS),
    _typed(
        "regularity",
        "where",
        event_type=EVENT_TYPES,
        period=st.fixed_dictionaries({"last": st.integers(1, 8), "unit": st.sampled_from(["hour", "day", "week"])}),
        periods=st.integers(6, 60),
        min_periods=st.integers(1, 6),
        operator=COMPARISONS,
        value=st.integers(0, 10**6),
    ),
)
LOGIC = st.sampled_from(["AND", "OR"])


def _wrapped(inner: st.SearchStrategy[Document]) -> st.SearchStrategy[Document]:
    groups = st.builds(
        lambda logic, conditions: {"type": "group", "logic": logic, "conditions": conditions},
        LOGIC,
        st.lists(inner, min_size=1, max_size=3),
    )
    return groups | st.builds(lambda condition: {"type": "not", "condition": condition}, inner)


CONDITIONS = st.recursive(LEAVES, _wrapped, max_leaves=6).filter(lambda condition: levels(condition) < 8)
DEFINITIONS: st.SearchStrategy[Document] = st.builds(
    lambda logic, conditions: {"logic": logic, "conditions": conditions},
    LOGIC,
    st.lists(CONDITIONS, min_size=1, max_size=4),
)


def levels(condition: Document) -> int:
    """How many groups and nots stand inside one another here."""
    inner = [*condition.get("conditions", ()), *([condition["condition"]] if "condition" in condition else [])]
    return 1 + max(map(levels, inner)) if inner else 0
