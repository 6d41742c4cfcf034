"""Every example on the page about the segment language, read by the parser that users meet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest

from segops_orchestration.dsl.models import CONDITION_MODELS, Metric, PropertyOperator
from segops_orchestration.dsl.not_built import NOT_BUILT
from segops_orchestration.dsl.parse import definition_problems, parse_definition
from segops_orchestration.dsl.segment_file import parse_segment_document, parse_segment_text
from segops_orchestration.dsl.text import read_text
from segops_orchestration.errors import InvalidDocument

PAGE = Path(__file__).parents[2] / "docs" / "dsl.md"
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(match[1], match[2]) for match in FENCE.finditer(PAGE.read_text(encoding="utf-8"))]


def texts(info: str) -> list[str]:
    """The blocks whose fence says so."""
    return [text for fence, text in BLOCKS if fence == info]


def items(text: str) -> list[Any]:
    """What a block holds: one document or condition, or a list of conditions."""
    read = read_text(text, format="yaml")
    return read if isinstance(read, list) else [read]


def problems(item: Any) -> list[str]:
    """Problems of a definition or of a single condition."""
    document = item if "logic" in item and "type" not in item else {"logic": "AND", "conditions": [item]}
    return [str(problem) for problem in definition_problems(document)]


def conditions(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every condition anywhere inside."""
    if isinstance(value, dict):
        if value.get("type") in CONDITION_MODELS:
            yield value
        for inner in value.values():
            yield from conditions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from conditions(inner)


EXAMPLES = [item for text in texts("yaml") for item in items(text)]
USED = list(conditions(EXAMPLES))


@pytest.mark.parametrize("item", EXAMPLES, ids=lambda item: str(item.get("slug") or item.get("type")))
def test_each_example_is_accepted(item: Any) -> None:
    if "slug" in item:
        assert parse_segment_document(item).slug == item["slug"]
    else:
        assert problems(item) == []


def test_no_fence_goes_unread() -> None:
    assert {info for info, _ in BLOCKS} == {"yaml", "yaml refused", "yaml extension", "text"}


def test_every_type_operator_and_metric_has_an_example() -> None:
    assert {condition["type"] for condition in USED} == set(CONDITION_MODELS)
    assert {condition["metric"] for condition in USED if "metric" in condition} == set(get_args(Metric))
    operators = {condition["operator"] for condition in USED if condition["type"].endswith("_property")}
    assert operators == set(get_args(PropertyOperator))


def test_the_messages_shown_are_the_messages_given() -> None:
    assert len(texts("yaml refused")) == len(texts("text"))
    for refused, message in zip(texts("yaml refused"), texts("text"), strict=True):
        with pytest.raises(InvalidDocument) as error:
            parse_segment_text(refused, format="yaml")
        assert str(error.value) == message.rstrip("\n")


@pytest.mark.parametrize("item", [item for text in texts("yaml extension") for item in items(text)], ids=str)
def test_what_is_not_built_is_refused_as_an_extension(item: Any) -> None:
    (message,) = problems(item)
    assert "an extension of the segment language that this version does not support" in message


def test_the_page_lists_everything_that_is_not_built() -> None:
    text = "\n".join(texts("yaml extension"))
    for kind, name in NOT_BUILT:
        assert (f"type: {name}" if kind == "type" else f"{name}:") in text


def test_a_definition_may_stand_alone() -> None:
    segment = next(item for item in EXAMPLES if "slug" in item)
    assert len(parse_definition(segment["definition"]).conditions) == 2
