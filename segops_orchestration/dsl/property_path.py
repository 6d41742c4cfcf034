r"""Property paths: ``address.city`` is a step into an object, ``\.`` a literal dot."""

from __future__ import annotations


def split_path(text: str) -> tuple[str, ...]:
    r"""The keys of a property path: ``a.b\.c`` is ``("a", "b.c")``.

    A backslash before anything but a dot is an ordinary character. Raises ValueError if a step is empty.
    """
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
    if "" in steps:
        raise ValueError("a step of the path is empty")
    return tuple(steps)
