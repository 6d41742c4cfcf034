"""Cases for section 3.2: paths into the payload, and which texts are numbers, and patterns."""

from __future__ import annotations

from typing import Any

from segops_orchestration_tests.oracle.case import (
    IDENTIFIED,
    Case,
    case,
    event,
    event_property,
    identified,
    user_property,
)


def property_x(name: str, operator: str, value: Any, payloads: dict[str, str], true_of: set[str]) -> Case:
    """One test of property ``x`` against users by the JSON text of their ``x``."""
    return case(
        name,
        user_property("x", operator, value=value),
        [identified(user, payload='{"x": ' + text + "}") for user, text in payloads.items()],
        true_of,
    )


def _path(name: str, path: str, payloads: dict[str, str], true_of: set[str]) -> Case:
    """Who has ``path`` eq 1, by whole payload."""
    return case(
        name,
        user_property(path, "eq", value=1),
        [identified(user, payload=text) for user, text in payloads.items()],
        true_of,
    )


NOT_NUMBERS = (
    "inf", "-Infinity", "nan", "NaN", "0x10", "1_000", "1,000", "1 000", " 1", "1 ", "+", "-", ".", "e3", "1e",
    "--1", "１０", "ten", "true", "1e3.5",
)  # fmt: skip

PATHS = (
    _path(
        "path: a step into an object",
        "a.b",
        {
            "nested": '{"a": {"b": 1}}',
            "dotted": '{"a.b": 1}',
            "flat": '{"b": 1}',
            "deeper": '{"a": {"a": {"b": 1}}}',
        },
        {"nested"},
    ),
    _path(
        "path: an escaped dot is part of the key",
        "a\\.b",
        {"nested": '{"a": {"b": 1}}', "dotted": '{"a.b": 1}', "both": '{"a": {"b": 2}, "a.b": 1}'},
        {"dotted", "both"},
    ),
    _path(
        "path: escaped and plain dots together",
        "a\\.b.c\\.d",
        {"right": '{"a.b": {"c.d": 1}}', "wrong": '{"a": {"b": {"c": {"d": 1}}}}', "key": '{"a.b.c.d": 1}'},
        {"right"},
    ),
    _path("path: three steps", "a.b.c", {"a": '{"a": {"b": {"c": 1}}}', "b": '{"a": {"b": {"d": 1}}}'}, {"a"}),
    _path(
        "path: keys are case-sensitive",
        "Key",
        {"a": '{"Key": 1}', "b": '{"key": 1}', "c": '{"KEY": 1}'},
        {"a"},
    ),
    _path(
        "path: any character",
        "größe (cm) 'q' `b`",
        {"a": "{\"größe (cm) 'q' `b`\": 1}", "b": '{"größe": 1}'},
        {"a"},
    ),
    _path(
        "path: a key written with escapes is the same key",
        "xé",
        {"a": '{"\\u0078\\u00e9": 1}', "b": '{"y": 1}'},
        {"a"},
    ),
    _path(
        "path: a key that is a number",
        "1",
        {"a": '{"1": 1}', "array": "[0, 1]", "b": '{"0": 1, "b": 1}'},
        {"a"},
    ),
    case(
        "path: through null, text, number or array it is missing",
        user_property("a.b", "is_not_set"),
        [
            identified(user, payload=text)
            for user, text in {
                "null": '{"a": null}',
                "text": '{"a": "b"}',
                "json text": '{"a": "{\\"b\\": 1}"}',
                "number": '{"a": 1}',
                "array": '{"a": [{"b": 1}]}',
                "null inside": '{"a": {"b": null}}',
                "set": '{"a": {"b": 0}}',
            }.items()
        ],
        {"null", "text", "json text", "number", "array", "null inside"},
    ),
    case(
        "path: no number leads into an array",
        user_property("a.1", "is_set"),
        [identified("array", payload='{"a": [1, 2, 3]}'), identified("object", payload='{"a": {"1": 2}}')],
        {"object"},
    ),
    case(
        "path: a payload that is no object has no properties",
        user_property("x", "is_not_set"),
        [
            identified("array", payload='[{"x": 1}]'),
            identified("text", payload='"x"'),
            identified("x", payload='{"x":1}'),
        ],
        {"array", "text"},
    ),
    _path(
        "path: white space in the JSON text does not matter",
        "a.b",
        {"tight": '{"a":{"b":1}}', "loose": ' {\n\t"a" : { "b" : 1 } } '},
        {"tight", "loose"},
    ),
)

