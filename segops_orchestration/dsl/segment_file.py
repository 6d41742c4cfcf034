"""A segment as people write it down: slug, name, description and definition, in YAML or JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from pydantic import BaseModel, ConfigDict

from segops_orchestration.dsl.faults import Fault, encoding_fault, missing_fields, refused, text_fault, unknown_field
from segops_orchestration.dsl.models import SLUG, Definition
from segops_orchestration.dsl.parse import MAX_PROBLEMS, definition_problems
from segops_orchestration.dsl.segment_tests import SegmentTest, tests_problems
from segops_orchestration.dsl.text import Format, read_text
from segops_orchestration.dsl.wording import child, found
from segops_orchestration.errors import InvalidDocument, Problem

MAX_NAME = 200
MAX_DESCRIPTION = 2_000


class SegmentDocument(BaseModel):
    """A segment document that has been checked. Its tests are no part of a version: only files have them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slug: str
    name: str
    description: str = ""
    definition: Definition
    tests: tuple[SegmentTest, ...] = ()


def parse_segment_text(text: str | bytes, *, format: Format, source: str = "") -> SegmentDocument:
    """The segment that a YAML or JSON text states; ``source`` (a file name) goes before each message.

    Raises InvalidDocument with every problem, or with the line of the syntax error.
    """
    return parse_segment_document(read_text(text, format=format, source=source), source=source)


def parse_segment_document(document: object, *, source: str = "") -> SegmentDocument:
    """The segment that a document (as Python objects) states. Raises InvalidDocument with every problem."""
    problems = list(islice(_problems(document), MAX_PROBLEMS))
    if problems:
        raise InvalidDocument(problems, source)
    return SegmentDocument.model_validate(document)


_SLUG = "1 to 63 lower case letters, digits, - and _, the first a letter or digit"
_NAME = f"text of 1 to {MAX_NAME} characters"
_DESCRIPTION = f"text of up to {MAX_DESCRIPTION:,} characters"
_DEFINITION = "an object with logic and conditions"
_TESTS = "an array of tests, each with events, an instant (at) and who is in and out"
ALLOWED = {
    "slug": _SLUG,
    "name": _NAME,
    "description": _DESCRIPTION,
    "definition": _DEFINITION,
    "tests": _TESTS,
}


def _problems(document: object) -> Iterator[Problem]:
    if not isinstance(document, dict):
        yield Problem("", refused(document, "an object with slug, name, description and definition"))
        return
    names = tuple(ALLOWED)
    for key, value in document.items():
        path = child("", key)
        if key == "definition":
            yield from definition_problems(value, path)
        elif key == "tests":
            yield from tests_problems(path, value)
        elif key in _FAULTS:
            fault = _FAULTS[key](value)
            if fault is not None:
                yield Problem(path, fault)
        else:
            yield unknown_field(path, key, "a segment", names)
    for name in missing_fields(document, names, ("slug", "name", "definition")):
        yield Problem(name, f"missing; required: {ALLOWED[name]}")


def _slug_fault(value: object) -> Fault:
    return None if isinstance(value, str) and SLUG.fullmatch(value) else refused(value, _SLUG)


def _name_fault(value: object) -> Fault:
    if isinstance(value, str) and value and not value.strip():
        return f"found {found(value)}, which is blank; allowed: {_NAME}"
    return text_fault(value, MAX_NAME, _NAME)


def _description_fault(value: object) -> Fault:
    if not isinstance(value, str):
        return refused(value, _DESCRIPTION)
    if len(value) > MAX_DESCRIPTION:
        return f"found {len(value):,} characters; allowed: {_DESCRIPTION}"
    return encoding_fault(value)


_FAULTS: dict[object, Callable[[object], Fault]] = {
    "slug": _slug_fault,
    "name": _name_fault,
    "description": _description_fault,
}
