"""``segops segments test``: what it prints, and how it exits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from segops_orchestration.cli.segment_files import read_segment_files
from segops_orchestration_tests.cli.conftest import Segops
from segops_orchestration_tests.cli.shop import BIG, ORDERED, member_of

EXAMPLES = Path(__file__).parents[2] / "examples" / "segments"
ANN: dict[str, object] = {
    "user_id": "ann",
    "event_type": "order_placed",
    "occurred_at": "-1d",
    "payload": {"total": 600},
}
BOB: dict[str, object] = {**ANN, "user_id": "bob", "payload": {"total": 5}}
GOOD: dict[str, object] = {
    "name": "spends much",
    "at": "2026-03-01",
    "events": [ANN, BOB],
    "in": ["ann"],
    "out": ["bob"],
}
BAD: dict[str, object] = {**GOOD, "in": ["bob"], "out": ["ann"]}


def write(directory: Path, slug: str, condition: dict[str, object], *tests: dict[str, object]) -> None:
    document = {"slug": slug, "name": slug, "definition": {"logic": "AND", "conditions": [condition]}}
    (directory / f"{slug}.yaml").write_text(json.dumps({**document, **({"tests": list(tests)} if tests else {})}))


def test_tests_that_pass_are_counted(segops: Segops, tmp_path: Path) -> None:
    write(tmp_path, "vip", BIG, GOOD)
    write(tmp_path, "gold", member_of("vip"), GOOD)
    write(tmp_path, "buyers", ORDERED)

    answer = segops("segments", "test", tmp_path)

    assert (answer.exit_code, answer.out, answer.err) == (0, "2 tests passed.\n", "Without tests: buyers.\n")


def test_a_failure_is_a_table_and_exit_code_1(segops: Segops, tmp_path: Path) -> None:
    write(tmp_path, "vip", BIG, GOOD, BAD)

    answer = segops("segments", "test", tmp_path)

    assert answer.exit_code == 1
    assert [line.split() for line in answer.out.splitlines()] == [
        ["segment", "test", "user", "expected", "found"],
        ["vip", "tests[1]", "spends", "much", "bob", "in", "out"],
        ["vip", "tests[1]", "spends", "much", "ann", "out", "in"],
        ["1", "of", "2", "tests", "failed."],
    ]


def test_in_json_every_test_is_told(segops: Segops, tmp_path: Path) -> None:
    write(tmp_path, "vip", BIG, GOOD, BAD)

    answer = segops("segments", "test", tmp_path / "vip.yaml", "--json")

    document = answer.json
    assert (answer.exit_code, document["passed"], document["failed"], document["without_tests"]) == (1, 1, 1, [])
    assert document["tests"][1] == {
        "slug": "vip",
        "file": str(tmp_path / "vip.yaml"),
        "test": 1,
        "name": "spends much",
        "at": "2026-03-01T00:00:00.000Z",
        "passed": False,
        "failures": [
            {"user_id": "bob", "expected": "in", "found": "out"},
            {"user_id": "ann", "expected": "out", "found": "in"},
        ],
    }


def test_a_server_is_never_tested_on(segops: Segops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "vip", BIG, GOOD)
    monkeypatch.setenv("SEGOPS_CLICKHOUSE_URL", "http://localhost:1")

    assert segops("segments", "test", tmp_path).exit_code == 0


def test_without_tests_nothing_is_run(segops: Segops, tmp_path: Path) -> None:
    write(tmp_path, "vip", BIG)

    assert segops("segments", "test", tmp_path).out == "No tests.\n"


def test_the_bundled_examples_have_tests_and_pass_them(segops: Segops) -> None:
    tested = [file.document.slug for file in read_segment_files([EXAMPLES]) if len(file.document.tests) >= 2]

    answer = segops("segments", "test", EXAMPLES)

    assert answer.exit_code == 0, answer.out
    assert {"vip", "lapsed-vip", "win-back", "one-time-buyers", "newsletter"} <= set(tested)
