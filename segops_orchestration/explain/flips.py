"""The search for the first instant at which an answer changes by time alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

from segops_orchestration.explain.history import History, UserEvents, instant_of, milliseconds
from segops_orchestration.explain.once import changes_once, find_changes
from segops_orchestration.explain.tree import Tree
from segops_orchestration.explain.turns import MAX_TURNS, find_turns
from segops_orchestration.explain.verdicts import Question, Verdicts, leaf_verdicts

MAX_EVENTS_READ = 20_000_000
"""A search ends when it has looked at so many events, one looked at at two instants counting twice."""

# Of a leaf that changes once, so many turns are not looked at one by one.
MANY_TURNS = 64

_FIRST_BATCH, _LARGEST_BATCH = 32, 2_000
_EVENTS_PER_STATEMENT = 1_000_000
_BYTES_PER_STATEMENT = 64 << 20


@dataclass
class Flips:
    """When the membership and each node change for the first time after T.

    ``cut_off``: the search ended there; what has not changed until then stays so at least until then. None: whatever
    has not changed never does.
    """

    membership: datetime | None = None
    nodes: dict[int, datetime] = field(default_factory=dict)
    cut_off: datetime | None = None


def find_flips(
    user: UserEvents,
    tree: Tree,
    leaves: Sequence[bool],
    history: History,
    *,
    most_turns: int = MAX_TURNS,
    most_events_read: int = MAX_EVENTS_READ,
) -> Flips:
    """Evaluate the leaves, in order of time, wherever their answers can change, until everything has changed once.

    Args:
        leaves: the leaves' answers at the user's ``at``.
        most_turns, most_events_read: bounds of the search.
    """
    if history.first_ms is None:
        return Flips()
    found = find_turns(user, tree.leaves, most_turns)
    search = _Search(user, tree, leaves, history)
    turns = search.narrowed(found.turns) if history.is_past else found.turns
    for batch in search.batches(_by_instant(turns, history.first_ms, milliseconds(user.at))):
        if search.events_read + search.cost(batch) > most_events_read:
            return search.ended(instant_of(batch[0][0]))
        search.evaluate(batch)
        if search.is_over:
            return search.ended(None)
    return search.ended(found.cut_off)


_Turn = tuple[int, list[int]]
"""An instant and the leaves that can change at it."""


def _by_instant(turns: Sequence[tuple[int, int]], first_event: int, after: int) -> list[_Turn]:
    """The turns by instant, and the instant from which on the user exists."""
    found = {instant: [leaf for _, leaf in group] for instant, group in groupby(turns, key=lambda turn: turn[0])}
    if first_event > after:
        found.setdefault(first_event, [])
    return sorted(found.items())


class _Search:
    def __init__(self, user: UserEvents, tree: Tree, leaves: Sequence[bool], history: History) -> None:
        self._user = user
        self._tree = tree
        self._observers = tree.observers()
        self._first_ms = history.first_ms or 0
        self._costs = [max(1, history.read_for(leaf)) for leaf in tree.leaves]
        self._bytes = history.bytes_per_event
        self._leaves = list(leaves)
        self._before = tree.verdicts(leaves)
        self._was_in = self._is_in(milliseconds(user.at), self._before)
        self._flips = Flips()
        self.events_read = 0

    @property
    def is_over(self) -> bool:
        return self._flips.membership is not None and len(self._flips.nodes) == len(self._tree.nodes)

    def batches(self, turns: Sequence[_Turn]) -> Iterator[list[_Turn]]:
        """Turns to evaluate in one go, leaves that nobody waits for left out; ever more, within bounds."""
        batch: list[_Turn] = []
        most, size, events = _FIRST_BATCH, 0, 0
        for instant, leaves in turns:
            wanted = [leaf for leaf in leaves if self._is_wanted(leaf)]
            cost = sum(self._costs[leaf] for leaf in wanted)
            too_much = events + cost > _EVENTS_PER_STATEMENT or (events + cost) * self._bytes > _BYTES_PER_STATEMENT
            if batch and (size + len(wanted) > most or too_much):
                yield batch
                batch, size, events = [], 0, 0
                most = min(most * 4, _LARGEST_BATCH)
            batch.append((instant, wanted))
            size, events = size + len(wanted), events + cost
        if batch:
            yield batch

    def narrowed(self, turns: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """The turns without those at which a leaf that changes once keeps its answer, where they are many."""
        own: dict[int, list[int]] = {}
        for instant, leaf in turns:
            own.setdefault(leaf, []).append(instant)
        many = {
            leaf: instants
            for leaf, instants in own.items()
            if len(instants) >= MANY_TURNS and changes_once(self._tree.leaves[leaf])
        }
        changes = find_changes(many, dict(enumerate(self._leaves)), self._ask)
        return [turn for turn in turns if turn[1] not in many or changes[turn[1]] == turn[0]]

    def cost(self, batch: Sequence[_Turn]) -> int:
        """How many events evaluating it reads."""
        return sum(self._costs[leaf] for _, leaves in batch for leaf in leaves)

    def evaluate(self, batch: Sequence[_Turn]) -> None:
        instants: dict[int, list[int]] = {}
        for instant, leaves in batch:
            for leaf in leaves:
                instants.setdefault(leaf, []).append(instant)
        answers = self._ask(instants)
        for instant, leaves in batch:
            for leaf in leaves:
                self._leaves[leaf] = answers[leaf, instant]
            self._look(instant)

    def _ask(self, instants: Mapping[int, Sequence[int]]) -> Verdicts:
        self.events_read += sum(self._costs[leaf] * len(at) for leaf, at in instants.items())
        return leaf_verdicts(
            self._user, [Question(leaf, self._tree.leaves[leaf], at) for leaf, at in sorted(instants.items())]
        )

    def ended(self, cut_off: datetime | None) -> Flips:
        self._flips.cut_off = cut_off
        return self._flips

    def _look(self, instant: int) -> None:
        """Note what is different at the instant for the first time."""
        now = self._tree.verdicts(self._leaves)
        for number, (before, verdict) in enumerate(zip(self._before, now, strict=True)):
            if before != verdict:
                self._flips.nodes.setdefault(number, instant_of(instant))
        if self._flips.membership is None and self._is_in(instant, now) != self._was_in:
            self._flips.membership = instant_of(instant)

    def _is_in(self, instant: int, verdicts: Sequence[bool]) -> bool:
        return self._first_ms <= instant and verdicts[-1]

    def _is_wanted(self, leaf: int) -> bool:
        if self._flips.membership is None:
            return True
        return any(node not in self._flips.nodes for node in self._observers[leaf])
