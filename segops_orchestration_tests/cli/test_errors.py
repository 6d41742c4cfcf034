"""How commands fail: one message for people, one JSON document on stderr for scripts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from segops_orchestration_tests.cli.conftest import Segops
from segops_orchestration_tests.cli.shop import ORDERED, Shop


def test_under_json_an_error_is_json_on_stderr(segops: Segops, shop: Shop) -> None:
    answer = segops("members", shop.slug, "nobody", "--json")

    assert (answer.exit_code, answer.out) == (1, "")
    assert json.loads(answer.err) == {
        "error": {"type": "NotFound", "message": f"no segment 'nobody' in tenant '{shop.slug}'; it has none yet"}
    }


def test_under_json_every_problem_of_a_document_is_told_by_itself(segops: Segops, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("slug: a\nname: ''\ndefinition: {logic: AND, conditions: []}\n")

    error = json.loads(segops("segments", "validate", path, "--json").err)["error"]

    assert error["type"] == "InvalidDocument"
    assert [problem["path"] for problem in error["problems"]] == [f"{path}: name", f"{path}: definition.conditions"]
    assert error["message"].count("\n") == 1


def test_under_json_a_mistyped_command_is_json_too(segops: Segops) -> None:
    answer = segops("members", "acme", "vip", "--limit", "0", "--json")

    assert answer.exit_code == 2
    assert json.loads(answer.err)["error"]["type"] == "Usage"
    assert "--limit" in json.loads(answer.err)["error"]["message"]


def test_help_beside_json_is_help(segops: Segops) -> None:
    answer = segops("members", "--json", "--help")

    assert (answer.exit_code, answer.out.startswith("Usage: segops members")) == (0, True)


@pytest.mark.parametrize(
    ("url", "why"),
    [("http://reader:secret@localhost:1", "Connection refused"), ("http://nosuch.invalid:8123", "not known")],
)
def test_a_server_out_of_reach_is_named_with_the_reason_and_what_to_try(
    segops: Segops, shop: Shop, monkeypatch: pytest.MonkeyPatch, url: str, why: str
) -> None:
    monkeypatch.setenv("SEGOPS_CLICKHOUSE_URL", url)

    answer = segops("status", shop.slug)

    assert (answer.exit_code, len(answer.err.splitlines())) == (1, 1)
    assert f"ClickHouse at http://{url.rpartition('/')[2].rpartition('@')[2]} cannot be reached: " in answer.err
    assert why in answer.err or "resolution" in answer.err
    assert "SEGOPS_CLICKHOUSE_URL" in answer.err
    assert "secret" not in answer.err


def test_an_archived_segment_is_not_computed_and_said_to_be_archived(segops: Segops, shop: Shop) -> None:
    shop.define("old", ORDERED)
    shop.define("new", ORDERED)
    shop.catalog.archive_segment(shop.slug, "old")

    answer = segops("compute", shop.slug, "new", "old")

    assert (answer.exit_code, answer.out) == (1, "")
    assert answer.err == (
        f"Error: segment 'old' of tenant '{shop.slug}' is archived; applying its file takes it back\n"
    )
