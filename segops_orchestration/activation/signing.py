"""Signatures of what goes to other people's addresses: Standard Webhooks' (v1) and the product's own.

Two headers say the same thing to two kinds of receivers. ``webhook-signature`` covers the id and the time, so that a
recorded request cannot be sent again later under another id; ``X-SegOps-Signature`` covers the body alone.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets as random

PREFIX = "whsec_"
# Standard Webhooks: 24 to 64 bytes of randomness.
_KEY_BYTES = 32
_LEAST_KEY_BYTES = 24
_LEAST_CHARACTERS = 16


def new_secret() -> str:
    """A random secret in the form that the libraries of Standard Webhooks take: ``whsec_`` and base64."""
    return PREFIX + base64.b64encode(random.token_bytes(_KEY_BYTES)).decode()


def check_secret(value: object) -> str:
    """A secret that one may sign with.

    Raises:
        ValueError: what is allowed; never the secret itself.
    """
    if not isinstance(value, str) or len(value) < _LEAST_CHARACTERS:
        raise ValueError(f"must be a text of at least {_LEAST_CHARACTERS} characters, or {PREFIX} and base64")
    if value.startswith(PREFIX):
        try:
            key = base64.b64decode(value.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            raise ValueError(f"what follows {PREFIX} must be base64") from None
        if len(key) < _LEAST_KEY_BYTES:
            raise ValueError(f"what follows {PREFIX} must be base64 of at least {_LEAST_KEY_BYTES} bytes")
    return value


def signed_headers(secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of one attempt to deliver a message.

    Args:
        message_id: the same for every attempt.
        timestamp: of this attempt, in Unix seconds.
        body: exactly the bytes that are sent.
    """
    content = b".".join((message_id.encode(), str(timestamp).encode(), body))
    signature = base64.b64encode(hmac.digest(_key(secret), content, hashlib.sha256)).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
        "X-SegOps-Signature": "sha256=" + hmac.digest(secret.encode(), body, hashlib.sha256).hex(),
    }


def _key(secret: str) -> bytes:
    """Standard Webhooks signs with the bytes behind the prefix; a secret of another form is its own text."""
    if secret.startswith(PREFIX):
        return base64.b64decode(secret.removeprefix(PREFIX))
    return secret.encode()
