"""References between the segments of a tenant: every target exists, and they form no cycle."""

from __future__ import annotations

import graphlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from segops_orchestration.dsl.models import Condition, Definition, Group, Not, SegmentMembership
from segops_orchestration.dsl.parse import parse_definition
from segops_orchestration.dsl.wording import did_you_mean, found
from segops_orchestration.errors import Problem

_Edges = dict[str, list[tuple[str, str]]]


@dataclass(frozen=True)
class Node:
    """A segment to be checked or referred to.

    ``changed`` is its definition if it is being saved; ``leaving`` says that it is being archived by the same call.
    """

    id: int
    slug: str
    active: bool
    source: str
    definition: str
    changed: Definition | None
    leaving: bool = False


def problems(tenant: str | None, nodes: Sequence[Node]) -> list[Problem]:
    """Everything wrong with the references of the changed segments, in the order of ``nodes``.

    ``nodes`` are all segments of the tenant as they would be, or with ``tenant`` None those of some files. Those that
    do not change are known to be free of cycles, so only what the changed ones reach is read.
    """
    by_slug = {node.slug: node for node in nodes}
    by_id = {node.id: node for node in nodes}
    missing: list[Problem] = []
    edges: _Edges = {}
    waiting = [node for node in reversed(nodes) if node.changed is not None]
    while waiting:
        node = waiting.pop()
        if node.slug in edges:
            continue
        edges[node.slug] = []
        for path, reference in _paths(node):
            target = by_id.get(reference) if isinstance(reference, int) else by_slug.get(reference)
            if target is not None and target.active:
                edges[node.slug].append((path, target.slug))
                waiting.append(target)
            elif node.changed is not None:
                missing.append(Problem(_where(node, path), _missing(tenant, reference, target, by_slug)))
    return missing + _cycles(edges, by_slug)


def users_of(slug: str, nodes: Sequence[Node]) -> list[str]:
    """Slugs of the active segments that refer to ``slug``, in the order of ``nodes``."""
    ids = {node.id for node in nodes if node.slug == slug}
    return [
        node.slug
        for node in nodes
        if node.active and any(target == slug or target in ids for _, target in _paths(node))
    ]


def _paths(node: Node) -> Iterator[tuple[str, int | str]]:
    """Each reference and where in the definition it is written."""
    definition = node.changed
    if definition is None:
        # Most segments refer to none: looking at the text is much cheaper than parsing it.
        if '"segment_membership"' not in node.definition:
            return
        definition = parse_definition(json.loads(node.definition))
    for index, condition in enumerate(definition.conditions):
        yield from _condition_paths(condition, f"conditions[{index}]")


def _condition_paths(condition: Condition, path: str) -> Iterator[tuple[str, int | str]]:
    if isinstance(condition, SegmentMembership):
        yield f"{path}.segment_id", condition.segment_id
    elif isinstance(condition, Not):
        yield from _condition_paths(condition.condition, f"{path}.condition")
    elif isinstance(condition, Group):
        for index, inner in enumerate(condition.conditions):
            yield from _condition_paths(inner, f"{path}.conditions[{index}]")


def _missing(tenant: str | None, reference: int | str, target: Node | None, by_slug: Mapping[str, Node]) -> str:
    if target is not None and target.leaving:
        return f"segment {target.slug!r} of tenant {tenant!r} is in none of these files, so it would be archived"
    if target is not None:
        return f"segment {target.slug!r} of tenant {tenant!r} is archived"
    known = [node.slug for node in by_slug.values() if node.active]
    where = "among these files" if tenant is None else f"in tenant {tenant!r}"
    return f"no segment {found(reference)} {where}{did_you_mean(reference, known)}"


def _cycles(edges: _Edges, by_slug: Mapping[str, Node]) -> list[Problem]:
    """Cycles that share no reference, each said once, from the segment of it that was given first."""
    graph = {slug: dict.fromkeys(target for _, target in targets) for slug, targets in edges.items()}
    given = {slug: place for place, slug in enumerate(by_slug)}
    result: list[Problem] = []
    while True:
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            # graphlib lists each node before the one that depends on it: backwards is who refers to whom.
            cycle: list[str] = list(reversed(error.args[1][1:]))
        else:
            return result
        start = min(range(len(cycle)), key=lambda place: given[cycle[place]])
        cycle = [*cycle[start:], *cycle[:start]]
        first, second = cycle[0], cycle[1 % len(cycle)]
        path = next(path for path, target in edges[first] if target == second)
        steps = " -> ".join([*cycle, first])
        result.append(Problem(_where(by_slug[first], path), f"segments refer to each other in a cycle: {steps}"))
        for slug, target in zip(cycle, [*cycle[1:], first], strict=True):
            del graph[slug][target]


def _where(node: Node, path: str) -> str:
    return f"{node.source}: definition.{path}"
