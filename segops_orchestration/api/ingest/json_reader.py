"""JSON read place by place: where each value begins and ends, so that it can be kept as it is written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from segops_orchestration.warehouse.ingest.limits import PAYLOAD_BYTES

_BLANK = r"[ \t\r\n]*"
_SPACE = re.compile(_BLANK)
_KEY = re.compile(rf'"((?:[^"\\\x00-\x1f]|\\["\\/bfnrtu])*)"{_BLANK}:{_BLANK}')
_NEXT = re.compile(rf"{_BLANK},{_BLANK}")
# While a value is scanned no other thread runs. A value that is longer, twice what a payload may be, is refused unread.
LONGEST_VALUE = 2 * PAYLOAD_BYTES


class NotJson(ValueError):
    """The text is not JSON, is nested too deeply to be read, or holds a value longer than ``LONGEST_VALUE``."""

    def __init__(self, position: int) -> None:
        super().__init__(f"not JSON (near character {position}), or nested too deeply, or a value in it is too long")


class JsonReader:
    """One text and how far it is read. ``names`` and ``places`` yield at a value, which the caller reads.

    Any method raises NotJson. ``NaN`` and ``Infinity``, which are no JSON, are read and noted in ``constants``.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.constants: list[str] = []
        # Numbers are not needed, only their places.
        self._scan = json.JSONDecoder(parse_constant=self.constants.append, parse_int=len, parse_float=len).raw_decode
        self._skip()

    def at(self, char: str) -> bool:
        """Whether this character comes next."""
        return self.text.startswith(char, self.position)

    def names(self) -> Iterator[str]:
        """The names in the object that begins here."""
        self.position += 1
        self._skip()
        if self._taken("}"):
            return
        while key := _KEY.match(self.text, self.position):
            self.position = key.end()
            yield key[1] if "\\" not in key[1] else self._unescaped(key[1])
            if not self._another("}"):
                return
        raise NotJson(self.position)

    def places(self) -> Iterator[int]:
        """The places of the list that begins here."""
        self.position += 1
        self._skip()
        if self._taken("]"):
            return
        while True:
            yield self.position
            if not self._another("]"):
                return

    def value(self) -> str:
        """The value that begins here, as it is written."""
        start = self.position
        # Only where there is much, because to cut it off copies it.
        cut = len(self.text) - start > LONGEST_VALUE and self.text[start] in "[{"
        try:
            if cut:
                self.position = start + self._scan(self.text[start : start + LONGEST_VALUE], 0)[1]
            else:
                self.position = self._scan(self.text, start)[1]
        except (ValueError, RecursionError):
            raise NotJson(start) from None
        return self.text[start : self.position]

    def end(self) -> None:
        """Nothing but blanks may follow."""
        self._skip()
        if self.position != len(self.text):
            raise NotJson(self.position)

    def _another(self, close: str) -> bool:
        following = _NEXT.match(self.text, self.position)
        if following is not None:
            self.position = following.end()
            return True
        self._skip()
        if self._taken(close):
            return False
        raise NotJson(self.position)

    def _taken(self, char: str) -> bool:
        if not self.at(char):
            return False
        self.position += 1
        return True

    def _skip(self) -> None:
        match = _SPACE.match(self.text, self.position)
        assert match is not None
        self.position = match.end()

    def _unescaped(self, name: str) -> str:
        try:
            return str(json.loads(f'"{name}"'))
        except ValueError:
            raise NotJson(self.position) from None
