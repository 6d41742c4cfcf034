"""Refused rows: collected a block at a time, grouped for a person, kept whole for ``dead_letters``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from segops_orchestration.warehouse.ingest.arrays import Bools, Ints, texts
from segops_orchestration.warehouse.ingest.limits import KEPT_CHARACTERS, SHOWN_CHARACTERS
from segops_orchestration.warehouse.ingest.report import Example, ProblemGroup

_EXAMPLES = 3
_GROUPS = 50


@dataclass(frozen=True)
class Fault:
    """Rows of a block refused for one reason in one field, with the values found there."""

    rows: Ints
    field: str
    values: Any
    reason: str


def fault(rows: Ints, where: Bools, field: str, values: Any, reason: str) -> list[Fault]:
    """The fault of those rows of a block where ``where`` holds: a list of one, or empty when there are none."""
    if not where.any():
        return []
    found = values.filter(pa.array(where))
    return [Fault(rows[where], field, pc.utf8_slice_codeunits(pc.fill_null(found, ""), 0, KEPT_CHARACTERS), reason)]


def row_faults(found: Sequence[tuple[int, str, str, str]]) -> list[Fault]:
    """Faults found one by one: (row, field, value, reason)."""
    together: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for row, name, value, reason in found:
        together.setdefault((name, reason), []).append((row, value[:KEPT_CHARACTERS]))
    return [
        Fault(np.array([row for row, _ in each], np.int64), name, texts([value for _, value in each]), reason)
        for (name, reason), each in together.items()
    ]


@dataclass
class Tally:
    """What was refused in a file so far."""

    bad: int = 0
    _counts: dict[tuple[str, str], int] = field(default_factory=dict)
    _examples: dict[tuple[str, str], list[Example]] = field(default_factory=dict)

    def add(self, faults: Sequence[Fault]) -> None:
        """Count the faults of one block. A row belongs to one block."""
        if not faults:
            return
        self.bad += len(np.unique(np.concatenate([each.rows for each in faults])))
        for each in faults:
            key = (each.field, each.reason)
            if key not in self._counts and len(self._counts) >= _GROUPS:
                key = ("", "other reasons")
            self._counts[key] = self._counts.get(key, 0) + len(each.rows)
            examples = self._examples.setdefault(key, [])
            for row, value in zip(each.rows[:_EXAMPLES].tolist(), each.values[:_EXAMPLES].to_pylist(), strict=True):
                if len(examples) < _EXAMPLES:
                    examples.append(Example(row, shown(value)))

    def groups(self) -> tuple[ProblemGroup, ...]:
        """Most frequent first."""
        ordered = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
        return tuple(
            ProblemGroup(name, reason, count, tuple(self._examples[name, reason])) for (name, reason), count in ordered
        )


def shown(value: str) -> str:
    """A value short enough for a message, on one line."""
    line = value.translate(_ONE_LINE)
    return line if len(line) <= SHOWN_CHARACTERS else line[: SHOWN_CHARACTERS - 1] + "…"


_ONE_LINE = {code: f"\\x{code:02x}" for code in (*range(32), 127)} | {9: "\\t", 10: "\\n", 13: "\\r"}


def in_row_order(faults: Sequence[Fault]) -> Iterator[Fault]:
    """As they should be stored."""
    return iter(sorted(faults, key=lambda each: (int(each.rows[0]), each.field)))
