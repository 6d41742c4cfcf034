r"""Property paths: ``address.city`` goes into an object, ``\.`` is a literal dot, ``items[]`` goes into an array."""

from __future__ import annotations

from enum import Enum

MAX_ARRAY_STEPS = 8


class ArrayStep(Enum):
    """The step that stands for the elements of an array; its only member is ``ELEMENTS``."""

    ELEMENTS = "[]"


ELEMENTS = ArrayStep.ELEMENTS
PathStep = str | ArrayStep


def split_path(text: str) -> tuple[PathStep, ...]:
    r"""The steps of a property path: a key of an object as text, the elements of an array as ``ELEMENTS``.

    ``a.b\.c`` is ``("a", "b.c")``, ``a[].b`` is ``("a", ELEMENTS, "b")``, and ``a[][]`` leads through an array of
    arrays. A backslash before anything but a dot is an ordinary character, and so are brackets anywhere but as
    ``[]`` at the end of a step. Raises ValueError if a step is empty, if ``[]`` follows no name, or if there are more
    than ``MAX_ARRAY_STEPS`` of these.
    """
    path: list[PathStep] = []
    for step in _steps(text):
        key, arrays = step, 0
        while key.endswith("[]"):
            key, arrays = key[:-2], arrays + 1
        if not key:
            raise ValueError("[] follows no name" if arrays else "a step of the path is empty")
        path += [key, *[ELEMENTS] * arrays]
    if path.count(ELEMENTS) > MAX_ARRAY_STEPS:
        raise ValueError(f"more than {MAX_ARRAY_STEPS} steps into arrays")
    return tuple(path)


def _steps(text: str) -> list[str]:
    """The text between the dots that are not escaped."""
    steps = [""]
    position = 0
    while position < len(text):
        if text.startswith("\\.", position):
            steps[-1] += "."
            position += 2
            continue
        if text[position] == ".":
            steps.append("")
        else:
            steps[-1] += text[position]
        position += 1
    return steps
