"""Walks a document of unknown origin and yields every problem it has, in document order.

The walk is bounded whatever it is given: it goes at most ``MAX_DEPTH`` levels down and looks at no more than
``MAX_CONDITIONS`` conditions and a bounded number of filters, so a document that is deep, huge or refers to itself
costs little.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from segops_orchestration.dsl.faults import Fields, missing_fields, misspelt_fields, refused, unknown_field
from segops_orchestration.dsl.filters import FILTERS, STEPS, FilterWalk
from segops_orchestration.dsl.models import CONDITION_MODELS, Definition
from segops_orchestration.dsl.not_built import is_not_built, refusal
from segops_orchestration.dsl.operands import missing_operands
from segops_orchestration.dsl.rules import LOGIC, rule_of
from segops_orchestration.dsl.wording import child, did_you_mean, element, found, listed
from segops_orchestration.errors import Problem

MAX_CONDITIONS = 100
MAX_DEPTH = 8

_CONDITIONS = f"an array of 1 to {MAX_CONDITIONS} conditions"


class Walk:
    """One pass over one document."""

    def __init__(self) -> None:
        self._conditions = 0
        self._filters = FilterWalk()

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
                yield unknown_field(where, key, "a document", names)
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
            elif key != "type":
                yield from self._field(where, key, value, condition, depth)
        required = [field for field, info in fields.items() if info.is_required()]
        for field in missing_fields(condition, tuple(fields), required):
            yield Problem(child(path, field), f"missing; required: {allowed_words(name, field)}")
        if "value2" in fields:
            yield from missing_operands(path, condition, tuple(fields))
        if name in _ONE_OF:
            yield from _missing_one(path, condition, tuple(fields), _ONE_OF[name])

    def _field(self, path: str, name: str, value: object, condition: Fields, depth: int) -> Iterator[Problem]:
        if name == "conditions":
            return self._array(path, value, depth + 1)
        if name == "condition":
            return self._only(path, value, depth + 1)
        if name == "where":
            return self._filters.where(path, value, condition)
        if name == "events":
            return self._filters.events(path, value)
        return rule_of(str(condition["type"]), name).check(path, value, condition)

    def _only(self, path: str, condition: object, depth: int) -> Iterator[Problem]:
        """The one condition of a ``not``; it counts like an element of an array."""
        self._conditions += 1
        if self._conditions <= MAX_CONDITIONS:
            yield from self._condition(path, condition, depth)
        elif self._conditions == MAX_CONDITIONS + 1:
            yield _too_many(path, [condition])


# Of each pair one is required; that there are not two, the rules see.
_ONE_OF = {"first_event": ("window", "window_days"), "property_held": ("at_least", "less_than")}
_CONTAINERS = {"conditions": _CONDITIONS, "condition": "a condition", "where": FILTERS, "events": STEPS}


def allowed_words(name: str, field: str) -> str:
    """What a field of a type of condition may hold, in words."""
    return _CONTAINERS.get(field) or rule_of(name, field).allowed


def _missing_one(path: str, condition: Fields, names: Sequence[str], pair: tuple[str, str]) -> Iterator[Problem]:
    given = any(condition.get(name) is not None for name in pair)
    if not given and not misspelt_fields(condition, names) & set(pair):
        allowed = rule_of(str(condition["type"]), pair[0]).allowed
        yield Problem(child(path, pair[0]), f"missing; required: {pair[0]} or {pair[1]}, {pair[0]} being {allowed}")


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
