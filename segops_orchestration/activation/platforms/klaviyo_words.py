"""Reading what Klaviyo says, and what it wants of a user's properties."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

# A profile with an address that Klaviyo cannot read is refused as a whole, though its external id would do.
_EMAIL = re.compile(r"[^\s@<>\"(),:;\[\]\\]{1,64}@[^\s@.]+(\.[^\s@.]+)+")
_E164 = re.compile(r"\+[1-9]\d{6,14}")
_LONGEST_EMAIL = 254
# /data/attributes/profiles/data/17/attributes/email of an import, /data/17/id of a list's profiles.
_POSITION = re.compile(r"/data/(\d+)(?:/|$)")


def email_of(properties: Mapping[str, Any]) -> str | None:
    """The user's ``email``, when it is one."""
    email = properties.get("email")
    if not isinstance(email, str):
        return None
    email = email.strip()
    return email if len(email) <= _LONGEST_EMAIL and _EMAIL.fullmatch(email) else None


def phone_of(properties: Mapping[str, Any]) -> str | None:
    """The user's ``phone_number`` or ``phone``, when it is in E.164 format; spaces and dashes are left out."""
    for name in ("phone_number", "phone"):
        phone = properties.get(name)
        if isinstance(phone, str):
            digits = re.sub(r"[\s().-]", "", phone)
            if _E164.fullmatch(digits):
                return digits
    return None


def said(document: Any) -> str:
    """The errors of an answer in one line; empty when there are none to read."""
    return "; ".join(_sentence(error) for error in _errors(document))


def blamed_positions(document: Any) -> dict[int, str]:
    """Position in what was sent -> reason, of the errors that point to one."""
    blamed: dict[int, str] = {}
    for error in _errors(document):
        pointer = (error.get("source") or {}).get("pointer")
        found = _POSITION.search(pointer) if isinstance(pointer, str) else None
        if found:
            blamed.setdefault(int(found.group(1)), _sentence(error))
    return blamed


def import_error(row: Mapping[str, Any]) -> tuple[str, str]:
    """The user id of a row that was not imported, empty when it does not say, and the reason."""
    attributes = row.get("attributes") or {}
    payload = attributes.get("original_payload")
    user = ""
    if isinstance(payload, dict):
        user = external_id(payload) or str(payload.get("external_id") or "")
    return user, _sentence(attributes)


def external_id(profile: Mapping[str, Any]) -> str:
    """The external id of a profile; empty when it has none."""
    attributes = profile.get("attributes")
    return str(attributes.get("external_id") or "") if isinstance(attributes, dict) else ""


def _errors(document: Any) -> Iterator[Mapping[str, Any]]:
    errors = document.get("errors") if isinstance(document, dict) else None
    for error in errors if isinstance(errors, list) else ():
        if isinstance(error, dict):
            yield error


def _sentence(error: Mapping[str, Any]) -> str:
    words = error.get("detail") or error.get("title") or "no reason given"
    code = error.get("code")
    return f"{words} ({code})" if code else str(words)
