"""Checks of a connector's config: each gives back the value to store, or raises ValueError saying what is allowed."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(\.\w+)?")


def http_address(value: Any) -> str:
    """The address of an API: scheme and host, perhaps a path."""
    text = str(value).strip().rstrip("/")
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or "@" in text:
        raise ValueError(f"found {value!r}; allowed: an address such as https://host, without user, query or fragment")
    return text


def plain_id(value: Any) -> str:
    """An identifier that a platform has given."""
    text = str(value).strip()
    if not _PLAIN_ID.fullmatch(text):
        raise ValueError(f"found {value!r}; allowed: letters, digits, - and _, as the platform shows it")
    return text


def date_text(value: Any) -> str:
    """A date as a text; YAML reads one as a date."""
    text = str(value).strip()
    if not _DATE.fullmatch(text):
        raise ValueError(f"found {value!r}; allowed: a date such as 2026-10-15")
    return text
