"""Documents to test with: short words for one condition, and strategies for whole ones."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from segops_orchestration.dsl.parse import definition_problems, parse_definition

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
GROUP: Document = {"type": "group", "logic": "OR", "conditions": [EVENT_COUNT]}
NOT: Document = {"type": "not", "condition": EVENT_COUNT}

ALL_TYPES = (
    EVENT_COUNT,
    RECENCY,
    MONETARY,
    EVENT_PROPERTY,
    USER_PROPERTY,
    EVENT_SEQUENCE,
    SEGMENT_MEMBERSHIP,
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

generated = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For tests on generated documents: the first text drawn on a new machine builds Hypothesis's Unicode tables."""

TEXT = st.text(max_size=20)
EVENT_TYPES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
NUMBERS = st.integers(-(10**12), 10**12) | st.floats(-1e12, 1e12, allow_nan=False)
SCALARS = TEXT | NUMBERS | st.booleans()
ORDERED = NUMBERS | NUMBERS.map(str) | st.sampled_from(["2026-01-31", "2026-01-31T10:00+02:00"])
WINDOWS = st.integers(1, 3650) | st.floats(0.001, 3650)
COMPARISONS = st.sampled_from(["eq", "neq", "gt", "gte", "lt", "lte"])
PATHS = st.sampled_from(["total", "address.city", r"dotted\.name", "a b.ü"])

_COMPARE_SCALAR = ["eq", "neq", "contains", "does_not_contain", "starts_with", "ends_with"]
_TESTS = st.one_of(
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
)


_OPTIONAL = {"window_days": WINDOWS, "strict": st.booleans()}


def _typed(name: str, *optional: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Document]:
    return st.fixed_dictionaries(
        {"type": st.just(name), **fields}, optional={field: _OPTIONAL[field] for field in optional}
    )


_RECENCIES = st.one_of(
    _typed("recency", event_type=EVENT_TYPES, operator=st.sampled_from(["gt", "lt"]), window_days=WINDOWS),
    _typed("recency", event_type=EVENT_TYPES, operator=st.just("eq"), window_days=st.integers(1, 3650)),
)
LEAVES: st.SearchStrategy[Document] = st.one_of(
    _typed(
        "event_count",
        "window_days",
        event_type=EVENT_TYPES,
        operator=COMPARISONS,
        value=st.integers(0, 10**6),
    ),
    _RECENCIES,
    _typed(
        "monetary",
        event_type=EVENT_TYPES,
        property=PATHS,
        metric=st.sampled_from(["sum", "avg", "max"]),
        operator=COMPARISONS,
        value=NUMBERS,
    ),
    st.builds(
        lambda test, event_type, path: {"type": "event_property", "event_type": event_type, "property": path} | test,
        _TESTS,
        EVENT_TYPES,
        PATHS,
    ),
    st.builds(lambda test, path: {"type": "user_property", "property": path} | test, _TESTS, PATHS),
    _typed(
        "event_sequence",
        "window_days",
        "strict",
        events=st.lists(EVENT_TYPES, min_size=2, max_size=10),
    ),
    _typed(
        "segment_membership",
        segment_id=st.integers(1, 2**63 - 1) | st.from_regex(r"[a-z0-9][a-z0-9_-]{0,62}", fullmatch=True),
        operator=st.sampled_from(["in", "not_in"]),
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
