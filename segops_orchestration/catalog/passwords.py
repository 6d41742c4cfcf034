"""Passwords: what is allowed, and how they are stored and compared (Argon2id, RFC 9106)."""

from __future__ import annotations

import secrets
import threading
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

from segops_orchestration.errors import InvalidDocument, Problem

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 256

# 19 MiB, two passes, one lane: a login costs about 30 ms and bounded memory
# (https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html).
_MEMORY_KIB = 19_456
_PASSES = 2
_LANES = 1
# So many at once; others wait. A flood of logins must not take all cores and memory.
_AT_ONCE = threading.BoundedSemaphore(2)


def check_password(password: str, email: str, field: str = "password") -> None:
    """Refuse a password that is too easily guessed, or none. It is not repeated in the message.

    Raises:
        InvalidDocument: what is allowed.
    """
    fault = _fault(password, email)
    if fault is not None:
        raise InvalidDocument([Problem(field, fault)])


def hash_password(password: str) -> str:
    """What is stored in place of a password. Argon2id, with its parameters and a salt of its own."""
    with _AT_ONCE:
        return _hasher().hash(_bytes(password))


def is_right(stored: str | None, password: str) -> bool:
    """Whether this is the password that was stored. None, nothing stored, takes as long and is never right."""
    from argon2.exceptions import InvalidHashError, VerificationError

    with _AT_ONCE:
        try:
            _hasher().verify(_nobodys() if stored is None else stored, _bytes(password))
        except (VerificationError, InvalidHashError):
            return False
    return stored is not None


def is_outdated(stored: str) -> bool:
    """Whether it was stored with other parameters than those of today."""
    return _hasher().check_needs_rehash(stored)


def _fault(password: str, email: str) -> str | None:
    if len(password) < SHORTEST_PASSWORD:
        return f"has {len(password)} characters; at least {SHORTEST_PASSWORD} are needed"
    if len(password) > LONGEST_PASSWORD:
        return f"has {len(password)} characters; at most {LONGEST_PASSWORD} are allowed"
    if any(unicodedata.category(one) in ("Cc", "Cs") for one in password):
        return "has control characters or halves of characters; any others are allowed"
    if len(set(password)) < 5:
        return "repeats a few characters; at least 5 different ones are needed"
    if email and email.partition("@")[0] in password.lower() and len(password) < 2 * SHORTEST_PASSWORD:
        return "holds the name of the email address; choose one that does not"
    return None


def _bytes(password: str) -> bytes:
    # The same key may make é as one character or as two. Halves of characters (surrogates) are nobody's password.
    return unicodedata.normalize("NFKC", password[: 4 * LONGEST_PASSWORD]).encode(errors="replace")


@cache
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=_LANES)


@cache
def _nobodys() -> str:
    return _hasher().hash(secrets.token_bytes(32))
