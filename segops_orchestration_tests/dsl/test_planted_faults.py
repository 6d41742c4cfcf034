"""One fault anywhere in a valid document is one problem, at the path of the fault."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from segops_orchestration.dsl.parse import definition_problems
from segops_orchestration_tests.dsl.documents import DEFINITIONS, Document, generated

ONE_OF: dict[str, tuple[str, ...]] = {
    "first_event": ("window", "window_days"),
    "property_held": ("at_least", "less_than"),
}


def nodes(value: Any, path: str) -> Iterator[tuple[str, Document]]:
    """Every object inside with its path: conditions, filters, steps, windows and durations."""
    if isinstance(value, dict):
        yield path, value
        for name, inner in value.items():
            yield from nodes(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from nodes(inner, f"{path}[{index}]")


def required(path: str, node: Document) -> list[str]:
    """The fields without which the object is wrong."""
    optional = {"strict", "within", *(name for name in ("from", "to", "from_ago", "to_ago") if name in node)}
    if node.get("type") != "recency":
        optional |= {"window", "window_days"}
    if node.get("operator") != "has_element":
        optional |= {"where"}
    if path.endswith(".window"):
        optional |= {"last"}  # without it the window has no form
    pair = ONE_OF.get(node.get("type", ""), ())
    return [name for name in node if name not in optional or name in pair]


@st.composite
def broken(draw: st.DrawFn, wrong_values: Sequence[Any] = ([], float("nan"))) -> tuple[Document, str]:
    """A document with one fault, and the fault's path."""
    document = json.loads(json.dumps(draw(DEFINITIONS)))  # no two places share an object, as copy.deepcopy would keep
    path, node = draw(st.sampled_from(list(nodes(document["conditions"], "conditions"))))
    kind = draw(st.sampled_from(["unknown field", "wrong value", "missing field", "wrong operator"]))
    if kind == "unknown field":
        node["zzz"] = draw(st.integers() | st.text())
        return document, f"{path}.zzz"
    if kind == "wrong operator" and "operator" in node:
        node["operator"] = draw(st.sampled_from(["GT", "almost", "", None, 5]))
        return document, f"{path}.operator"
    if kind == "missing field" and required(path, node):
        field = draw(st.sampled_from(required(path, node)))
        del node[field]
        pair = ONE_OF.get(node.get("type", ""), (field,))
        return document, f"{path}.{pair[0] if field in pair else field}"
    field = draw(st.sampled_from(list(node)))
    node[field] = draw(st.sampled_from(wrong_values))
    return document, f"{path}.{field}"


@generated
@given(broken())
def test_a_planted_fault_is_found_where_it_was_planted(planted: tuple[Document, str]) -> None:
    document, path = planted
    assert [problem.path for problem in definition_problems(document)] == [path]
