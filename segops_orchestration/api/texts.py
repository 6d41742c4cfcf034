"""Texts that callers send: without what not every database keeps."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HALF = re.compile(r"[\ud800-\udfff]")


def _line(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("has control characters; a line of text is allowed")
    return _whole(text)


def _text(text: str) -> str:
    if "\x00" in text:
        raise ValueError("has NUL characters, which are no text")
    return _whole(text)


def _whole(text: str) -> str:
    if _HALF.search(text):
        raise ValueError("holds half a surrogate pair, which is no character")
    return text


# A text of one line.
Line = Annotated[str, AfterValidator(_line)]
# A text of any number of lines.
Prose = Annotated[str, AfterValidator(_text)]
