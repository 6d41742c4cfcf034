"""The baseline: what a careful person would type to count a segment's users by hand.

One pass over ``events`` as they lie there: no FINAL (redelivered events would be counted twice), no stored memberships
(a referenced segment's conditions are written out), no upper limit (future-dated events would count). Everything that
such a person can save is saved: the filter goes into WHERE where all conditions share it, nothing older than the
longest window is read, and who has none of the events is found by subtraction.

The semantics are plain ClickHouse's (floats, JSONExtract), so this is right for the benchmark's tidy events and not a
second implementation of the language.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

AT = "{at:DateTime64(3, 'UTC')}"
IDENTIFICATION = "context_identified"

Document = Mapping[str, Any]
_SIGNS = {"eq": "=", "neq": "!=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800, "month": 2678400, "year": 31622400}
_COMPLEMENTS = {"neq": "eq", "not_in": "in", "not_between": "between", "does_not_contain": "contains",
                "is_not_set": "is_set"}  # fmt: skip
_FOREVER = 10**12


@dataclass(frozen=True)
class Filter:
    """Which events a condition looks at. ``reach`` is how many seconds it looks back, None for all of history."""

    event_types: frozenset[str] | None
    reach: int | None = None
    tests: tuple[str, ...] = ()

    @property
    def sql(self) -> str:
        return " AND ".join([*_of_types(self.event_types), *self.tests]) or "1"


@dataclass(frozen=True)
class Leaf:
    """A condition: ``predicate`` is written with ``{agg}``-calls already resolved to aliases.

    ``absent``: whether it holds for a user who has none of the events.
    """

    filter: Filter
    aggregates: Callable[[str | None], Mapping[str, str]]
    predicate: str
    absent: bool = False


def count_query(definition: Document, others: Mapping[str, Document]) -> str:
    """SELECT of the number of members."""
    per_user, predicate, absent = _passed(definition, others)
    if absent:
        return f"SELECT (SELECT uniqExact(user_id) FROM users) - count() FROM ({per_user} HAVING NOT ({predicate}))"
    return f"SELECT count() FROM ({per_user} HAVING {predicate})"


def members_query(definition: Document, others: Mapping[str, Document]) -> str:
    """SELECT of the members, as a batch engine would materialize them."""
    per_user, predicate, absent = _passed(definition, others)
    if absent:
        leavers = f"SELECT user_id FROM ({per_user} HAVING NOT ({predicate}))"
        return f"SELECT user_id FROM users WHERE user_id NOT IN ({leavers}) GROUP BY user_id"
    return f"SELECT user_id FROM ({per_user} HAVING {predicate})"


def _passed(definition: Document, others: Mapping[str, Document]) -> tuple[str, str, bool]:
    leaves: list[Leaf] = []
    predicate, absent = _node({"type": "group", **definition}, others, leaves)
    filters = {leaf.filter for leaf in leaves}
    if len(filters) == 1:
        where, inside = [next(iter(filters)).sql], [None] * len(leaves)
    else:
        where, inside = _common(leaves), [leaf.filter.sql for leaf in leaves]
    columns: dict[str, str] = {}
    for number, (leaf, condition) in enumerate(zip(leaves, inside, strict=True)):
        for name, expression in leaf.aggregates(condition).items():
            alias = next((known for known, other in columns.items() if other == expression), f"{name}{number}")
            columns[alias] = expression
            predicate = predicate.replace(f"<{number}.{name}>", alias)
    listed = "".join(f", {expression} AS {alias}" for alias, expression in columns.items())
    clause = f" WHERE {' AND '.join(where)}" if where else ""
    return f"SELECT user_id{listed} FROM events{clause} GROUP BY user_id", predicate, absent


def _common(leaves: list[Leaf]) -> list[str]:
    types: frozenset[str] | None = frozenset()
    for leaf in leaves:
        types = None if types is None or leaf.filter.event_types is None else types | leaf.filter.event_types
    reaches = [leaf.filter.reach for leaf in leaves]
    since = [f"occurred_at > {AT} - INTERVAL {max(r for r in reaches if r)} SECOND"] if all(reaches) else []
    return [*_of_types(types), *since]


def _of_types(types: frozenset[str] | None) -> list[str]:
    if types is None:
        return []
    if len(types) == 1:
        return [f"event_type = {_text(next(iter(types)))}"]
    return [f"event_type IN ({', '.join(map(_text, sorted(types)))})"]


def _node(node: Document, others: Mapping[str, Document], leaves: list[Leaf]) -> tuple[str, bool]:
    """The predicate of a condition and whether it holds for a user without events; appends the leaves in it."""
    match node["type"]:
        case "group":
            parts = [_node(inner, others, leaves) for inner in node["conditions"]]
            absent = all if node["logic"] == "AND" else any
            return "(" + f" {node['logic']} ".join(sql for sql, _ in parts) + ")", absent(one for _, one in parts)
        case "not":
            sql, absent_inside = _node(node["condition"], others, leaves)
            return f"(NOT {sql})", not absent_inside
        case "segment_membership":
            sql, absent_inside = _node({"type": "group", **others[node["segment_id"]]}, others, leaves)
            return (sql, absent_inside) if node["operator"] == "in" else (f"(NOT {sql})", not absent_inside)
    leaf = _LEAVES[node["type"]](node)
    predicate = leaf.predicate.replace("<", "\0").replace("\0@", f"<{len(leaves)}.").replace("\0", "<")
    leaves.append(leaf)
    return predicate, leaf.absent


def _aggregates(plain: Mapping[str, tuple[str, str]], condition: str | None) -> dict[str, str]:
    """name -> (function, arguments), with -If where the filter is not in WHERE already."""
    if condition is None:
        return {name: f"{function}({arguments})" for name, (function, arguments) in plain.items()}
    joined = {name: f"{arguments}, " if arguments else "" for name, (_, arguments) in plain.items()}
    return {name: f"{function}If({joined[name]}{condition})" for name, (function, _) in plain.items()}


def _leaf(filter_: Filter, plain: Mapping[str, tuple[str, str]], predicate: str, absent: bool = False) -> Leaf:
    return Leaf(filter_, partial(_aggregates, plain), f"({predicate})", absent)


def _event_count(node: Document) -> Leaf:
    value, operator = node["value"], node["operator"]
    absent = {"eq": value == 0, "neq": value != 0, "gt": False, "gte": value == 0, "lt": value > 0, "lte": True}
    return _leaf(_filter(node), {"n": ("count", "")}, f"<@n> {_SIGNS[operator]} {value}", absent[operator])


def _recency(node: Document) -> Leaf:
    days = node["window_days"]
    edge = f"{AT} - INTERVAL {days} DAY"
    last = {"last": ("max", "occurred_at")}
    if node["operator"] == "lt":  # Older events cannot help.
        return _leaf(_filter(node, window=(edge, None, days * 86400)), last, f"<@last> > {edge}")
    known = "<@last> > toDateTime64(0, 3)"
    if node["operator"] == "gt":
        return _leaf(_filter(node, window=None), last, f"<@last> < {edge} AND {known}")
    return _leaf(_filter(node, window=None), last, f"<@last> <= {edge} AND <@last> > {edge} - INTERVAL 1 DAY")


def _monetary(node: Document) -> Leaf:
    filter_ = _filter(node)
    keys = _keys(node["property"])
    amount = f"JSONExtractFloat(payload, {keys})"
    functions = {"sum": "sum", "avg": "avg", "max": "max", "min": "min", "median": "quantileExactInclusive(0.5)",
                 "count_distinct": "uniqExact"}  # fmt: skip
    function = functions[node["metric"]]
    plain = {node["metric"]: (function, amount), "n": ("count", "")}
    compared = f"round(<@{node['metric']}>, 6) {_SIGNS[node['operator']]} {node['value']}"

    def aggregates(condition: str | None) -> dict[str, str]:
        made = _aggregates(plain, condition)
        if condition is not None and "(" in function:  # -If stands before the parameters of a function.
            made[node["metric"]] = f"quantileExactInclusiveIf(0.5)({amount}, {condition})"
        return made

    return Leaf(filter_, aggregates, f"(<@n> > 0 AND {compared})")


def _event_property(node: Document) -> Leaf:
    without = {**node, "where": None} if node["operator"] == "has_element" else node
    latest = {"latest": ("argMax", "payload, occurred_at")}
    return _leaf(_filter(without), latest, f"<@latest> != '' AND {_test(node, '<@latest>')}")


def _user_property(node: Document) -> Leaf:
    filter_ = Filter(frozenset([IDENTIFICATION]))
    latest = {"latest": ("argMax", "payload, occurred_at")}
    return _leaf(filter_, latest, _test(node, "<@latest>"), node["operator"] in _COMPLEMENTS)


def _event_sequence(node: Document) -> Leaf:
    window = _window(node)
    inside = _inside(window)
    steps = [step if isinstance(step, dict) else {"event_type": step} for step in node["events"]]
    tests = [" AND ".join([f"event_type = {_text(step['event_type'])}", *_where(step)]) for step in steps]
    when = "toUInt64(toUnixTimestamp64Milli(occurred_at))"
    types = None if node.get("strict") else frozenset(step["event_type"] for step in steps)
    filter_ = Filter(types, window[2] if window else None, tuple(inside))

    def aggregates(condition: str | None) -> dict[str, str]:
        if node.get("strict"):
            listed = ", ".join([*tests, f"NOT ({' OR '.join(tests)})"])
            pattern = "".join(f"(?{number})" for number in range(1, len(tests) + 1))
            function, arguments = f"sequenceMatch{{}}('{pattern}')", f"{when}, {listed}"
        else:
            span = _milliseconds(node["within"]) if node.get("within") else _FOREVER
            function = f"windowFunnel{{}}({span}, 'strict_increase')"
            arguments = f"{when}, {', '.join(tests)}"
        if condition is None or condition == "1":
            return {"level": f"{function.format('')}({arguments})"}
        return {"level": f"{function.format('If')}({arguments}, {condition})"}

    return Leaf(filter_, aggregates, f"(<@level> = {1 if node.get('strict') else len(steps)})")


def _first_event(node: Document) -> Leaf:
    inside = _inside(_window(node), "<@first>")
    filter_ = _filter(node, window=None)
    plain = {"first": ("min", "occurred_at"), "n": ("count", "")}
    return _leaf(filter_, plain, " AND ".join(["<@n> > 0", *inside]))


def _regularity(node: Document) -> Leaf:
    amount, unit = node["period"]["last"], node["period"]["unit"].upper()
    edges = [f"{AT} - INTERVAL {amount * back} {unit}" for back in range(node["periods"] + 1)]
    seconds = amount * _SECONDS[node["period"]["unit"]] * node["periods"]
    filter_ = _filter(node, window=(edges[-1], None, seconds))
    sign = _SIGNS[node["operator"]]
    if unit in ("MONTH", "YEAR") or (node["operator"], node["value"]) != ("gte", 1):
        periods = [
            f"occurred_at > {edges[back + 1]} AND occurred_at <= {edges[back]}" for back in range(node["periods"])
        ]
        plain = {f"p{back}x": ("countIf", period) for back, period in enumerate(periods)}
        met = " + ".join(f"(<@p{back}x> {sign} {node['value']})" for back in range(node["periods"]))

        def aggregates(condition: str | None) -> dict[str, str]:
            extra = f" AND {condition}" if condition else ""
            return {name: f"countIf({period}{extra})" for name, (_, period) in plain.items()}

        return Leaf(filter_, aggregates, f"({met} >= {node['min_periods']})")
    age = f"intDiv(toUnixTimestamp64Milli({AT}) - toUnixTimestamp64Milli(occurred_at), {_milliseconds(node['period'])})"
    return _leaf(filter_, {"periods": ("uniqExact", age)}, f"<@periods> >= {node['min_periods']}")


def _property_held(node: Document) -> Leaf:
    satisfied = _test(node, "payload")
    filter_ = Filter(frozenset([IDENTIFICATION]))
    plain = {"h": ("groupArray", f"(occurred_at, {satisfied})")}
    broken = "arrayMax(h -> if(h.2, toDateTime64(0, 3, 'UTC'), h.1), <@h>)"
    began = f"arrayMin(arrayMap(h -> h.1, arrayFilter(h -> h.1 > {broken}, <@h>)))"
    # The run is empty, and began in 1970, when the latest identification does not satisfy it.
    bound = node.get("at_least") or node["less_than"]
    edge = f"{AT} - INTERVAL {bound['last']} {bound['unit'].upper()}"
    held = f"{began} <= {edge}" if node.get("at_least") else f"{began} > {edge}"
    return _leaf(filter_, plain, f"notEmpty(arrayFilter(h -> h.1 > {broken}, <@h>)) AND {held}")


_LEAVES: dict[str, Callable[[Document], Leaf]] = {
    "event_count": _event_count,
    "recency": _recency,
    "monetary": _monetary,
    "event_property": _event_property,
    "user_property": _user_property,
    "event_sequence": _event_sequence,
    "first_event": _first_event,
    "regularity": _regularity,
    "property_held": _property_held,
}

# (after, until, seconds back): SQL of both edges, either may be None.
Window = tuple[str | None, str | None, int | None]
_UNSAID: Any = object()


def _filter(node: Document, window: Window | None = _UNSAID) -> Filter:
    found = _window(node) if window is _UNSAID else window
    tests = (*_inside(found), *_where(node))
    return Filter(frozenset([node["event_type"]]), found[2] if found else None, tests)


def _window(node: Document) -> Window | None:
    if node.get("window_days") is not None:
        return f"{AT} - INTERVAL {node['window_days']} DAY", None, node["window_days"] * 86400
    window = node.get("window")
    if window is None:
        return None
    if "last" in window:
        unit = window["unit"]
        return f"{AT} - INTERVAL {window['last']} {unit.upper()}", None, window["last"] * _SECONDS[unit]
    if "unit" in window:
        unit = window["unit"]
        edges = [
            None if window.get(key) is None else f"{AT} - INTERVAL {window[key]} {unit.upper()}"
            for key in ("from_ago", "to_ago")
        ]
        back = window.get("from_ago")
        return edges[0], edges[1], back * _SECONDS[unit] if back else None
    fixed = [f"toDateTime64('{window[key]}', 3, 'UTC') - INTERVAL 1 MILLISECOND" for key in ("from", "to")]
    return fixed[0], fixed[1], None


def _inside(window: Window | None, time: str = "occurred_at") -> list[str]:
    if window is None:
        return []
    after, until, _ = window
    return [f"{time} > {after}"] * (after is not None) + [f"{time} <= {until}"] * (until is not None)


def _where(node: Document) -> list[str]:
    return [_test(one, "payload") for one in node.get("where") or ()]


def _test(node: Document, document: str) -> str:
    """Whether a property of a JSON text satisfies an operator."""
    if node["operator"] in _COMPLEMENTS:
        return f"NOT {_test({**node, 'operator': _COMPLEMENTS[node['operator']]}, document)}"
    if "[]." in node["property"]:
        array, inner = node["property"].split("[].")
        test = _test({**node, "property": inner}, "element")
        return f"arrayExists(element -> {test}, JSONExtractArrayRaw({document}, {_keys(array)}))"
    arguments = f"{document}, {_keys(node['property'])}"
    return f"({_OPERATORS[node['operator']](arguments, node)})"


def _has_element(arguments: str, node: Document) -> str:
    tests = " AND ".join(_test(one, "element") for one in node["where"])
    return f"arrayExists(element -> {tests}, JSONExtractArrayRaw({arguments}))"


def _compare(arguments: str, node: Document) -> str:
    value, sign = node["value"], _SIGNS[node["operator"]]
    if isinstance(value, str):
        return f"JSONExtractString({arguments}) != '' AND JSONExtractString({arguments}) {sign} {_text(value)}"
    present = f"JSONHas({arguments}) AND " if sign in ("<", "<=", "=") else ""
    return f"{present}JSONExtractFloat({arguments}) {sign} {value}"


def _between(arguments: str, node: Document) -> str:
    return f"JSONExtractFloat({arguments}) BETWEEN {node['value']} AND {node['value2']}"


def _in(arguments: str, node: Document) -> str:
    return f"JSONExtractString({arguments}) IN ({', '.join(map(_text, node['value']))})"


def _in_last(arguments: str, node: Document) -> str:
    date = f"parseDateTime64BestEffortOrZero(JSONExtractString({arguments}), 3, 'UTC')"
    return f"{date} > {AT} - INTERVAL {node['value']['last']} {node['value']['unit'].upper()} AND {date} <= {AT}"


def _called(function: str) -> Callable[[str, Document], str]:
    return lambda arguments, node: f"{function}(JSONExtractString({arguments}), {_text(node['value'])})"


_OPERATORS: dict[str, Callable[[str, Document], str]] = {
    **dict.fromkeys(("eq", "gt", "gte", "lt", "lte"), _compare),
    "between": _between,
    "in": _in,
    "in_last": _in_last,
    "has_element": _has_element,
    "contains": _called("position"),
    "starts_with": _called("startsWith"),
    "ends_with": _called("endsWith"),
    "matches_regex": _called("match"),
    "is_set": lambda arguments, _: f"JSONHas({arguments})",
    "is_true": lambda arguments, _: f"JSONExtractBool({arguments})",
    "is_false": lambda arguments, _: f"JSONHas({arguments}) AND NOT JSONExtractBool({arguments})",
}


def _milliseconds(duration: Document) -> int:
    return int(duration["last"]) * _SECONDS[duration["unit"]] * 1000


def _keys(path: str) -> str:
    return ", ".join(map(_text, path.split(".")))


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
