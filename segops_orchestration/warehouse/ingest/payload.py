"""Payloads: JSON objects put together from columns, or taken as they are and checked."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from segops_orchestration.warehouse.ingest.arrays import Bools, bools, constant, lengths, texts
from segops_orchestration.warehouse.ingest.limits import PAYLOAD_BYTES, PAYLOAD_DEPTH

EMPTY = "{}"
TOO_LONG = f"longer than {PAYLOAD_BYTES // 1024} KiB"
NOT_AN_OBJECT = "not a JSON object"
# JSON's grammar for numbers, exponents kept small enough that no double overflows; see _rare_numbers.
_NUMBER = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?$"
_LONG_NUMBER = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
_SURE_NUMBER_BYTES = 100
_TO_ESCAPE = r'["\\\x00-\x1f]'
_TRUE = pa.array(["true", "True", "TRUE"])
_FALSE = pa.array(["false", "False", "FALSE"])


def key_of(name: str) -> str:
    """A property's name as it stands in a JSON object, colon included."""
    return json.dumps(name, ensure_ascii=False) + ":"


def from_text(values: Any) -> Any:
    """What CSV text says, as JSON: a number, true or false, else text; null for empty text.

    A number keeps its spelling: ``1.10`` stays ``1.10``. Text that JSON would not take for a number stays text, so
    ``007`` and ``+1`` do. Booleans may be written true, True or TRUE.
    """
    numbers = bools(pc.match_substring_regex(values, _NUMBER))
    sizes = lengths(values)
    if sizes.size and int(sizes.max()) > 4:
        numbers = _with_rare_numbers(values, numbers, sizes)
    empty = sizes == 0
    if (numbers | empty).all():
        return pc.if_else(pa.array(~empty), values, pa.scalar(None, pa.string())) if empty.any() else values
    encoded = pc.if_else(pa.array(numbers), values, quoted(values))
    for spelled, text in ((_TRUE, "true"), (_FALSE, "false")):
        found = pc.is_in(values, spelled)
        if pc.any(found).as_py():
            encoded = pc.if_else(found, text, encoded)
    return pc.if_else(pa.array(~empty), encoded, pa.scalar(None, pa.string())) if empty.any() else encoded


def _with_rare_numbers(values: Any, numbers: Bools, sizes: Any) -> Bools:
    """Settle long numbers one by one: ClickHouse cannot read a document with a number beyond a double's range."""
    doubtful = numbers & (sizes > _SURE_NUMBER_BYTES)
    if bools(pc.match_substring_regex(values, r"^-?[0-9.]+[eE][+-]?[0-9]{3,}$")).any():
        doubtful |= ~numbers & bools(pc.match_substring_regex(values, _LONG_NUMBER))
    if not doubtful.any():
        return numbers
    where = np.flatnonzero(doubtful)
    numbers = numbers.copy()
    numbers[where] = [math.isfinite(float(text)) for text in values.take(where).to_pylist()]
    return numbers


def quoted(values: Any) -> Any:
    """Texts as JSON strings; null stays null."""
    special = pc.fill_null(pc.match_substring_regex(values, _TO_ESCAPE), False)
    plain = pc.binary_join_element_wise('"', values, '"', "")
    if not pc.any(special).as_py():
        return plain
    escaped = [json.dumps(text, ensure_ascii=False) for text in values.filter(special).to_pylist()]
    return pc.replace_with_mask(plain, special, texts(escaped))


def objects(names: Sequence[str], encoded: Sequence[Any], rows: int) -> Any:
    """One JSON object a row from encoded properties; a null property is absent."""
    if not names:
        return constant(EMPTY, rows)
    if all(each.null_count == 0 for each in encoded):
        parts: list[Any] = []
        for index, (name, values) in enumerate(zip(names, encoded, strict=True)):
            parts += [("," if index else "{") + key_of(name), values]
        return pc.binary_join_element_wise(*parts, "}", "")
    # Not null_handling="skip": Arrow 26 loses the rows in which everything is null.
    members = [
        pc.binary_join_element_wise("," + key_of(name), values, "") for name, values in zip(names, encoded, strict=True)
    ]
    inside = pc.binary_join_element_wise(*members, "", null_handling="replace", null_replacement="")
    return pc.binary_join_element_wise("{", pc.utf8_slice_codeunits(inside, 1), "}", "")


def check_texts(values: Any) -> list[tuple[Bools, str]]:
    """Find texts that are not JSON objects (null and empty text are fine: no payload). One mask a reason."""
    good = [syntax_fault(text) for text in values.to_pylist()]
    reasons = dict.fromkeys(reason for reason in good if reason)
    return [(np.array([each == reason for each in good], np.bool_), reason) for reason in reasons]


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


# json.loads costs several times as much as reading a small document does. Numbers are not needed, only their places.
scan = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=len, parse_float=len).raw_decode
_BLANK = " \t\n\r"


def syntax_fault(text: str | None) -> str | None:
    """Why a text is not a JSON object, or None when it is one or is empty."""
    if not text:
        return None
    try:
        value, end = scan(text, 0) if text[0] == "{" else scan(text, len(text) - len(text.lstrip(_BLANK)))
    except ValueError:
        return NOT_AN_OBJECT
    except RecursionError:
        return f"nested deeper than {PAYLOAD_DEPTH} levels"
    if end != len(text) and text[end:].strip(_BLANK):
        return NOT_AN_OBJECT
    return None if type(value) is dict else NOT_AN_OBJECT


_RARE = r"[eE]\+?[0-9]{3}|[0-9]{300}|\\u[dD][89a-fA-F]"
_BIG_NUMBER = re.compile(r'"(?:[^"\\]|\\.)*"|(-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)')


def check_readable(values: Any) -> list[tuple[Bools, str]]:
    """Find JSON objects that are right by JSON's grammar, and that ClickHouse could not read or should not hold.

    Its parser gives up on the whole document for a number beyond a double, half a surrogate pair, and deep nesting;
    a payload that holds one would silently have no properties at all.
    """
    sizes = lengths(values)
    found = [(sizes > PAYLOAD_BYTES, TOO_LONG)]
    doubtful = bools(pc.match_substring_regex(values, _RARE))
    if sizes.size and int(sizes.max()) > 2 * PAYLOAD_DEPTH:
        opened = pc.add(pc.count_substring(values, "{"), pc.count_substring(values, "["))
        doubtful |= bools(pc.greater(opened, PAYLOAD_DEPTH))
    doubtful &= ~found[0][0]
    where = np.flatnonzero(doubtful)
    if len(where):
        reasons = [unreadable(text) for text in values.take(where).to_pylist()]
        for reason in dict.fromkeys(each for each in reasons if each):
            mask = np.zeros(len(values), np.bool_)
            mask[where[[each == reason for each in reasons]]] = True
            found.append((mask, reason))
    return [(mask, reason) for mask, reason in found if mask.any()]


def unreadable(text: str) -> str | None:
    """Why ClickHouse could not read a JSON document that Python can, or None."""
    depth = deepest = 0
    for token in re.findall(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text):
        depth += (token in "[{") - (token in "]}")
        deepest = max(deepest, depth)
    if deepest > PAYLOAD_DEPTH:
        return f"nested deeper than {PAYLOAD_DEPTH} levels"
    for match in _BIG_NUMBER.finditer(text):
        if match[1] and ("." in match[1] or "e" in match[1] or "E" in match[1]) and not math.isfinite(float(match[1])):
            return "holds a number beyond what a double can hold"
    try:
        json.dumps(json.loads(text, parse_int=str), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return "holds half a surrogate pair, which is no character"
    return None
