"""What an ingest tells: how many rows were found, loaded, already there and refused, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Example:
    """One refused row. ``row`` counts as a person does; see ``ingest.READING_ROWS``."""

    row: int
    value: str


@dataclass(frozen=True)
class ProblemGroup:
    """All refusals of one file that share field and reason, with the first few as examples."""

    field: str
    reason: str
    count: int
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class IngestReport:
    """The outcome of one file.

    Attributes:
        file: the file as it was named.
        rows: rows found, blank ones left out; always ``loaded + already_present + bad`` after a plain load.
        loaded: events written by this call and acknowledged by ClickHouse.
        already_present: events that an earlier load had written; they were not written again.
        bad: rows refused. A row with several problems is one bad row.
        seconds: wall time, reading the file for its content hash included.
        event_type_constant: the event type given to every row, or None when a column gives it.
        problems: why rows were refused, most frequent first.
    """

    file: str
    rows: int
    loaded: int
    already_present: int
    bad: int
    seconds: float
    event_type_constant: str | None
    problems: tuple[ProblemGroup, ...]

    @property
    def rows_per_second(self) -> float:
        """Rows read per second of wall time."""
        return self.rows / self.seconds if self.seconds > 0 else 0.0

    def as_document(self) -> dict[str, Any]:
        """The report as plain values for JSON."""
        return {
            "file": self.file,
            "rows": self.rows,
            "loaded": self.loaded,
            "already_present": self.already_present,
            "bad": self.bad,
            "seconds": round(self.seconds, 3),
            "rows_per_second": round(self.rows_per_second),
            "event_type_constant": self.event_type_constant,
            "problems": [
                {
                    "field": group.field,
                    "reason": group.reason,
                    "count": group.count,
                    "examples": [{"row": each.row, "value": each.value} for each in group.examples],
                }
                for group in self.problems
            ],
        }


@dataclass(frozen=True)
class Progress:
    """How far a file is. ``step`` is ``reading`` (its content hash), ``checking`` or ``loading``.

    ``done`` and ``total`` are bytes of the file as it lies on disk (rows for Parquet while checking and loading).
    """

    file: str
    step: str
    rows: int
    done: int
    total: int
