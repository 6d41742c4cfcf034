r"""Property paths: ``address.city`` goes into an object, ``\.`` is a literal dot, ``items[]`` goes into an array."""

from __future__ import annotations

from enum import Enum


class ArrayStep(Enum):
    """The step from an array to each of its elements."""

    ELEMENTS = "[]"


ELEMENTS = ArrayStep.ELEMENTS
PathStep = str | ArrayStep


def split_path(text: str) -> tuple[PathStep, ...]:
    r"""The steps of a property path: ``a.b\.c`` is ``("a", "b.c")``, ``a[].b`` is ``("a", ELEMENTS, "b")``.

    A backslash before anything but a dot is an ordinary character. Raises ValueError if a step is empty.
    """
    names = [""]
    position = 0
    while position < len(text):
        if text.startswith("\\.", position):
            names[-1] += "."
            position += 2
            continue
        if text[position] == ".":
            names.append("")
        else:
            names[-1] += text[position]
        position += 1
    return tuple(step for name in names for step in _steps(name))


def _steps(name: str) -> list[PathStep]:
    key = name
    into: list[PathStep] = []
    while key.endswith("[]"):
        key = key.removesuffix("[]")
        into.append(ELEMENTS)
    if not key:
        raise ValueError("a step of the path is empty")
    return [key, *into]
