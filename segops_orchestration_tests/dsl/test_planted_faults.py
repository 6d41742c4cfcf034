"""One fault anywhere in a valid document is one problem, at the path of the fault."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from segops_orchestration.dsl.parse import definition_problems
from segops_orchestration_tests.dsl.documents import DEFINITIONS, Document, generated


def nodes(conditions: list[Document], path: str) -> Iterator[tuple[str, Document]]:
    """Every condition with its path."""
    for index, condition in enumerate(conditions):
        yield from node(condition, f"{path}[{index}]")


def node(condition: Document, path: str) -> Iterator[tuple[str, Document]]:
    yield path, condition
    if condition["type"] == "group":
        yield from nodes(condition["conditions"], f"{path}.conditions")
    elif condition["type"] == "not":
        yield from node(condition["condition"], f"{path}.condition")


@st.composite
def broken(draw: st.DrawFn) -> tuple[Document, str]:
    """A document with one fault, and the fault's path."""
    document = copy.deepcopy(draw(DEFINITIONS))
    path, condition = draw(st.sampled_from(list(nodes(document["conditions"], "conditions"))))
    optional = ("window_days", "strict") if condition["type"] != "recency" else ()
    kind = draw(st.sampled_from(["unknown field", "wrong value", "missing field", "wrong operator"]))
    if kind == "unknown field":
        condition["zzz"] = draw(st.integers() | st.text())
        return document, f"{path}.zzz"
    if kind == "wrong operator" and "operator" in condition:
        condition["operator"] = draw(st.sampled_from(["GT", "almost", "", None, 5]))
        return document, f"{path}.operator"
    if kind == "missing field":
        field = draw(st.sampled_from([name for name in condition if name not in optional]))
        del condition[field]
        return document, f"{path}.{field}"
    field = draw(st.sampled_from(list(condition)))
    wrong: Any = draw(st.sampled_from([[], float("nan")]))
    condition[field] = wrong
    return document, f"{path}.{field}"


@generated
@given(broken())
def test_a_planted_fault_is_found_where_it_was_planted(planted: tuple[Document, str]) -> None:
    document, path = planted
    assert [problem.path for problem in definition_problems(document)] == [path]
