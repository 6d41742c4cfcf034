"""Walks a document of unknown origin and yields every problem it has, in document order.

The walk is bounded whatever it is given: it goes at most ``MAX_DEPTH`` levels down and looks at no more than
``MAX_CONDITIONS`` conditions, so a document that is deep, huge or refers to itself costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from segops_orchestration.dsl.models import CONDITION_MODELS, Definition
from segops_orchestration.dsl.not_built import is_not_built, refusal
from segops_orchestration.dsl.rules import LOGIC, RANGE_OPERATORS, Fields, operand, refused, rule_of
from segops_orchestration.dsl.wording import child, did_you_mean, element, found, listed, nearest
from segops_orchestration.errors import Problem

MAX_CONDITIONS = 100
MAX_DEPTH = 8

_CONDITIONS = f"an array of 1 to {MAX_CONDITIONS} conditions"


class Walk:
    """One pass over one document."""

    def __init__(self) -> None:
        self._conditions = 0

    def definition(self, path: str, document: object) -> Iterator[Problem]:
        """Problems of a whole definition that stands at ``path``."""
        if not isinstance(document, dict):
            yield Problem(path, refused(document, "an object with logic and conditions"))
            return
        names = tuple(Definition.model_fields)
        for key, value in document.items():
            where = child(path, key)
            if key == "logic":
                yield from LOGIC.check(where, value, document)
            elif key == "conditions":
                yield from self._array(where, value, depth=1)
            else:
                yield unknown_field(where, key, "document", names)
        for name in missing_fields(document, names, names):
            allowed = LOGIC.allowed if name == "logic" else _CONDITIONS
            yield Problem(child(path, name), f"missing; required: {allowed}")

    def _array(self, path: str, conditions: object, depth: int) -> Iterator[Problem]:
        if not isinstance(conditions, list | tuple) or not conditions:
            yield Problem(path, refused(conditions, _CONDITIONS))
            return
        for index, condition in enumerate(conditions):
            self._conditions += 1
            if self._conditions > MAX_CONDITIONS:
                if self._conditions == MAX_CONDITIONS + 1:
                    yield _too_many(path, conditions)
                return
            yield from self._condition(element(path, index), condition, depth)

    def _condition(self, path: str, condition: object, depth: int) -> Iterator[Problem]:
        types = tuple(CONDITION_MODELS)
        if not isinstance(condition, dict):
            yield Problem(path, refused(condition, "an object with a type"))
            return
        if "type" not in condition:
            yield Problem(child(path, "type"), f"missing; required: {listed(types)}")
            return
        name = condition["type"]
        if not isinstance(name, str) or name not in CONDITION_MODELS:
            yield _unknown_type(child(path, "type"), name, types)
            return
        if name in ("group", "not") and depth >= MAX_DEPTH:
            yield Problem(path, f"nested too deep; allowed: {MAX_DEPTH} levels, the document being the first")
            return
        yield from self._fields(path, name, condition, depth)

    def _fields(self, path: str, name: str, condition: Fields, depth: int) -> Iterator[Problem]:
        fields = CONDITION_MODELS[name].model_fields
        for key, value in condition.items():
            where = child(path, key)
            if key not in fields:
                yield unknown_field(where, key, name, tuple(fields))
            elif key == "conditions":
                yield from self._array(where, value, depth + 1)
            elif key == "condition":
                yield from self._only(where, value, depth + 1)
            elif key != "type":
                yield from rule_of(name, key).check(where, value, condition)
        required = [field for field, info in fields.items() if info.is_required()]
        for field in missing_fields(condition, tuple(fields), required):
            yield Problem(child(path, field), f"missing; required: {_allowed(name, field)}")
        if "value" in fields and "value2" in fields:
            yield from _missing_operands(path, condition)

    def _only(self, path: str, condition: object, depth: int) -> Iterator[Problem]:
        """The one condition of a ``not``; it counts like an element of an array."""
        self._conditions += 1
        if self._conditions <= MAX_CONDITIONS:
            yield from self._condition(path, condition, depth)
        elif self._conditions == MAX_CONDITIONS + 1:
            yield _too_many(path, [condition])


def _allowed(name: str, field: str) -> str:
    if field == "conditions":
        return _CONDITIONS
    return "a condition" if field == "condition" else rule_of(name, field).allowed


def missing_fields(document: Fields, names: Sequence[str], required: Sequence[str]) -> Iterator[str]:
    """Required fields that are absent, except those that are there misspelt and reported as such."""
    strays = [key for key in document if key not in names]
    misspelt = {nearest(key, names) for key in strays[:100]}
    return (name for name in required if name not in document and name not in misspelt)


def _missing_operands(path: str, condition: Fields) -> Iterator[Problem]:
    operator = condition.get("operator")
    allowed = operand(operator)
    if allowed is None:
        return
    for name in ("value", "value2") if operator in RANGE_OPERATORS else ("value",):
        if name not in condition:
            yield Problem(child(path, name), f"missing; operator {operator} needs {allowed}")


def unknown_field(path: str, key: object, owner: str, names: Sequence[str]) -> Problem:
    """A field that ``owner`` does not have: an extension not built yet, or a slip."""
    if isinstance(key, str) and is_not_built("field", f"{owner}.{key}"):
        return Problem(path, f"{refusal(f'{key} of {owner}')}; allowed: {listed(names)}")
    return Problem(path, f"unknown field; allowed: {listed(names)}{did_you_mean(key, names)}")


def _unknown_type(path: str, name: object, types: Sequence[str]) -> Problem:
    if isinstance(name, str) and is_not_built("type", name):
        return Problem(path, f"{refusal(f'type {name!r}')}; allowed: {listed(types)}")
    return Problem(path, refused(name, listed(types)) + did_you_mean(name, types))


def _too_many(path: str, conditions: Sequence[object]) -> Problem:
    return Problem(
        path,
        f"found {found(list(conditions))}, more than {MAX_CONDITIONS} conditions in the whole document; "
        f"allowed: 1 to {MAX_CONDITIONS}, those inside groups and nots included",
    )
