"""Checks of a connector's config: each gives back the value to store, or raises ValueError saying what is allowed."""

from __future__ import annotations

import ipaddress
import re
from typing import Any
from urllib.parse import urlsplit

from segops_orchestration.activation.safe_targets import (
    ALLOW_PRIVATE_VARIABLE,
    parse_target,
    private_targets_allowed,
)

_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(\.\w+)?")


def http_address(value: Any) -> str:
    """The address of an API: scheme and host, perhaps a path. A key goes there, so it is https unless it stays here."""
    text = str(value).strip().rstrip("/")
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or "@" in text:
        raise ValueError(f"found {value!r}; allowed: an address such as https://host, without user, query or fragment")
    if parts.scheme == "http" and not _is_this_machine(parts.hostname) and not private_targets_allowed():
        raise ValueError(
            f"found {value!r}, which would send the key in plain text; allowed: https://, or http:// to this machine"
            f" ({ALLOW_PRIVATE_VARIABLE}=1 allows http:// anywhere)"
        )
    return text


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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


def positive_id(value: Any) -> int:
    """A number that a platform has given."""
    return _whole_number(value, 1, 2**63 - 1)


def requests_per_second(value: Any) -> int:
    """A rate that is somebody's to choose."""
    return _whole_number(value, 1, 1_000)


def users_per_request(value: Any) -> int:
    """The size of a batch that is somebody's to choose."""
    return _whole_number(value, 1, 10_000)


def target_url(value: Any) -> str:
    """A URL that requests are posted to, exactly as it is."""
    text = str(value).strip()
    parse_target(text)
    return text


def _whole_number(value: Any, least: int, most: int) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not text.isascii() or not text.isdigit() or not least <= int(text[:20]) <= most:
        upper = f"{least} to {most:,}" if most < 2**31 else f"{least} or more"
        raise ValueError(f"found {value!r}; allowed: a whole number, {upper}")
    return int(text)


def yes_or_no(value: Any) -> bool:
    """A setting that is on or off; the command line gives it as a word."""
    word = str(value).strip().lower()
    if word not in ("true", "yes", "on", "false", "no", "off"):
        raise ValueError(f"found {value!r}; allowed: true or false")
    return word in ("true", "yes", "on")
