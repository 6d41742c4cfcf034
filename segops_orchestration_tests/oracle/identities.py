"""Which ids are one person's, told from what was said: a second opinion beside the engine's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from segops_orchestration_tests.oracle.evaluate import Event


@dataclass
class Persons:
    """What ids were said to be, by id."""

    parents: dict[str, str] = field(default_factory=dict)

    def root(self, user_id: str) -> str:
        """Who stands for the person."""
        while user_id in self.parents:
            user_id = self.parents[user_id]
        return user_id

    def alias(self, child: str, parent: str) -> None:
        """The first one wins."""
        if child not in self.parents and self.root(parent) != child:
            self.parents[child] = parent

    def merge(self, child: str, parent: str) -> None:
        """The last one wins, unless both are one already and stay so."""
        leads_back = self._leads_to(parent, child)
        if self.root(child) == self.root(parent) and not leads_back:
            return
        if leads_back:
            del self.parents[parent]
        self.parents[child] = parent

    def forget(self, user_id: str) -> set[str]:
        """The person is erased; all ids that were theirs."""
        root = self.root(user_id)
        ids = {root} | {one for one in self.parents if self.root(one) == root}
        self.parents = {child: parent for child, parent in self.parents.items() if child not in ids}
        return ids

    def resolved(self, events: Iterable[Event]) -> list[Event]:
        """The events as if each had come in under its root."""
        return [replace(event, user_id=self.root(event.user_id)) for event in events]

    def _leads_to(self, user_id: str, other: str) -> bool:
        while user_id != other and user_id in self.parents:
            user_id = self.parents[user_id]
        return user_id == other
