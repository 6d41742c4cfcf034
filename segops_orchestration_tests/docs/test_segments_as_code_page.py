"""The page about segments as code: its example passes, its commands and words are those of the program."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import click
import yaml

from segops_orchestration.cli.main import cli
from segops_orchestration.dsl.segment_file import parse_segment_text
from segops_orchestration.proposals.plan import Change
from segops_orchestration.proposals.testing import run_tests
from segops_orchestration.warehouse.client import Warehouse

PAGE = (Path(__file__).parents[2] / "docs" / "segments-as-code.md").read_text(encoding="utf-8")
SEGMENT, PIPELINE = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_tests_of_the_example_pass(warehouse: Warehouse) -> None:
    outcomes = run_tests(warehouse, [parse_segment_text(SEGMENT, format="yaml")])

    assert [outcome.passed for outcome in outcomes] == [True]


def test_the_options_in_the_pipeline_exist() -> None:
    steps = yaml.safe_load(PIPELINE)["jobs"]["segments"]["steps"]
    commands = [step["run"].split() for step in steps if step.get("run", "").startswith("segops")]
    assert len(commands) == 4
    for words in commands:
        named = _command(words[1:])
        options = {option for parameter in named.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options


def _command(words: list[str]) -> click.Command:
    """The command that the first words name."""
    found: click.Command = cli
    for word in words:
        if not isinstance(found, click.Group):
            break
        inner = found.get_command(click.Context(found), word)
        assert inner is not None, word
        found = inner
    return found


def test_every_word_of_a_plan_is_explained() -> None:
    explained = re.findall(r"^\| `(\w+)[^`]*` \|", PAGE.split("## Plan")[1], re.MULTILINE)
    assert set(get_args(Change)) <= set(explained)
