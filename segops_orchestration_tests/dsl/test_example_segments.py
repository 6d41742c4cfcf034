"""The segments under ``examples``."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from segops_orchestration.dsl.models import CONDITION_MODELS, Metric, Monetary
from segops_orchestration.dsl.references import iter_conditions, referenced_segments
from segops_orchestration.dsl.segment_file import parse_segment_text

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = sorted([*(EXAMPLES / "segments").glob("*.yaml"), *(EXAMPLES / "extended").glob("*.yaml")])
SEGMENTS = {path.stem: parse_segment_text(path.read_bytes(), format="yaml", source=path.name) for path in FILES}


def test_there_are_at_least_eight() -> None:
    assert len(SEGMENTS) >= 8


@pytest.mark.parametrize("stem", SEGMENTS)
def test_each_is_named_as_its_file_and_says_what_it_is_for(stem: str) -> None:
    segment = SEGMENTS[stem]
    assert segment.slug == stem
    assert segment.description.endswith(".")


def test_together_they_use_every_condition_type_and_metric() -> None:
    conditions = [item for segment in SEGMENTS.values() for item in iter_conditions(segment.definition)]
    assert {condition.type for condition in conditions} == set(CONDITION_MODELS)
    metrics = {condition.metric for condition in conditions if isinstance(condition, Monetary)}
    assert metrics == set(get_args(Metric))


def test_they_refer_only_to_one_another() -> None:
    for segment in SEGMENTS.values():
        assert set(referenced_segments(segment.definition)) <= set(SEGMENTS)
