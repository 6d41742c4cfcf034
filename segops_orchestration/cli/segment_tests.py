"""``segops segments test``: the tests that segment files carry."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segops_orchestration.cli.members import one_line
from segops_orchestration.cli.output import json_option, note, print_json, print_table
from segops_orchestration.cli.segment_files import SegmentFile, paths_argument, read_segment_files
from segops_orchestration.settings import Settings

if TYPE_CHECKING:
    from segops_orchestration.proposals.testing import TestOutcome


@click.command(name="test")
@paths_argument
@json_option
def test(paths: Sequence[Path], as_json: bool) -> None:
    """Run the tests in segment files; exit 1 when one fails. No tenant is needed, and none is touched.

    A test gives events and an instant, and says who must be in the segment then and who must not. It is run by the
    engine that computes members, in a scratch database of the embedded ClickHouse, also when SEGOPS_CLICKHOUSE_URL
    names a server. Segments that a tested one refers to must be among the files.

    \b
    In a segment file:
      tests:
        - name: two orders in a month make a regular
          at: 2026-03-31T00:00:00Z
          events:
            - {user_id: ann, event_type: order_placed, occurred_at: -3d, payload: {total: 20}}
            - {user_id: ann, event_type: order_placed, occurred_at: 2026-03-05}
            - {user_id: bob, event_type: order_placed, occurred_at: -3d}
          in: [ann]
          out: [bob]

    An event's occurred_at is an ISO date or time, or a distance from the test's "at": -3d, +90m (s, m, h, d, w).
    Events arrive in the order in which they are written; two with one event_id are one event, delivered twice.

    \b
    Example:
      segops segments test segments/
    """
    files = read_segment_files(paths)
    outcomes = _run(files) if any(file.document.tests for file in files) else []
    failed = [outcome for outcome in outcomes if not outcome.passed]
    if as_json:
        print_json(_document(files, outcomes))
    else:
        _print(files, outcomes, failed)
    if failed:
        sys.exit(1)


def _run(files: Sequence[SegmentFile]) -> list[TestOutcome]:
    from segops_orchestration.proposals.testing import run_tests
    from segops_orchestration.warehouse.client import Warehouse

    settings = replace(Settings.from_env(), clickhouse_url=None)
    with closing(Warehouse.connect(settings)) as warehouse:
        return run_tests(
            warehouse,
            [file.document for file in files],
            sources={file.document.slug: str(file.path) for file in files},
        )


def _document(files: Sequence[SegmentFile], outcomes: Sequence[TestOutcome]) -> dict[str, Any]:
    paths = {file.document.slug: file.path for file in files}
    return {
        "tests": [
            {
                "slug": outcome.slug,
                "file": paths[outcome.slug],
                "test": outcome.number,
                "name": outcome.name,
                "at": outcome.at,
                "passed": outcome.passed,
                "failures": [asdict(one) for one in outcome.misplaced],
            }
            for outcome in outcomes
        ],
        "passed": sum(outcome.passed for outcome in outcomes),
        "failed": sum(not outcome.passed for outcome in outcomes),
        "without_tests": [file.document.slug for file in files if not file.document.tests],
    }


def _print(files: Sequence[SegmentFile], outcomes: Sequence[TestOutcome], failed: Sequence[TestOutcome]) -> None:
    rows = [
        (outcome.slug, _label(outcome), one_line(user.user_id), user.expected, user.found)
        for outcome in failed
        for user in outcome.misplaced
    ]
    if rows:
        print_table(["segment", "test", "user", "expected", "found"], rows)
    without = [file.document.slug for file in files if not file.document.tests]
    if without:
        note(f"Without tests: {', '.join(without)}.")
    total = len(outcomes)
    tests = f"{total:,} test" if total == 1 else f"{total:,} tests"
    click.echo(f"{len(failed):,} of {tests} failed." if failed else f"{tests} passed." if total else "No tests.")


def _label(outcome: TestOutcome) -> str:
    place = f"tests[{outcome.number}]"
    return f"{place} {outcome.name}" if outcome.name else place
