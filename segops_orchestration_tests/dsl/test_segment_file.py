"""Segment documents and the text they are written in."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segops_orchestration.dsl.parse import parse_definition
from segops_orchestration.dsl.segment_file import SegmentDocument, parse_segment_document, parse_segment_text
from segops_orchestration.dsl.text import read_text
from segops_orchestration.errors import InvalidDocument
from segops_orchestration_tests.dsl.documents import DEFINITIONS, EVENT_COUNT, RECENCY, Document, definition, generated

SEGMENT: Document = {
    "slug": "vip",
    "name": "Best customers",
    "description": "Three orders or more",
    "definition": definition(EVENT_COUNT),
}
WORDS = "2026-01-31 yes no on off y 0777 0x1F 0b1 12:30 1_000 +5 .5 .inf .nan 5. = << TrUe"
YAML = """\
# comments are welcome
slug: vip
name: Best customers
description: >-
  Three orders
  or more
definition:
  logic: AND
  conditions:
    - {type: event_count, event_type: order_placed, operator: gte, value: 3}
"""


def problems(document: object) -> list[str]:
    with pytest.raises(InvalidDocument) as error:
        parse_segment_document(document)
    return [problem.path for problem in error.value.problems]


def unreadable(text: str | bytes, format: Any = "yaml") -> str:
    with pytest.raises(InvalidDocument) as error:
        parse_segment_text(text, format=format, source="vip.yaml")
    return str(error.value)


def value(text: str) -> Any:
    """What YAML reads as the value of a key."""
    read = read_text(f"key: {text}", format="yaml")
    assert isinstance(read, dict)
    return read["key"]


class TestDocument:
    def test_holds_slug_name_description_and_definition(self) -> None:
        assert parse_segment_document(SEGMENT) == SegmentDocument(
            slug="vip",
            name="Best customers",
            description="Three orders or more",
            definition=parse_definition(definition(EVENT_COUNT)),
        )

    def test_may_leave_the_description_out(self) -> None:
        bare = {key: item for key, item in SEGMENT.items() if key != "description"}
        assert parse_segment_document(bare).description == ""

    def test_needs_the_rest(self) -> None:
        assert problems({}) == ["slug", "name", "definition"]

    def test_names_each_problem_from_its_own_root_in_document_order(self) -> None:
        wrong = definition(EVENT_COUNT, RECENCY | {"operator": "gte", "x": 1})
        assert problems({"definition": wrong, "slug": "Vip", "colour": "red", "name": ""}) == [
            "definition.conditions[1].operator",
            "definition.conditions[1].x",
            "slug",
            "colour",
            "name",
        ]

    @pytest.mark.parametrize("slug", ["a", "0", "lapsed_vip-2", "a" * 63])
    def test_slugs(self, slug: str) -> None:
        assert parse_segment_document(SEGMENT | {"slug": slug}).slug == slug

    @pytest.mark.parametrize("slug", ["", "A", "-a", "_a", "a b", "a/b", "a.b", "ü", "a" * 64, "a\n", 5, None])
    def test_what_is_no_slug(self, slug: object) -> None:
        assert problems(SEGMENT | {"slug": slug}) == ["slug"]

    @pytest.mark.parametrize("name", ["", "   ", "a\nb", "x" * 201, 5, None])
    def test_what_is_no_name(self, name: object) -> None:
        assert problems(SEGMENT | {"name": name}) == ["name"]

    @pytest.mark.parametrize("description", ["x" * 2001, 5, None, "\ud800"])
    def test_what_is_no_description(self, description: object) -> None:
        assert problems(SEGMENT | {"description": description}) == ["description"]

    @pytest.mark.parametrize("document", [None, [], "slug: vip", 5])
    def test_is_an_object(self, document: object) -> None:
        assert problems(document) == [""]


class TestYaml:
    def test_states_the_same_segment_as_json(self) -> None:
        from_yaml = parse_segment_text(YAML, format="yaml")
        assert from_yaml == parse_segment_text(json.dumps(SEGMENT), format="json")
        assert from_yaml == parse_segment_text(json.dumps(SEGMENT), format="yaml")

    @pytest.mark.parametrize("text", [*WORDS.split(), "2026-01-31 10:00:00", "on the way"])
    def test_a_word_is_text(self, text: str) -> None:
        assert value(text) == text

    @pytest.mark.parametrize(
        ("text", "read"), [("5", 5), ("-5", -5), ("0", 0), ("1.50", 1.5), ("1e3", 1000.0), ("-0.5E-1", -0.05)]
    )
    def test_a_json_number_is_a_number(self, text: str, read: float) -> None:
        assert (value(text), type(value(text))) == (read, type(read))

    @pytest.mark.parametrize(
        ("text", "read"), [("true", True), ("False", False), ("null", None), ("~", None), ("", None)]
    )
    def test_true_false_and_null(self, text: str, read: object) -> None:
        assert value(text) is read

    @pytest.mark.parametrize("text", ["'5'", '"5"', "|-\n  5", ">-\n  5"])
    def test_what_is_quoted_is_text(self, text: str) -> None:
        assert value(text) == "5"

    def test_a_key_is_text(self) -> None:
        assert read_text("{on: 1, 5: 2, null: 3, 2026-01-31: 4}", format="yaml") == {
            "on": 1,
            "5": 2,
            "null": 3,
            "2026-01-31": 4,
        }

    def test_a_syntax_error_is_named_by_its_line(self) -> None:
        assert unreadable("slug: vip\nname: [a\n").startswith("vip.yaml: line 3, column 1: not YAML: ")

    def test_a_tab_is_named_by_its_line(self) -> None:
        assert unreadable("slug: vip\ndefinition:\n\tlogic: AND\n").startswith("vip.yaml: line 3, column 1: not YAML")

    def test_keys_that_occur_twice_are_all_reported(self) -> None:
        assert unreadable("slug: a\nslug: b\ndefinition: {logic: OR, logic: AND}\n").splitlines() == [
            "vip.yaml: slug: the key occurs twice; allowed: once (again on line 2)",
            "vip.yaml: definition.logic: the key occurs twice; allowed: once (again on line 3)",
        ]

    def test_aliases_are_refused_before_they_can_grow(self) -> None:
        bomb = "a: &a [x, x]\n" + "".join(
            f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        )
        assert "line 1: anchors and aliases are not supported" in unreadable(bomb)
        assert "anchors and aliases" in unreadable("a: *b")

    @pytest.mark.parametrize("text", ["!!python/object:os.system {}", "!!timestamp 2026-01-31", "!x 5", "!!str 5"])
    def test_tags_are_refused(self, text: str) -> None:
        assert "line 1: tags" in unreadable(f"slug: {text}")

    @pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 50_000, "- " * 100_000, "? " * 10_000])
    def test_deep_nesting_is_refused(self, text: str) -> None:
        assert "nested too deep" in unreadable(text)

    def test_one_text_is_one_document(self) -> None:
        assert "another document" in unreadable(f"{YAML}---\n{YAML}")

    @pytest.mark.parametrize("text", ["", "  \n", "# nothing", "---\n", b"\xff\xfe", "slug: \x00", "\ud800", "%YAML 9"])
    def test_what_is_no_document(self, text: str | bytes) -> None:
        assert unreadable(text).startswith("vip.yaml: ")

    def test_a_key_that_is_no_text(self) -> None:
        assert "a key is text" in unreadable("? [a]\n: 1\n")

    @generated
    @given(st.text())
    def test_any_text_is_read_or_refused(self, text: str) -> None:
        with contextlib.suppress(InvalidDocument):
            json.dumps(read_text(text, format="yaml"))

    @settings(generated, max_examples=25)
    @given(DEFINITIONS)
    def test_json_is_yaml(self, document: Document) -> None:
        text = json.dumps(SEGMENT | {"definition": document})
        assert parse_segment_text(text, format="yaml") == parse_segment_text(text, format="json")


class TestJson:
    def test_a_syntax_error_is_named_by_its_line(self) -> None:
        assert unreadable('{"slug": "vip",\n}', "json").startswith("vip.yaml: line 2, column 1: not JSON: ")

    def test_keys_that_occur_twice_are_all_reported(self) -> None:
        text = '{"slug": "a", "definition": {"conditions": [{"type": "x", "type": "y"}]}, "slug": "b"}'
        assert unreadable(text, "json").splitlines() == [
            "vip.yaml: slug: the key occurs twice; allowed: once",
            "vip.yaml: definition.conditions[0].type: the key occurs twice; allowed: once",
        ]

    @pytest.mark.parametrize("text", ["", "[" * 100_000, '{"a":' * 100_000, "1" * 5_000, b"\xff", "nul", "\ud800"])
    def test_what_cannot_be_read(self, text: str | bytes) -> None:
        assert unreadable(text, "json").startswith("vip.yaml: ")

    def test_numbers_that_are_none(self) -> None:
        text = json.dumps(SEGMENT).replace('"value": 3', '"value": NaN')
        assert "definition.conditions[0].value: found nan" in unreadable(text, "json")


@pytest.mark.parametrize("format", ["yaml", "json"])
def test_a_text_beyond_half_a_mebibyte_is_not_read(format: Any) -> None:
    assert "allowed: 524,288" in unreadable('"' + "x" * 600_000 + '"', format)


@pytest.mark.parametrize("format", ["yaml", "json"])
def test_a_byte_order_mark_is_no_matter(format: Any) -> None:
    assert parse_segment_text(b"\xef\xbb\xbf" + json.dumps(SEGMENT).encode(), format=format).slug == "vip"
