"""Texts that callers send: without what not every database keeps."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def _line(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("has control characters; a line of text is allowed")
    return text


# A text of one line.
Line = Annotated[str, AfterValidator(_line)]
