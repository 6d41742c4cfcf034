"""Signed tokens: access tokens of people (JWT, 60 minutes), session tokens of public keys, links to downloads."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Literal

from segops_orchestration.catalog.secret_box import SecretBox

TokenKind = Literal["access", "session", "download"]
ACCESS_LIFETIME = timedelta(minutes=60)
_ALGORITHM = "HS256"


class InvalidToken(Exception):
    """A token that is malformed, expired, of another kind, or not signed by us."""


class ExpiredToken(InvalidToken):
    """A token of ours that was valid once."""


class TokenSigner:
    """Makes and reads tokens. Keys come from the installation's secret key, one for each kind of token.

    While the secret key is being rotated, tokens signed with the older one stay valid until they expire.
    """

    def __init__(self, secrets_of: SecretBox) -> None:
        self._secrets = secrets_of

    def sign(self, kind: TokenKind, claims: Mapping[str, Any], lifetime: timedelta) -> tuple[str, datetime]:
        """A token with these claims, and when it expires."""
        import jwt

        now = datetime.now(UTC)
        expires = now + lifetime
        content = {**claims, "typ": kind, "iat": now, "exp": expires, "jti": secrets.token_hex(8)}
        return jwt.encode(content, self._keys[kind][0], _ALGORITHM), expires

    def read(self, kind: TokenKind, token: str) -> dict[str, Any]:
        """A token's claims.

        Raises:
            InvalidToken: why it opens nothing; ExpiredToken where that is all.
        """
        import jwt

        for key in self._keys[kind]:
            try:
                claims: dict[str, Any] = jwt.decode(
                    token, key, [_ALGORITHM], options={"require": ["exp", "iat", "typ", "jti"]}
                )
            except jwt.InvalidSignatureError:
                continue
            except jwt.ExpiredSignatureError:
                raise ExpiredToken("the token has expired") from None
            except jwt.InvalidTokenError:
                break
            if claims["typ"] == kind:
                return claims
        raise InvalidToken("the token is not valid")

    @cached_property
    def cursor_keys(self) -> list[bytes]:
        """What signs cursors, newest first."""
        return self._secrets.signing_keys("cursor")

    @cached_property
    def _keys(self) -> dict[TokenKind, list[bytes]]:
        kinds: tuple[TokenKind, ...] = ("access", "session", "download")
        return {kind: self._secrets.signing_keys(kind) for kind in kinds}
