"""Cursors: where a list goes on. Opaque, and good only for the list that they came from."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json

from segops_orchestration.api.errors import FieldErrors
from segops_orchestration.api.services import Services

_MAC_BYTES = 16


def cursor_after(services: Services, tenant: str, listed: str, last: str) -> str:
    """The cursor of what comes after ``last`` in a list of the tenant's."""
    content = json.dumps(last).encode()
    mac = _mac(services.tokens.cursor_keys[0], tenant, listed, content)
    return base64.urlsafe_b64encode(mac + content).decode().rstrip("=")


def read_cursor(services: Services, tenant: str, listed: str, cursor: str) -> str:
    """What the list goes on after. Raises FieldErrors when the cursor is not one of this list."""
    try:
        raw = base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
    except (binascii.Error, ValueError):
        raise _refused() from None
    mac, content = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    keys = services.tokens.cursor_keys
    if not any(hmac.compare_digest(mac, _mac(key, tenant, listed, content)) for key in keys):
        raise _refused()
    last = json.loads(content)
    assert isinstance(last, str)
    return last


def _mac(key: bytes, tenant: str, listed: str, content: bytes) -> bytes:
    # Neither a tenant's slug nor the list's name has a NUL in it.
    return hmac.digest(key, f"{tenant}\0{listed}\0".encode() + content, hashlib.sha256)[:_MAC_BYTES]


def _refused() -> FieldErrors:
    return FieldErrors({"cursor": ["not a cursor of this list; send next_cursor as it came, or nothing to begin"]})
