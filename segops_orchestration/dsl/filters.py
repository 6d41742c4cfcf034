"""Rules of ``where`` and of the steps of a sequence, which may have one."""

from __future__ import annotations

from collections.abc import Iterator

from segops_orchestration.dsl.faults import Fields, Rule, object_problems, refused
from segops_orchestration.dsl.operands import HAS_ELEMENT, VALUE, VALUE2, is_operator, missing_operands
from segops_orchestration.dsl.rules import EVENT_TYPE, PROPERTY, PROPERTY_OPERATOR, event_type_fault
from segops_orchestration.dsl.wording import element, found
from segops_orchestration.errors import Problem

MAX_WHERE = 100
MAX_WHERE_DEPTH = 8
# More than 64 KiB can hold, so that this bounds only what is no JSON text: objects that contain themselves.
MAX_FILTERS = 2_000
SEQUENCE_STEPS = (2, 10)

FILTERS = f"an array of 1 to {MAX_WHERE} filters, each with property, operator and value"
STEPS = (
    f"an array of {SEQUENCE_STEPS[0]} to {SEQUENCE_STEPS[1]} event types, "
    "a step with filters being an object of event_type and where"
)

# In these, ``where`` narrows events; in all others it belongs to has_element.
NARROWED = ("event_count", "recency", "monetary", "event_property", "first_event", "regularity")


class FilterWalk:
    """The filters of one document, which are counted together."""

    def __init__(self) -> None:
        self._seen = 0

    def where(self, path: str, where: object, condition: Fields) -> Iterator[Problem]:
        """Problems of the ``where`` of a condition."""
        operator = condition.get("operator")
        if condition.get("type") in NARROWED or not is_operator(operator) or operator == HAS_ELEMENT:
            yield from self._filters(path, where, depth=1)
        elif where is not None:
            yield _out_of_place(path, where, operator)

    def events(self, path: str, events: object) -> Iterator[Problem]:
        """Problems of the events of a sequence."""
        least, most = SEQUENCE_STEPS
        if not isinstance(events, list | tuple):
            yield Problem(path, refused(events, STEPS))
            return
        if not least <= len(events) <= most:
            yield Problem(path, refused(events, STEPS))
        for index, step in enumerate(events[:most]):
            yield from self._step(element(path, index), step)

    def _step(self, path: str, step: object) -> Iterator[Problem]:
        if isinstance(step, dict):
            rules = {"event_type": EVENT_TYPE, "where": Rule(FILTERS, lambda at, where, _: self._filters(at, where, 1))}
            yield from object_problems(path, step, "a step", rules, ("event_type",))
            return
        fault = event_type_fault(step)
        if fault is not None:
            yield Problem(path, fault)

    def _filters(self, path: str, filters: object, depth: int) -> Iterator[Problem]:
        if filters is None:
            return  # null says what leaving the field out says
        if depth > MAX_WHERE_DEPTH:
            yield Problem(path, f"nested too deep; allowed: {MAX_WHERE_DEPTH} levels of where")
            return
        if not isinstance(filters, list | tuple) or not 1 <= len(filters) <= MAX_WHERE:
            yield Problem(path, refused(filters, FILTERS))
            return
        for index, item in enumerate(filters):
            self._seen += 1
            if self._seen > MAX_FILTERS:
                if self._seen == MAX_FILTERS + 1:
                    yield Problem(path, f"more than {MAX_FILTERS:,} filters in the whole document")
                return
            yield from self._filter(element(path, index), item, depth)

    def _filter(self, path: str, item: object, depth: int) -> Iterator[Problem]:
        if not isinstance(item, dict):
            yield Problem(path, refused(item, "an object with property, operator and value"))
            return

        def check(at: str, where: object, test: Fields) -> Iterator[Problem]:
            operator = test.get("operator")
            if where is None or not is_operator(operator) or operator == HAS_ELEMENT:
                yield from self._filters(at, where, depth + 1)
            else:
                yield _out_of_place(at, where, operator)

        rules = {
            "property": PROPERTY,
            "operator": PROPERTY_OPERATOR,
            "value": VALUE,
            "value2": VALUE2,
            "where": Rule(FILTERS, check),
        }
        yield from object_problems(path, item, "a filter", rules, ("property", "operator"))
        yield from missing_operands(path, item, tuple(rules))


def _out_of_place(path: str, where: object, operator: object) -> Problem:
    return Problem(path, f"found {found(where)}; where belongs to operator {HAS_ELEMENT} here, not to {operator}")
