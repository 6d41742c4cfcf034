"""A definition -> the query that selects its members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from segops_orchestration.compiler.conditions import (
    Context,
    ResolveSegment,
    UserSet,
    stored_members,
    user_properties,
    user_set,
)
from segops_orchestration.compiler.parameters import Parameters, ParameterValue
from segops_orchestration.compiler.source import Source
from segops_orchestration.compiler.sql import indent, select
from segops_orchestration.dsl.models import Condition, Definition, Group, Not, SegmentMembership, UserProperty


@dataclass(frozen=True)
class CompiledQuery:
    """SQL and the values of its own placeholders.

    The caller binds what the source leaves open: ``at`` always, and for instance ``bucket`` and ``buckets``.
    """

    sql: str
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)


@dataclass(frozen=True)
class CompiledPredicate:
    """A definition as an expression over the column ``user_id``.

    ``sets`` are the named user sets (``name AS (SELECT ...)``) that ``predicate`` looks the user up in.
    """

    sets: tuple[str, ...]
    predicate: str
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)


def compile_members(definition: Definition, source: Source, resolve: ResolveSegment) -> CompiledQuery:
    """The SELECT of the user ids that satisfy ``definition`` at ``{at}``, each once, in no order.

    Args:
        resolve: says what a segment that the definition names by id or slug stands for: an id, whose stored members
            are looked up, or a definition, which is evaluated too. Its errors pass through.

    Raises:
        ValueError: definitions that ``resolve`` gives refer to one another in a circle.
    """
    compiler = _PredicateCompiler(source, resolve, prefix="")
    parts = compiler.parts(definition.logic, definition.conditions, "conditions")
    members = _selected(definition.logic, parts, compiler.positive_sets, source)
    return CompiledQuery(with_sets(compiler.sets) + members, compiler.parameters.values)


def _selected(logic: str, parts: Sequence[str], positive_sets: Mapping[str, str], source: Source) -> str:
    """The SELECT of the users for whom the parts hold.

    Who is in a set of users with certain events has an event at or before T, so is in the universe. Where such a set
    bounds the members it is read in place of the universe: nothing then is looked up in it, and nobody else is seen.
    """
    bounding = [positive_sets[part] for part in parts if part in positive_sets]
    if bounding and (logic == "AND" or len(parts) == 1):
        others = [part for part in parts if positive_sets.get(part) != bounding[0]]
        return select("user_id", bounding[0], ["\n  AND ".join(others)] if others else ())
    if logic == "OR" and len(bounding) == len(parts):
        union = "\nUNION ALL\n".join(select("user_id", name) for name in dict.fromkeys(bounding))
        return select("DISTINCT user_id", union)
    return select("user_id", source.universe, [f"\n  {logic} ".join(parts)])


def compile_predicate(
    definition: Definition, source: Source, resolve: ResolveSegment, prefix: str = ""
) -> CompiledPredicate:
    """The same as a predicate. ``prefix`` begins all names, so that one query can hold several definitions."""
    compiler = _PredicateCompiler(source, resolve, prefix)
    predicate = compiler.combine(definition.logic, definition.conditions, "conditions")
    return CompiledPredicate(tuple(compiler.sets), predicate, compiler.parameters.values)


def with_sets(sets: Sequence[str]) -> str:
    """The WITH clause that defines named user sets; nothing when there are none."""
    return "WITH\n" + ",\n".join(sets) + "\n" if sets else ""


class _PredicateCompiler:
    """Walks the tree; each leaf becomes a named set of users, groups and ``not`` become AND, OR and NOT over them."""

    def __init__(self, source: Source, resolve: ResolveSegment, prefix: str) -> None:
        self.parameters = Parameters()
        self.sets: list[str] = []
        self._source = source
        self._resolve = resolve
        self._prefix = prefix
        self._leaves = 0
        # The set that a predicate says the user is in.
        self.positive_sets: dict[str, str] = {}
        # The predicates of definitions that are evaluated here; None while one is being compiled.
        self._inlined: dict[int | str, str | None] = {}

    def combine(self, logic: str, conditions: tuple[Condition, ...], path: str) -> str:
        return f"\n  {logic} ".join(self.parts(logic, conditions, path))

    def parts(self, logic: str, conditions: tuple[Condition, ...], path: str) -> list[str]:
        """A predicate for each condition; one for all that are about the user's properties, which share a pass."""
        of_user = {index: one for index, one in enumerate(conditions) if isinstance(one, UserProperty)}
        if len(of_user) < 2:
            of_user = {}
        parts = []
        for index, condition in enumerate(conditions):
            if index not in of_user:
                parts.append(self.predicate(condition, f"{path}[{index}]"))
            elif index == min(of_user):
                parts.append(self._user_properties(logic, of_user, path))
        return parts

    def _user_properties(self, logic: str, conditions: Mapping[int, UserProperty], path: str) -> str:
        name, context = self._next_leaf()
        paths = ", ".join(f"{path}[{index}]" for index in conditions)
        users = user_properties(logic, list(conditions.values()), context)
        return self._named(name, users, f"{paths}: user_property")

    def predicate(self, condition: Condition, path: str) -> str:
        if isinstance(condition, Group):
            return self._group(condition.logic, condition.conditions, f"{path}.conditions")
        if isinstance(condition, Not):
            return f"NOT ({self.predicate(condition.condition, f'{path}.condition')})"
        if isinstance(condition, SegmentMembership):
            return self._membership(condition, path)
        name, context = self._next_leaf()
        return self._named(name, user_set(condition, context), f"{path}: {condition.type}")

    def _group(self, logic: str, conditions: tuple[Condition, ...], path: str) -> str:
        return f"({self.combine(logic, conditions, path)})".replace("\n", "\n  ")

    def _membership(self, condition: SegmentMembership, path: str) -> str:
        key = condition.segment_id
        target = self._resolve(key)
        if not isinstance(target, Definition):
            name, context = self._next_leaf()
            return self._named(name, stored_members(target, condition, context), f"{path}: {condition.type}")
        if key not in self._inlined:
            self._inlined[key] = None
            self._inlined[key] = self._group(target.logic, target.conditions, f"segment {key}: conditions")
        predicate = self._inlined[key]
        if predicate is None:
            raise ValueError(f"segment {key} refers to itself")
        return f"NOT {predicate}" if condition.operator == "not_in" else predicate

    def _next_leaf(self) -> tuple[str, Context]:
        name = f"{self._prefix}c{self._leaves}"
        self._leaves += 1
        return name, Context(self._source, self.parameters.of(name))

    def _named(self, name: str, users: UserSet, comment: str) -> str:
        if users.members is None:
            return "true" if users.negated else "false"
        self.sets.append(f"-- {comment}\n{name} AS (\n{indent(users.members)}\n)")
        if users.negated:
            return f"user_id NOT IN {name}"
        predicate = f"user_id IN {name}"
        self.positive_sets[predicate] = name
        return predicate
