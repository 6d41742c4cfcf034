"""A connector as people write it down, beside the segments: ``*.connector.yaml``, without its secrets.

Secrets are named, never written: ``secrets: {api_key: env:KLAVIYO_KEY}`` says which variable has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from segops_orchestration.activation.fields import checked_config, secret_names, type_problem
from segops_orchestration.catalog.connector_records import DEFAULT_HOLD_SHARE, DEFAULT_HOLD_USERS, ConnectorSpec
from segops_orchestration.dsl.faults import (
    Fault,
    Fields,
    Rule,
    choice,
    missing_fields,
    object_problems,
    refused,
    single,
)
from segops_orchestration.dsl.models import SLUG
from segops_orchestration.dsl.text import Format, read_text
from segops_orchestration.dsl.wording import child, did_you_mean, listed
from segops_orchestration.errors import InvalidDocument, Problem

_VARIABLE = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")
_SLUG = "1 to 63 lower case letters, digits, - and _, the first a letter or digit"
_SEGMENT = "the slug of a segment"
_CONFIG = "an object with the fields that segops connectors types shows"
_SECRETS = "an object that names the variable of each secret, such as api_key: env:KLAVIYO_KEY"
_REFERENCE = "env:NAME, the environment variable that has it"
_HOLD = "an object with share (0 to 1) and users (a number)"
_SHARE = "a number from 0 to 1, as 0.3 for 30 % of the audience"
_USERS = "a whole number, 0 or more"


@dataclass(frozen=True)
class ConnectorDocument:
    """A connector document that has been checked. ``variables`` says by secret which environment variable has it."""

    spec: ConnectorSpec
    variables: Mapping[str, str] = field(default_factory=dict)


def parse_connector_text(text: str | bytes, *, format: Format, source: str = "") -> ConnectorDocument:
    """The connector that a YAML or JSON text states; ``source`` (a file name) goes before each message.

    Raises InvalidDocument with every problem, or with the line of the syntax error.
    """
    return parse_connector_document(read_text(text, format=format, source=source), source=source)


def parse_connector_document(document: object, *, source: str = "") -> ConnectorDocument:
    """The connector that a document (as Python objects) states. Raises InvalidDocument with every problem."""
    problems = list(_problems(document))
    if problems:
        raise InvalidDocument(problems, source)
    assert isinstance(document, dict)
    hold = document.get("hold", {})
    spec = ConnectorSpec(
        slug=document["slug"],
        segment=document["segment"],
        type=document["type"],
        config=checked_config(document["type"], document.get("config", {})),
        hold_share=float(hold.get("share", DEFAULT_HOLD_SHARE)),
        hold_users=hold.get("users", DEFAULT_HOLD_USERS),
        when_archived=document.get("when_archived", "leave"),
    )
    return ConnectorDocument(spec, {name: _named(text) or "" for name, text in document.get("secrets", {}).items()})


def secret_reference_fault(value: object) -> Fault:
    """What is wrong with the place where a secret is said to be. The text is not repeated: it may be the secret."""
    if isinstance(value, str) and _VARIABLE.fullmatch(value):
        return None
    return f"a secret itself is never written here; allowed: {_REFERENCE}"


def variable_of(reference: str) -> str:
    """The environment variable that a checked reference names."""
    return _named(reference) or reference


def _named(reference: str) -> str | None:
    match = _VARIABLE.fullmatch(reference)
    return match.group(1) if match else None


def _problems(document: object) -> Iterator[Problem]:
    if not isinstance(document, dict):
        yield Problem("", refused(document, "an object with slug, segment, type, config and secrets"))
        return
    yield from object_problems("", document, "a connector", _RULES, ("slug", "segment", "type"))
    absent = "config" in missing_fields(document, tuple(_RULES), ("config",))
    if absent and type_problem(document.get("type")) is None:
        # What the platform requires is missing with it.
        yield from _config("config", {}, document)


def _slug_fault(value: object) -> Fault:
    return None if isinstance(value, str) and SLUG.fullmatch(value) else refused(value, _SLUG)


def _segment_fault(value: object) -> Fault:
    return None if isinstance(value, str) and SLUG.fullmatch(value) else refused(value, _SEGMENT)


def _config(path: str, value: object, document: Fields) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield Problem(path, refused(value, _CONFIG))
        return
    type_ = document.get("type")
    if not isinstance(type_, str) or type_problem(type_) is not None:
        return
    try:
        checked_config(type_, value)
    except InvalidDocument as error:
        yield from error.problems


def _secrets(path: str, value: object, document: Fields) -> Iterator[Problem]:
    if not isinstance(value, dict):
        # Not said what was found: it may be the secret.
        yield Problem(path, f"allowed: {_SECRETS}")
        return
    type_ = document.get("type")
    known = secret_names(type_) if isinstance(type_, str) and type_problem(type_) is None else None
    for name, reference in value.items():
        if known is not None and name not in known:
            yield Problem(
                child(path, name), f"unknown secret of {type_}; allowed: {listed(known)}{did_you_mean(name, known)}"
            )
        else:
            fault = secret_reference_fault(reference)
            if fault is not None:
                yield Problem(child(path, name), fault)


def _hold(path: str, value: object, document: Fields) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield Problem(path, refused(value, _HOLD))
        return
    yield from object_problems(path, value, "hold", _HOLD_RULES, ())


def _share_fault(value: object) -> Fault:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return None if number and 0 <= float(str(value)) <= 1 else refused(value, _SHARE)


def _users_fault(value: object) -> Fault:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return None if whole and 0 <= int(str(value)) < 1 << 63 else refused(value, _USERS)


_HOLD_RULES: dict[str, Rule] = {"share": single(_SHARE, _share_fault), "users": single(_USERS, _users_fault)}
_RULES: dict[str, Rule] = {
    "slug": single(_SLUG, _slug_fault),
    "segment": single(_SEGMENT, _segment_fault),
    "type": single("a type that segops connectors types lists", type_problem),
    "config": Rule(_CONFIG, _config),
    "secrets": Rule(_SECRETS, _secrets),
    "hold": Rule(_HOLD, _hold),
    "when_archived": choice(("empty", "leave")),
}
