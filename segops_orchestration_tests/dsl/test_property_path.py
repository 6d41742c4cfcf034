from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segops_orchestration.dsl.property_path import ELEMENTS, MAX_ARRAY_STEPS, PathStep, split_path


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("total", ("total",)),
        ("address.city", ("address", "city")),
        ("a.b.c", ("a", "b", "c")),
        (r"a\.b", ("a.b",)),
        (r"a\.b.c\.d", ("a.b", "c.d")),
        (r"\.", (".",)),
        (r"a\b", (r"a\b",)),
        (r"a\\.b", (r"a\.b",)),
        ("a b", ("a b",)),
        (" ", (" ",)),
        ("0", ("0",)),
        ("a[].b", ("a", ELEMENTS, "b")),
        ("a[]", ("a", ELEMENTS)),
        ("a[][].b[]", ("a", ELEMENTS, ELEMENTS, "b", ELEMENTS)),
        (r"a\.b[].c", ("a.b", ELEMENTS, "c")),
        ("a[0].b[]c", ("a[0]", "b[]c")),
    ],
)
def test_a_dot_steps_into_an_object_and_an_escaped_dot_does_not(text: str, steps: tuple[PathStep, ...]) -> None:
    assert split_path(text) == steps


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a..b", r"\..", r"a\..b."])
def test_an_empty_step_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="empty"):
        split_path(text)


@pytest.mark.parametrize("text", ["[]", "a.[]", "[].a", "a.[][].b"])
def test_brackets_need_a_name_before_them(text: str) -> None:
    with pytest.raises(ValueError, match="follows no name"):
        split_path(text)


def test_steps_into_arrays_are_few() -> None:
    assert split_path("a" + "[]" * MAX_ARRAY_STEPS).count(ELEMENTS) == MAX_ARRAY_STEPS
    with pytest.raises(ValueError, match="more than 8 steps into arrays"):
        split_path("a[]." * MAX_ARRAY_STEPS + "b[]")


@given(st.lists(st.text(st.characters(exclude_characters="\\["), min_size=1), min_size=1))
def test_any_keys_without_backslash_and_bracket_can_be_written(keys: list[str]) -> None:
    assert split_path(".".join(key.replace(".", r"\.") for key in keys)) == tuple(keys)
