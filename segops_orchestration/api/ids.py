"""Numbers in paths."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

# What the narrowest column of an id can hold; a larger number is nobody's id.
LARGEST_ID = 2**31 - 1
Id = Annotated[int, Path(ge=1, le=LARGEST_ID, examples=[1])]
