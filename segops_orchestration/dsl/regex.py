r"""Whether a text is a regular expression of RE2, the engine inside ClickHouse.

RE2 has neither look-around nor references back to a group, and Python's ``re`` knows no ``\pL``, so neither can stand
in for the other. This reads the syntax of https://github.com/google/re2/wiki/Syntax as RE2 does without POSIX mode;
the tests put the same patterns to ClickHouse. It also bounds the size of the compiled program, for which RE2 has 8 MB.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

from segops_orchestration.dsl.regex_names import POSIX_CLASSES, UNICODE_GROUPS

MAX_REPEAT = 1000
MAX_CODE_POINT = 0x10FFFF

# Measured on ClickHouse 26.9: a program of 698,000 single-byte steps compiles, \pL takes 1,567 of them.
_MAX_COST = 500_000
_UNICODE_CLASS_COST = 2_000
_RANGE_COST = 16
_CLASS_COST = 16
_LITERAL_COST = 4

_REPEAT = re.compile(r"\{(0|[1-9][0-9]*)(,(0|[1-9][0-9]*)?)?\}", re.ASCII)
_FLAGS = re.compile(r"\(\?(?:[imsU]*|[imsU]*-[imsU]+)([:)])", re.ASCII)
_NAMED = re.compile(r"\(\?P?<([^>]*)>")
_HEX = re.compile(r"\\x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]+)\})", re.ASCII)
_OCTAL = re.compile(r"\\(0[0-7]{0,2}|[1-7][0-7]{1,2})", re.ASCII)
_CONTROL = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "f": "\f", "v": "\v"}
_UNICODE = re.compile(r"\\[pP](?:\{(\^?)([^}]*)\}|(.))", re.DOTALL)
_PERL_CLASSES = "dDsSwW"
_ASSERTIONS = "bBAz"
_NAME_CATEGORIES = {"Lu", "Ll", "Lt", "Lm", "Lo", "Nl", "Mn", "Mc", "Nd", "Pc"}
_LOOK_AROUND = ("(?=", "(?!", "(?<=", "(?<!")


class _Refused(Exception):
    """RE2 would not take the pattern; the message says why."""


@dataclass
class _Frame:
    """What has been read of one group: its cost, its deepest repetition, and whether something can be repeated."""

    cost: int = 0
    product: int = 1
    last_cost: int = 0
    last_product: int = 1
    repeatable: bool = False
    just_repeated: bool = False

    def atom(self, cost: int, product: int = 1) -> None:
        self.cost += cost
        self.product = max(self.product, product)
        self.last_cost, self.last_product = cost, product
        self.repeatable, self.just_repeated = True, False

    def repeated(self, factor: int, times: int) -> None:
        """The last atom, ``times`` times over; ``factor`` counts towards the limit of nested repetition."""
        self.cost += (self.last_cost + 1) * times - self.last_cost
        self.last_cost = (self.last_cost + 1) * times
        self.last_product *= factor
        self.product = max(self.product, self.last_product)
        self.just_repeated = True


@dataclass
class _Reader:
    pattern: str
    position: int = 0
    frames: list[_Frame] = field(default_factory=lambda: [_Frame()])
    names: set[str] = field(default_factory=set)

    def read(self) -> None:
        while self.position < len(self.pattern):
            self._step(self.pattern[self.position])
            if self.frames[-1].cost > _MAX_COST:
                raise _Refused("the pattern is too large; repeat less or use fewer classes")
        if len(self.frames) > 1:
            raise _Refused("a ) is missing")

    def _step(self, letter: str) -> None:
        frame = self.frames[-1]
        if letter == "(":
            self._open()
        elif letter == ")":
            self._close()
        elif letter == "|":
            frame.repeatable = frame.just_repeated = False
            frame.cost += 1
            self.position += 1
        elif letter in "*+?":
            self._repeat(letter, factor=1, times=1)
        elif letter == "{" and (match := _REPEAT.match(self.pattern, self.position)):
            self._counted(match)
        elif letter == "[":
            frame.atom(self._class())
        elif letter == "\\":
            self._escape()
        else:
            frame.atom(_RANGE_COST if letter == "." else _LITERAL_COST)
            self.position += 1

    # groups

    def _open(self) -> None:
        rest = self.pattern[self.position : self.position + 4]
        if not rest.startswith("(?"):
            self._push(1)
        elif match := _FLAGS.match(self.pattern, self.position):
            if match[1] == ":":
                self._push(match.end() - self.position)
            else:
                self.position = match.end()
                self.frames[-1].just_repeated = False
        elif rest.startswith(_LOOK_AROUND):
            raise _Refused(f"RE2 has no look-around ({rest[: 4 if rest[2] == '<' else 3]})")
        elif rest.startswith("(?>"):
            raise _Refused("RE2 has no atomic groups (?>")
        elif rest.startswith(("(?P=", "(?P>", "(?(")):
            raise _Refused(f"RE2 has no references to groups ({rest})")
        elif rest.startswith(("(?P<", "(?<")):
            self._named()
        else:
            raise _Refused(f"RE2 has no such group ({rest})")

    def _named(self) -> None:
        match = _NAMED.match(self.pattern, self.position)
        if match is None or not match[1] or not all(map(_is_name_letter, match[1])):
            raise _Refused("the name of a group is letters, digits and underscores between < and >")
        if match[1] in self.names:
            raise _Refused(f"two groups have the name {match[1]}")
        self.names.add(match[1])
        self._push(match.end() - self.position)

    def _push(self, length: int) -> None:
        self.frames.append(_Frame())
        self.position += length

    def _close(self) -> None:
        if len(self.frames) == 1:
            raise _Refused("a ) closes nothing")
        inner = self.frames.pop()
        self.frames[-1].atom(inner.cost + 2, inner.product)
        self.position += 1

    # repetition

    def _counted(self, match: re.Match[str]) -> None:
        digits = max(len(match[1]), len(match[3] or ""))
        if digits > 9:  # RE2 takes what it cannot count for text
            self.frames[-1].atom(_LITERAL_COST)
            self.position += 1
            return
        least = int(match[1])
        most = least if match[2] is None else int(match[3]) if match[3] else None
        if least > MAX_REPEAT or (most or 0) > MAX_REPEAT:
            raise _Refused(f"{match[0]} repeats more than {MAX_REPEAT:,} times")
        if most is not None and most < least:
            raise _Refused(f"{match[0]} has its bounds the wrong way round")
        times = least if most is None else most
        self._repeat(match[0], factor=max(times, 1), times=max(times, 1))
        if self.frames[-1].last_product > MAX_REPEAT and times > 1:
            raise _Refused(f"{match[0]} and the repetition inside it come to more than {MAX_REPEAT:,} times")

    def _repeat(self, operator: str, factor: int, times: int) -> None:
        frame = self.frames[-1]
        if frame.just_repeated:
            hint = "; RE2 has no possessive repetition" if operator == "+" else ""
            raise _Refused(f"{operator} follows a repetition{hint}")
        if not frame.repeatable:
            raise _Refused(f"{operator} has nothing before it to repeat")
        frame.repeated(factor, times)
        self.position += len(operator)
        if self.pattern.startswith("?", self.position):
            self.position += 1

    # escapes

    def _escape(self) -> None:
        following = self.pattern[self.position + 1 : self.position + 2]
        frame = self.frames[-1]
        if following == "Q":
            self._quoted()
        elif following and following in _PERL_CLASSES + _ASSERTIONS + "C":
            frame.atom(_RANGE_COST)
            self.position += 2
        elif following and following in "pP":
            self._unicode_class()
            frame.atom(_UNICODE_CLASS_COST)
        else:
            self._literal_escape()
            frame.atom(_LITERAL_COST)

    def _quoted(self) -> None:
        end = self.pattern.find("\\E", self.position + 2)
        text = self.pattern[self.position + 2 : end if end >= 0 else None]
        self.frames[-1].just_repeated = False
        for _ in text:
            self.frames[-1].atom(_LITERAL_COST)
        self.position = len(self.pattern) if end < 0 else end + 2

    def _unicode_class(self) -> None:
        match = _UNICODE.match(self.pattern, self.position)
        name = (match[3] or match[2]) if match else ""
        if match is None or name not in UNICODE_GROUPS:
            raise _Refused(f"\\p{{{name}}} is no Unicode category or script of RE2")
        self.position = match.end()

    def _literal_escape(self) -> str:
        """The character that an escape stands for."""
        if match := _HEX.match(self.pattern, self.position):
            code = int(match[1] or match[2], 16)
        elif match := _OCTAL.match(self.pattern, self.position):
            code = int(match[1], 8)
        else:
            return self._plain_escape()
        if code > MAX_CODE_POINT:
            raise _Refused(f"{match[0]} lies beyond Unicode")
        self.position = match.end()
        return chr(code)

    def _plain_escape(self) -> str:
        letter = self.pattern[self.position + 1 : self.position + 2]
        if not letter:
            raise _Refused("the pattern ends in a single \\")
        if letter in "123456789":
            raise _Refused(f"RE2 has no references to groups (\\{letter})")
        if not letter.isascii() or (letter.isalnum() and letter not in _CONTROL):
            raise _Refused(f"RE2 has no escape \\{letter}")
        self.position += 2
        return _CONTROL.get(letter, letter)

    # character classes

    def _class(self) -> int:
        """Reads ``[...]`` and gives its cost."""
        self.position += 1
        cost = _CLASS_COST
        if self.pattern.startswith("^", self.position):
            self.position += 1
        first = True
        while first or not self.pattern.startswith("]", self.position):
            if self.position >= len(self.pattern):
                raise _Refused("a ] is missing")
            cost += self._class_item()
            first = False
        self.position += 1
        return cost

    def _class_item(self) -> int:
        following = self.pattern[self.position : self.position + 2]
        if following == "[:" and (end := self.pattern.find(":]", self.position + 2)) >= 0:
            self._posix_class(end + 2)
            return _RANGE_COST
        if following[0] == "\\" and following[1:] and following[1] in "pP":
            self._unicode_class()
            return _UNICODE_CLASS_COST
        if following[0] == "\\" and following[1:] and following[1] in _PERL_CLASSES:
            self.position += 2
            return _RANGE_COST
        self._class_range()
        return _RANGE_COST

    def _posix_class(self, end: int) -> None:
        name = self.pattern[self.position : end]
        if name[2:-2].removeprefix("^") not in POSIX_CLASSES:
            raise _Refused(f"RE2 has no class {name}")
        self.position = end

    def _class_range(self) -> None:
        start = self.position
        low = self._class_letter()
        dash = self.pattern[self.position : self.position + 2]
        if len(dash) == 2 and dash[0] == "-" and dash[1] != "]":
            self.position += 1
            if self._class_letter() < low:
                raise _Refused(f"the range {self.pattern[start : self.position]} runs backwards")

    def _class_letter(self) -> str:
        if self.position >= len(self.pattern):
            raise _Refused("a ] is missing")
        if self.pattern[self.position] == "\\":
            return self._literal_escape()
        self.position += 1
        return self.pattern[self.position - 1]


def pattern_fault(pattern: str) -> str | None:
    """Why RE2 would refuse the pattern, or None."""
    try:
        _Reader(pattern).read()
    except _Refused as refusal:
        return str(refusal)
    return None


def _is_name_letter(letter: str) -> bool:
    return unicodedata.category(letter) in _NAME_CATEGORIES
