"""A definition as a tree of numbered nodes: segments that it refers to are unfolded, equal leaves are one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from segops_orchestration.catalog.records import Segment
from segops_orchestration.dsl.models import Condition, Definition, Group, Logic, Not, SegmentMembership
from segops_orchestration.dsl.parse import parse_definition

FindSegment = Callable[[int | str], Segment]


@dataclass(frozen=True)
class Node:
    """A condition and where it stands.

    Attributes:
        children: the numbers of the nodes below; those of a segment reference are the other segment's conditions.
        logic: how the children combine, None where they do not: in a ``not`` and in a leaf.
        leaf: which leaf of the tree this is, None for anything else.
        segment: the segment that is referred to.
        unfolded_at: the path of the first reference to the same segment, if this is a later one.
    """

    number: int
    path: str
    condition: Condition | Definition
    children: tuple[int, ...] = ()
    logic: Logic | None = None
    leaf: int | None = None
    segment: Segment | None = None
    unfolded_at: str | None = None


@dataclass
class Tree:
    """``nodes`` stand after those below them, so the root is the last; ``leaves`` are the distinct conditions to ask.

    ``segments`` are those that the definition refers to, through chains, each once.
    """

    nodes: list[Node] = field(default_factory=list)
    leaves: list[Condition] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)

    @property
    def root(self) -> Node:
        return self.nodes[-1]

    def verdicts(self, leaves: Sequence[bool]) -> list[bool]:
        """Whether each node holds, given that of the leaves."""
        found: list[bool] = []
        for node in self.nodes:
            below = [found[child] for child in node.children]
            found.append(leaves[node.leaf] if node.leaf is not None else _combined(node, below))
        return found

    def observers(self) -> list[set[int]]:
        """For each leaf the nodes whose answers can depend on it."""
        above: list[set[int]] = [set() for _ in self.nodes]
        for node in reversed(self.nodes):
            above[node.number].add(node.number)
            for child in node.children:
                above[child] |= above[node.number]
        found: list[set[int]] = [set() for _ in self.leaves]
        for node in self.nodes:
            if node.leaf is not None:
                found[node.leaf] |= above[node.number]
        return found


def _combined(node: Node, below: Sequence[bool]) -> bool:
    if node.logic is None:
        return not below[0]
    together = all(below) if node.logic == "AND" else any(below)
    if isinstance(node.condition, SegmentMembership):
        return together == (node.condition.operator == "in")
    return together


def unfold(definition: Definition, find_segment: FindSegment) -> Tree:
    """The tree of a definition. The catalogue has seen to it that references exist and form no circle.

    Raises:
        NotFound: what ``find_segment`` raises.
    """
    return _Unfolding(find_segment).tree(definition)


class _Unfolding:
    def __init__(self, find_segment: FindSegment) -> None:
        self._find_segment = find_segment
        self._tree = Tree()
        self._leaf_numbers: dict[str, int] = {}
        self._unfolded: dict[int, Node] = {}

    def tree(self, definition: Definition) -> Tree:
        self._add("", definition, self._all(definition.conditions, "conditions"), definition.logic)
        return self._tree

    def _all(self, conditions: Sequence[Condition], path: str) -> tuple[int, ...]:
        return tuple(self._one(condition, f"{path}[{index}]") for index, condition in enumerate(conditions))

    def _one(self, condition: Condition, path: str) -> int:
        if isinstance(condition, Group):
            below = self._all(condition.conditions, f"{path}.conditions")
            return self._add(path, condition, below, condition.logic)
        if isinstance(condition, Not):
            return self._add(path, condition, (self._one(condition.condition, f"{path}.condition"),))
        if isinstance(condition, SegmentMembership):
            return self._reference(condition, path)
        # As it is written: as values 1 and true would be equal.
        written = condition.model_dump_json()
        if written not in self._leaf_numbers:
            self._leaf_numbers[written] = len(self._tree.leaves)
            self._tree.leaves.append(condition)
        return self._add(path, condition, leaf=self._leaf_numbers[written])

    def _reference(self, condition: SegmentMembership, path: str) -> int:
        segment = self._find_segment(condition.segment_id)
        known = self._unfolded.get(segment.id)
        if known is not None:
            return self._add(path, condition, known.children, known.logic, segment=segment, unfolded_at=known.path)
        definition = parse_definition(segment.definition)
        below = self._all(definition.conditions, f"segment {segment.slug}: conditions")
        number = self._add(path, condition, below, definition.logic, segment=segment)
        self._unfolded[segment.id] = self._tree.nodes[number]
        self._tree.segments.append(segment)
        return number

    def _add(
        self,
        path: str,
        condition: Condition | Definition,
        children: tuple[int, ...] = (),
        logic: Logic | None = None,
        *,
        leaf: int | None = None,
        segment: Segment | None = None,
        unfolded_at: str | None = None,
    ) -> int:
        number = len(self._tree.nodes)
        self._tree.nodes.append(Node(number, path, condition, children, logic, leaf, segment, unfolded_at))
        return number