NUMBERS = (
    property_x(
        "number: spellings of one number are equal",
        "eq",
        1000,
        {
            "1000": "1000",
            "1e3": "1e3",
            "1E+3": "1E+3",
            "1000.0": "1000.0",
            "'1e3'": '"1e3"',
            "'+1000'": '"+1000"',
            "'1000.'": '"1000."',
            "'0001000'": '"0001000"',
            "10000e-1": "10000e-1",
            "1000.5": "1000.5",
        },
        {"1000", "1e3", "1E+3", "1000.0", "'1e3'", "'+1000'", "'1000.'", "'0001000'", "10000e-1"},
    ),
    property_x(
        "number: texts that are none",
        "gte",
        -1e9,
        {text: f'"{text}"' for text in NOT_NUMBERS},
        set(),
    ),
    property_x(
        "number: a bare fraction",
        "eq",
        0.5,
        {"'.5'": '".5"', "'0.50'": '"0.50"', "'-.5'": '"-.5"'},
        {"'.5'", "'0.50'"},
    ),
    property_x(
        "number: decimals are exact",
        "eq",
        0.3,
        {"0.3": "0.3", "sum": "0.30000000000000004", "off": "0.300000001"},
        {"0.3", "sum"},
    ),
    property_x(
        "number: digits beyond the ninth place are cut off",
        "gt",
        0,
        {"tenth": "0.0000000009", "ninth": "0.000000001", "negative": "-0.000000001"},
        {"ninth"},
    ),
    property_x(
        "number: whole numbers beyond 2^53 stay apart",
        "gt",
        9007199254740992,
        {"2^53": "9007199254740992", "2^53 + 1": "9007199254740993", "'2^53 + 1'": '"9007199254740993"'},
        {"2^53 + 1", "'2^53 + 1'"},
    ),
    property_x(
        "number: whole numbers beyond 2^64 too",
        "eq",
        "100000000000000000000000001",
        {
            "a": "100000000000000000000000001",
            "b": "100000000000000000000000002",
            "c": '"100000000000000000000000001"',
        },
        {"a", "c"},
    ),
    property_x(
        "number: zero has no sign",
        "eq",
        0,
        {"0": "0", "-0": "-0", "'-0.0'": '"-0.0"', "0e5": "0e5"},
        {"0", "-0", "'-0.0'", "0e5"},
    ),
    property_x(
        "number: compared as numbers, not as text",
        "lt",
        "100",
        {"'20'": '"20"', "'9'": '"9"', "'1000'": '"1000"'},
        {"'20'", "'9'"},
    ),
    property_x("number: a boolean is none", "gte", 0, {"true": "true", "false": "false", "one": "1"}, {"one"}),
)

