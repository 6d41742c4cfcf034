"""A definition -> the query that selects its members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from segops_orchestration.compiler.conditions import Context, ResolveSegment, user_set
from segops_orchestration.compiler.parameters import Parameters, ParameterValue
from segops_orchestration.compiler.source import Source
from segops_orchestration.compiler.sql import indent
from segops_orchestration.dsl.models import Condition, Definition, Group, Not


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
        resolve: gives the id of a segment that the definition names by id or slug; its errors pass through.
    """
    compiled = compile_predicate(definition, source, resolve)
    sql = f"{with_sets(compiled.sets)}SELECT user_id\nFROM (\n{indent(source.universe)}\n)\nWHERE {compiled.predicate}"
    return CompiledQuery(sql, compiled.parameters)


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
        self._context = Context(source, self.parameters.of(""), resolve)
        self._prefix = prefix
        self._leaves = 0

    def combine(self, logic: str, conditions: tuple[Condition, ...], path: str) -> str:
        parts = [self.predicate(condition, f"{path}[{index}]") for index, condition in enumerate(conditions)]
        return f"\n  {logic} ".join(parts)

    def predicate(self, condition: Condition, path: str) -> str:
        if isinstance(condition, Group):
            inner = self.combine(condition.logic, condition.conditions, f"{path}.conditions")
            return f"({inner})".replace("\n", "\n  ")
        if isinstance(condition, Not):
            return f"NOT ({self.predicate(condition.condition, f'{path}.condition')})"
        return self._leaf(condition, path)

    def _leaf(self, condition: Condition, path: str) -> str:
        name = f"{self._prefix}c{self._leaves}"
        self._leaves += 1
        result = user_set(condition, replace(self._context, parameters=self.parameters.of(name)))
        if result.members is None:
            return "true" if result.negated else "false"
        self.sets.append(f"-- {path}: {condition.type}\n{name} AS (\n{indent(result.members)}\n)")
        return f"user_id NOT IN {name}" if result.negated else f"user_id IN {name}"
