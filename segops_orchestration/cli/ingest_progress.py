"""Progress of an ingest on stderr: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from segops_orchestration.cli.output import note

if TYPE_CHECKING:
    from segops_orchestration.warehouse.ingest import Progress

_LINE_SECONDS = 5.0


@contextmanager
def listening(quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """A listener for ``ingest_files``; None when nothing should be said, as with --json."""
    if sys.stderr.isatty():
        with _bar() as listener:
            yield listener
    else:
        yield None if quiet else _lines()


def _lines() -> Callable[[Progress], None]:
    last = time.monotonic()

    def tell(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _LINE_SECONDS:
            last = now
            share = progress.done / progress.total if progress.total else 1.0
            note(f"{progress.file}: {progress.step}, {share:.0%}, {progress.rows:,} rows")

    return tell


@contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    from rich import progress as rich_progress
    from rich.console import Console

    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.TaskProgressColumn(),
        rich_progress.TextColumn("{task.fields[rows]:,} rows"),
        rich_progress.TimeRemainingColumn(),
    )
    with rich_progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[tuple[str, str], rich_progress.TaskID] = {}

        def tell(progress: Progress) -> None:
            key = (progress.file, progress.step)
            if key not in tasks:
                for earlier in tasks.values():
                    bar.update(earlier, visible=False)
                tasks[key] = bar.add_task(f"{progress.file}: {progress.step}", total=progress.total, rows=0)
            bar.update(tasks[key], completed=progress.done, rows=progress.rows)

        yield tell
