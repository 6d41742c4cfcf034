"""From a document to a definition and back to its canonical JSON."""

from __future__ import annotations

import json
from itertools import islice

from segops_orchestration.dsl.check import Walk
from segops_orchestration.dsl.models import Definition
from segops_orchestration.errors import InvalidDocument, Problem

MAX_PROBLEMS = 200
MAX_BYTES = 64 * 1024


def parse_definition(document: object) -> Definition:
    """The definition that a JSON document (as Python objects) states.

    Raises InvalidDocument with every problem at its JSON path, in document order (the first 200 of them).
    """
    problems = definition_problems(document)
    if problems:
        raise InvalidDocument(problems)
    return Definition.model_validate(document)


def definition_problems(document: object, path: str = "") -> list[Problem]:
    """What is wrong with the document that stands at ``path`` of a larger one."""
    problems = list(islice(Walk().definition(path, document), MAX_PROBLEMS + 1))
    if len(problems) > MAX_PROBLEMS:
        problems[MAX_PROBLEMS:] = [Problem(path, f"more than {MAX_PROBLEMS} problems; no more are listed")]
    if problems:
        return problems
    size = len(canonical_json(Definition.model_validate(document)).encode())
    if size > MAX_BYTES:
        return [Problem(path, f"found {size:,} bytes of canonical JSON; allowed: {MAX_BYTES:,}")]
    return []


def canonical_json(definition: Definition) -> str:
    """The one JSON text of a definition: keys sorted, no spaces, defaults left out, numbers shortest.

    Two documents that say the same with other key order, spacing, number spelling (500.0) or explicit
    defaults have the same text; it parses back to an equal definition.
    """
    return json.dumps(
        definition.model_dump(mode="json"),
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )
