"""JSON Schema (draft 2020-12) of segment files and of definitions, for editors and other programs.

Fields, their words and what is required come from the models and rules, limits from where the parser has them. A
schema accepts all that the parser accepts. It cannot see, and leaves to the parser:

- counts and depths of the whole document: 100 conditions, 8 levels, 8 steps into arrays, 64 KiB;
- one value against another: ``value`` above ``value2`` or of another kind, ``from`` after ``to``, ``from_ago`` below
  ``to_ago``, ``min_periods`` above ``periods``, periods that together are too long;
- what a text says: patterns that are not RE2, days that do not exist, numeric text beyond the largest number, halves
  of surrogate pairs;
- the tests of a file: who is in and out beside who has events;
- spelling that JSON Schema takes for equal: 3.0 where a whole number belongs.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from segops_orchestration.dsl import models, operands
from segops_orchestration.dsl.check import MAX_CONDITIONS, allowed_words
from segops_orchestration.dsl.faults import Rule
from segops_orchestration.dsl.filters import MAX_WHERE, NARROWED, SEQUENCE_STEPS
from segops_orchestration.dsl.rules import MAX_EVENT_TYPE, MAX_ID, MAX_PROPERTY
from segops_orchestration.dsl.segment_file import ALLOWED, MAX_DESCRIPTION, MAX_NAME
from segops_orchestration.dsl.segment_tests import (
    EVENT_FIELDS,
    MAX_EVENTS,
    MAX_TESTS,
    MAX_USERS,
    RELATIVE_TEXT,
    TEST_FIELDS,
)
from segops_orchestration.dsl.values import DATE_TEXT, NUMBER_LIMIT, NUMBER_TEXT
from segops_orchestration.dsl.windows import MAX_WINDOW_DAYS, MOST, PERIODS

Schema = dict[str, Any]

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_NULL: Schema = {"type": "null"}
_GIVEN: Schema = {"not": _NULL}


def segment_schema() -> Schema:
    """The schema of a segment file, be it YAML or JSON."""
    fields: Schema = {
        "slug": _SLUG,
        "name": {"type": "string", "maxLength": MAX_NAME, "pattern": r"\S", "not": _CONTROL},
        "description": {"type": "string", "maxLength": MAX_DESCRIPTION},
        "definition": {"$ref": "#/$defs/definition"},
        "tests": _tests(),
    }
    described = {name: {**field, "description": ALLOWED[name]} for name, field in fields.items()}
    segment = _object(described, ("slug", "name", "definition"))
    return {"$schema": _DRAFT, "title": "A segment", **segment, "$defs": {"definition": _definition(), **_shared()}}


def definition_schema() -> Schema:
    """The schema of a definition alone."""
    return {"$schema": _DRAFT, "title": "The definition of a segment", **_definition(), "$defs": _shared()}


def _shared() -> Schema:
    conditions = {name: _condition(name) for name in models.CONDITION_MODELS}
    return {
        "condition": _any_condition(),
        **conditions,
        "filters": {"type": "array", "minItems": 1, "maxItems": MAX_WHERE, "items": _ref("filter")},
        "filter": _filter(),
        "step": _object({"event_type": _ref("event_type"), "where": _optional(_ref("filters"))}, ("event_type",)),
        "window": {"anyOf": [_ref("duration"), _fixed_window(), _ago_window()]},
        "duration": _duration(),
        "unit": {"enum": list(MOST)},
        "event_type": {"type": "string", "minLength": 1, "maxLength": MAX_EVENT_TYPE, "not": _CONTROL},
        "property": {"type": "string", "maxLength": MAX_PROPERTY, "pattern": _PATH},
        "scalar": {"anyOf": [{"type": ["string", "boolean"]}, _NUMBER]},
        "ordered": {"anyOf": [_NUMBER, {"type": "string", "pattern": f"^(?:{NUMBER_TEXT}|{DATE_TEXT})$"}]},
        "instant": {"type": "string", "pattern": f"^{DATE_TEXT}$"},
    }


# Words of the schema language


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _object(properties: Schema, required: Iterable[str]) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _optional(schema: Schema) -> Schema:
    return {"anyOf": [schema, _NULL]}


def _given(name: str) -> Schema:
    """The field is there and says something."""
    return {"required": [name], "properties": {name: _GIVEN}}


def _where_operator(operators: Sequence[str], then: Schema) -> Schema:
    return {"if": {"required": ["operator"], "properties": {"operator": {"enum": list(operators)}}}, "then": then}


def _needs(**fields: Schema) -> Schema:
    return {"required": list(fields), "properties": fields}


def _whole(least: int, most: int) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most}


_NUMBER: Schema = {"type": "number", "exclusiveMinimum": -NUMBER_LIMIT, "exclusiveMaximum": NUMBER_LIMIT}
_CONTROL: Schema = {"pattern": "[\\u0000-\\u001f\\u007f-\\u009f]"}
_SLUG: Schema = {"type": "string", "maxLength": 63, "pattern": "^[a-z0-9]", "not": {"pattern": "[^a-z0-9_-]"}}
# Steps between dots that are not escaped, each with something before its [].
_STEP = r"(?!(?:\[\])+(?:\.|$))(?:\\\.|[^.])+"
_PATH = rf"^{_STEP}(?:\.{_STEP})*$"


# Time


def _duration() -> Schema:
    limits = [
        {"if": {"properties": {"unit": {"const": unit}}}, "then": {"properties": {"last": {"maximum": most}}}}
        for unit, most in MOST.items()
    ]
    fields = {"last": {"type": "integer", "minimum": 1}, "unit": _ref("unit")}
    return {**_object(fields, fields), "allOf": limits}


def _fixed_window() -> Schema:
    side = _optional(_ref("instant"))
    return {**_object({"from": side, "to": side}, ()), "anyOf": [_given("from"), _given("to")]}


def _ago_window() -> Schema:
    limits = [
        {
            "if": {"properties": {"unit": {"const": unit}}},
            "then": {"properties": {"from_ago": {"maximum": most}, "to_ago": {"maximum": most}}},
        }
        for unit, most in MOST.items()
    ]
    fields = {
        "from_ago": {"type": ["integer", "null"], "minimum": 1},
        "to_ago": {"type": ["integer", "null"], "minimum": 0},
        "unit": _ref("unit"),
    }
    return {**_object(fields, ["unit"]), "anyOf": [_given("from_ago"), _given("to_ago")], "allOf": limits}


# Tests


def _tests() -> Schema:
    text = {"type": "string", "minLength": 1, "maxLength": 256, "not": _CONTROL}
    user = {"type": "string", "minLength": 1, "maxLength": 512}
    event = {
        "user_id": user,
        "event_type": text,
        "occurred_at": {"type": "string", "pattern": f"^(?:{RELATIVE_TEXT}|{DATE_TEXT})$"},
        "payload": {"type": "object"},
        "event_id": text,
    }
    users = {"type": "array", "maxItems": MAX_USERS, "items": user}
    test = {
        "name": {**text, "maxLength": MAX_NAME},
        "at": {"type": "string", "pattern": f"^{DATE_TEXT}$"},
        "events": _array(
            MAX_EVENTS, _object(_described(event, EVENT_FIELDS), ("user_id", "event_type", "occurred_at"))
        ),
        "in": users,
        "out": users,
    }
    return _array(MAX_TESTS, _object(_described(test, TEST_FIELDS), ("at", "events")))


def _array(most: int, items: Schema) -> Schema:
    return {"type": "array", "minItems": 1, "maxItems": most, "items": items}


def _described(fields: Schema, rules: Mapping[str, Rule]) -> Schema:
    return {name: {**field, "description": rules[name].allowed} for name, field in fields.items()}


# Conditions


def _definition() -> Schema:
    fields = {"logic": {"enum": list(get_args(models.Logic))}, "conditions": _CONDITIONS}
    return _object(fields, fields)


def _any_condition() -> Schema:
    """One schema for each type, so that an editor speaks of the fields of that type alone."""
    by_type = [
        {"if": {"required": ["type"], "properties": {"type": {"const": name}}}, "then": _ref(name)}
        for name in models.CONDITION_MODELS
    ]
    types = {"enum": list(models.CONDITION_MODELS)}
    return {"type": "object", "required": ["type"], "properties": {"type": types}, "allOf": by_type}


def _condition(name: str) -> Schema:
    model = models.CONDITION_MODELS[name]
    properties: Schema = {"type": {"const": name}}
    for field, info in model.model_fields.items():
        if field != "type":
            schema = _BY_TYPE_AND_FIELD.get((name, field)) or _BY_FIELD[field]
            if not info.is_required() and info.default is None and field not in ("value", "value2"):
                schema = _optional(schema)
            properties[field] = {**schema, "description": allowed_words(name, field)}
    required = ["type", *(field for field, info in model.model_fields.items() if info.is_required())]
    described = {"description": inspect.cleandoc(model.__doc__ or "").split("\n\n")[0].replace("\n", " ")}
    constraints = [*(_operands(name in NARROWED) if "value2" in properties else ()), *_CONSTRAINTS.get(name, ())]
    return described | _object(properties, required) | ({"allOf": constraints} if constraints else {})


def _filter() -> Schema:
    fields = {
        "property": _ref("property"),
        "operator": _BY_FIELD["operator"],
        "value": {},
        "value2": {},
        "where": _optional(_ref("filters")),
    }
    return {**_object(fields, ("property", "operator")), "allOf": _operands(narrowed=False)}


def _operands(narrowed: bool) -> list[Schema]:
    """What each property operator needs beside it. ``narrowed``: ``where`` has a meaning without has_element too."""
    every = get_args(models.PropertyOperator)
    needs: dict[tuple[str, ...], Schema] = {
        operands.SCALAR_OPERATORS: _needs(value=_ref("scalar")),
        operands.ORDER_OPERATORS: _needs(value=_ref("ordered")),
        operands.RANGE_OPERATORS: _needs(value=_ref("ordered"), value2=_ref("ordered")),
        operands.LIST_OPERATORS: _needs(
            value={"type": "array", "minItems": 1, "maxItems": operands.MAX_LIST, "items": _ref("scalar")}
        ),
        operands.DATE_OPERATORS: _needs(value=_ref("duration")),
        ("matches_regex",): _needs(value={"type": "string"}),
        (operands.HAS_ELEMENT,): _given("where"),
    }
    with_value = {name for group in needs for name in group} - {operands.HAS_ELEMENT}
    needs[tuple(name for name in every if name not in with_value)] = {"properties": {"value": _NULL}}
    needs[tuple(name for name in every if name not in operands.RANGE_OPERATORS)] = {"properties": {"value2": _NULL}}
    if not narrowed:
        needs[tuple(name for name in every if name != operands.HAS_ELEMENT)] = {"properties": {"where": _NULL}}
    return [_where_operator(group, then) for group, then in needs.items()]


_CONDITIONS: Schema = {"type": "array", "minItems": 1, "maxItems": MAX_CONDITIONS, "items": _ref("condition")}
_COMPARISON: Schema = {"enum": list(get_args(models.CountOperator))}
_COUNT = _whole(0, MAX_ID)
_WINDOW_DAYS: Schema = {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_WINDOW_DAYS}
_BY_FIELD: dict[str, Schema] = {
    "event_type": _ref("event_type"),
    "property": _ref("property"),
    "operator": {"enum": list(get_args(models.PropertyOperator))},
    "metric": {"enum": list(get_args(models.Metric))},
    "value": {},
    "value2": {},
    "where": _ref("filters"),
    "window_days": _WINDOW_DAYS,
    "window": _ref("window"),
    "within": _ref("duration"),
    "at_least": _ref("duration"),
    "less_than": _ref("duration"),
    "period": _ref("duration"),
    "periods": _whole(*PERIODS),
    "min_periods": _whole(1, PERIODS[1]),
    "events": {
        "type": "array",
        "minItems": SEQUENCE_STEPS[0],
        "maxItems": SEQUENCE_STEPS[1],
        "items": {"anyOf": [_ref("event_type"), _ref("step")]},
    },
    "strict": {"type": "boolean"},
    "segment_id": {"anyOf": [_SLUG, _whole(1, MAX_ID)]},
    "logic": {"enum": list(get_args(models.Logic))},
    "conditions": _CONDITIONS,
    "condition": _ref("condition"),
}
_BY_TYPE_AND_FIELD: dict[tuple[str, str], Schema] = {
    ("event_count", "operator"): _COMPARISON,
    ("monetary", "operator"): _COMPARISON,
    ("regularity", "operator"): _COMPARISON,
    ("recency", "operator"): {"enum": list(get_args(models.RecencyOperator))},
    ("segment_membership", "operator"): {"enum": list(get_args(models.MembershipOperator))},
    ("event_count", "value"): _COUNT,
    ("regularity", "value"): _COUNT,
    ("monetary", "value"): _NUMBER,
}
_ONE_WINDOW: Schema = {"not": {"allOf": [_given("window"), _given("window_days")]}}
_CONSTRAINTS: dict[str, list[Schema]] = {
    "event_count": [_ONE_WINDOW],
    "monetary": [_ONE_WINDOW],
    "event_sequence": [_ONE_WINDOW],
    "first_event": [_ONE_WINDOW, {"anyOf": [_given("window"), _given("window_days")]}],
    "recency": [_where_operator(["eq"], {"properties": {"window_days": {"type": "integer"}}})],
    "property_held": [{"oneOf": [_given("at_least"), _given("less_than")]}],
}
