"""What rules are made of, and the faults that many of them share.

A rule looks at one field, with the object that holds it beside it where another field decides, and yields the
problems it finds.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from segops_orchestration.dsl.not_built import is_not_built, refusal
from segops_orchestration.dsl.values import parse_number
from segops_orchestration.dsl.wording import child, did_you_mean, found, listed, nearest
from segops_orchestration.errors import Problem

Fields = Mapping[str, object]
Fault = str | None
"""Why a value is refused, as the message says it; None if it is fine."""


@dataclass(frozen=True)
class Rule:
    """``allowed`` in words, for a missing field; ``check`` for one that is there."""

    allowed: str
    check: Callable[[str, object, Fields], Iterator[Problem]]


def refused(value: object, allowed: str) -> str:
    """The common sentence: what was found, what is allowed."""
    return f"found {found(value)}; allowed: {allowed}"


def choice(allowed: Sequence[str]) -> Rule:
    """One word of a fixed list: an operator, a metric, a logic."""
    words = listed(allowed)

    def check(path: str, value: object, fields: Fields) -> Iterator[Problem]:
        if not isinstance(value, str) or value not in allowed:
            yield Problem(path, refused(value, words) + did_you_mean(value, allowed))

    return Rule(words, check)


def single(allowed: str, fault: Callable[[object], Fault]) -> Rule:
    """A field judged by its value alone."""

    def check(path: str, value: object, fields: Fields) -> Iterator[Problem]:
        message = fault(value)
        if message is not None:
            yield Problem(path, message)

    return Rule(allowed, check)


def object_problems(
    path: str, document: Fields, owner: str, rules: Mapping[str, Rule], required: Sequence[str]
) -> Iterator[Problem]:
    """Problems of an object that has these fields."""
    names = tuple(rules)
    for key, value in document.items():
        if key in rules:
            yield from rules[key].check(child(path, key), value, document)
        else:
            yield unknown_field(child(path, key), key, owner, names)
    for name in missing_fields(document, names, required):
        yield Problem(child(path, name), f"missing; required: {rules[name].allowed}")


def missing_fields(document: Fields, names: Sequence[str], required: Iterable[str]) -> Iterator[str]:
    """Required fields that are absent, except those that are there misspelt and reported as such."""
    misspelt = misspelt_fields(document, names)
    return (name for name in required if name not in document and name not in misspelt)


def misspelt_fields(document: Fields, names: Sequence[str]) -> set[str]:
    """The fields that unknown ones were likely meant to be."""
    strays = [key for key in document if key not in names]
    return {name for key in strays[:100] if (name := nearest(key, names)) is not None}


def unknown_field(path: str, key: object, owner: str, names: Sequence[str]) -> Problem:
    """A field that ``owner`` does not have: an extension not built yet, or a slip."""
    if isinstance(key, str) and is_not_built("field", key):
        return Problem(path, f"{refusal(f'{key} of {owner}')}; allowed: {listed(names)}")
    return Problem(path, f"unknown field; allowed: {listed(names)}{did_you_mean(key, names)}")


def text_fault(value: object, longest: int, allowed: str) -> Fault:
    """A text of 1 to ``longest`` characters without control characters."""
    if not isinstance(value, str) or not value:
        return refused(value, allowed)
    if len(value) > longest:
        return f"found {len(value):,} characters; allowed: {allowed}"
    return encoding_fault(value) or control_fault(value)


def encoding_fault(text: str) -> Fault:
    """Half of a surrogate pair cannot be written as UTF-8, and so never reaches the warehouse."""
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        return f"found {found(text)}, which holds half of a surrogate pair and is not valid Unicode text"
    return None


def control_fault(text: str) -> Fault:
    """A control character in a name is a slip of the keyboard."""
    if any(unicodedata.category(letter) == "Cc" for letter in text):
        return f"found {found(text)}; a control character is not allowed"
    return None


def whole_fault(value: object, least: int, most: int, allowed: str) -> Fault:
    """A whole number from ``least`` to ``most``, both included."""
    if is_whole(value) and least <= value <= most:
        return None
    return refused(value, allowed) + (", written without a fraction" if isinstance(value, float) else "")


def is_whole(value: object) -> TypeGuard[int]:
    """Whether the value is a whole number, written as one; a boolean is none."""
    return isinstance(value, int) and not isinstance(value, bool)


def number_fault(value: object, allowed: str) -> Fault:
    """A finite number whose magnitude the warehouse's decimals can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return refused(value, allowed)
    if isinstance(value, float) and not math.isfinite(value):
        return refused(value, f"{allowed}; it must be finite")
    if parse_number(value) is None:
        return refused(value, f"{allowed}; its magnitude must be below 10^29")
    return None