TEXTS = (
    property_x(
        "text: wildcards of SQL mean themselves",
        "contains",
        "50%_",
        {"a": '"up to 50%_off"', "b": '"up to 50 xoff"'},
        {"a"},
    ),
    property_x(
        "text: quotes, backslashes and placeholders mean themselves",
        "eq",
        'it\'s "so" \\ %s {x:String} ?',
        {"a": '"it\'s \\"so\\" \\\\ %s {x:String} ?"', "b": '"its so"'},
        {"a"},
    ),
    property_x(
        "text: an escape in the payload is the character",
        "eq",
        "Zürich",
        {"a": '"Z\\u00fcrich"', "b": '"Zürich"', "c": '"Zurich"'},
        {"a", "b"},
    ),
    property_x(
        "text: a pair of surrogates is one character",
        "eq",
        "😀",
        {"a": '"\\ud83d\\ude00"', "b": '"😀"', "c": '"😁"'},
        {"a", "b"},
    ),
    property_x(
        "text: letters that look alike are not equal",
        "eq",
        "é",
        {"one code point": '"é"', "two": '"e\\u0301"'},
        {"one code point"},
    ),
    property_x("text: a slash may be escaped", "eq", "a/b", {"a": '"a\\/b"', "b": '"a/b"'}, {"a", "b"}),
    property_x("text: spaces count", "eq", "gold", {"a": '"gold"', "b": '"gold "', "c": '" gold"'}, {"a"}),
    property_x(
        "text: contains is case-sensitive beyond ASCII",
        "contains",
        "Ü",
        {"a": '"Über"', "b": '"über"'},
        {"a"},
    ),
    property_x(
        "text: starts_with a number",
        "starts_with",
        "94",
        {"zip": "94107", "text": '"94107"', "other": "19410"},
        {"zip", "text"},
    ),
    property_x("text: ends_with a letter of two bytes", "ends_with", "ü", {"a": '"Menü"', "b": '"Menu"'}, {"a"}),
    property_x(
        "text: starts_with the whole",
        "starts_with",
        "gold",
        {"a": '"gold"', "b": '"gol"', "c": '"golden"'},
        {"a", "c"},
    ),
    property_x("text: contains on a fraction", "contains", "2.5", {"a": "12.5", "b": "125"}, {"a"}),
    property_x("regex: unanchored", "matches_regex", "b+", {"a": '"abba"', "b": '"aca"'}, {"a"}),
    property_x(
        "regex: a point does not match a line break",
        "matches_regex",
        "a.b",
        {"a": '"a-b"', "b": '"a\\nb"'},
        {"a"},
    ),
    property_x("regex: with s it does", "matches_regex", "(?s)a.b", {"a": '"a-b"', "b": '"a\\nb"'}, {"a", "b"}),
    property_x("regex: $ is the very end", "matches_regex", "a$", {"a": '"a"', "b": '"a\\n"', "c": '"a\\nb"'}, {"a"}),
    property_x(
        "regex: a point matches a letter of two bytes whole",
        "matches_regex",
        "^.$",
        {"a": '"ü"', "b": '"uu"', "c": '"用"'},
        {"a", "c"},
    ),
    property_x("regex: case-sensitive", "matches_regex", "gold", {"a": '"gold"', "b": '"GOLD"'}, {"a"}),
    property_x(
        "regex: on a number's text",
        "matches_regex",
        "^[0-9]{5}$",
        {"a": "94107", "b": '"94107"', "c": "9410", "d": "-9410"},
        {"a", "b"},
    ),
    property_x(
        "regex: an empty pattern matches every text",
        "matches_regex",
        "",
        {"a": '""', "b": "1", "c": "[]", "d": "null"},
        {"a", "b"},
    ),
)

ARRAYS = (
    property_x(
        "array: contains an element that is eq",
        "contains",
        10,
        {"number": "[1, 10]", "text": '["10.0"]', "no": "[100]"},
        {"number", "text"},
    ),
    property_x(
        "array: contains never looks inside an element's text",
        "contains",
        "gold",
        {"a": '["gold"]', "b": '["golden"]'},
        {"a"},
    ),
    property_x("array: contains true", "contains", True, {"a": "[true]", "b": '["true"]', "c": "[1]"}, {"a"}),
    property_x(
        "array: contains does not look into nested arrays",
        "contains",
        "gold",
        {"a": '[["gold"]]', "b": '[{"gold": "gold"}]'},
        set(),
    ),
    property_x("array: a null element equals nothing", "contains", "null", {"a": "[null]", "b": '["null"]'}, {"b"}),
    property_x("array: contains the empty text", "contains", "", {"a": '[""]', "b": "[]", "c": "[null]"}, {"a"}),
    property_x("array: is never eq to its only element", "eq", 10, {"a": "[10]", "b": "10"}, {"b"}),
    property_x("array: contains text with a comma", "contains", "a,b", {"a": '["a,b"]', "b": '["a", "b"]'}, {"a"}),
    property_x("array: contains text with a quote", "contains", 'a"b', {"a": '["a\\"b"]', "b": '["ab"]'}, {"a"}),
)


OTHERS = (
    case(
        "empty payload text: every property is missing",
        event_property("x", "is_not_set"),
        [event("nothing", payload=""), event("object", payload="{}"), event("x", payload='{"x": 1}')],
        {"nothing", "object"},
    ),
    case(
        "is_set: empty text, zero, false, an empty array and an empty object are set",
        event_property("x", "is_set", IDENTIFIED),
        [
            identified(user, payload=text)
            for user, text in {
                "text": '{"x": ""}',
                "zero": '{"x": 0}',
                "false": '{"x": false}',
                "array": '{"x": []}',
                "object": '{"x": {}}',
                "null": '{"x": null}',
            }.items()
        ],
        {"text", "zero", "false", "array", "object"},
    ),
    case(
        "in: hundreds of choices",
        user_property("x", "in", value=[f"choice {n}" for n in range(500)]),
        [identified("a", payload='{"x": "choice 499"}'), identified("b", payload='{"x": "choice 500"}')],
        {"a"},
    ),
)

VALUE_CASES = (*PATHS, *NUMBERS, *TEXTS, *ARRAYS, *OTHERS)
