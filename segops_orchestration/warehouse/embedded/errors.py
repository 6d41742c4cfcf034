"""What can go wrong with one request, in ClickHouse's terms: a code, a name, an HTTP status.

Codes are ClickHouse's own (``SELECT * FROM system.errors`` lists them).
"""

from __future__ import annotations

import re

_CODE = re.compile(r"Code: (\d+)\.")
_NAME = re.compile(r"\(([A-Z][A-Z0-9_]+)\)")
_STATUS_BY_CODE = {
    60: 404,  # UNKNOWN_TABLE
    62: 400,  # SYNTAX_ERROR
    81: 404,  # UNKNOWN_DATABASE
    159: 408,  # TIMEOUT_EXCEEDED
    516: 401,  # AUTHENTICATION_FAILED
}


class ClientGone(Exception):
    """The client closed the connection; there is nobody to answer."""


class EngineError(Exception):
    """ClickHouse refused or failed a statement.

    Attributes:
        code: ClickHouse's error code.
        name: its name, such as ``SYNTAX_ERROR``.
        status: the HTTP status to answer with.
    """

    def __init__(self, message: str) -> None:
        # chdb puts words of its own before the engine's message.
        start = message.find("Code: ")
        text = message[start:].strip() if start >= 0 else message.strip()
        super().__init__(text)
        code = _CODE.search(text)
        names = _NAME.findall(text)
        self.code = int(code.group(1)) if code else 1001
        self.name = names[-1] if names else "STD_EXCEPTION"
        self.status = _STATUS_BY_CODE.get(self.code, 500)


class BadRequest(EngineError):
    """The request itself is wrong, before any SQL ran."""

    def __init__(self, message: str) -> None:
        super().__init__(f"Code: 36. DB::Exception: {message}. (BAD_ARGUMENTS)")
        self.status = 400


class WrongPassword(EngineError):
    """User or password do not match."""

    def __init__(self) -> None:
        super().__init__(
            "Code: 516. DB::Exception: Authentication failed: password is incorrect, or there is no such user. "
            "(AUTHENTICATION_FAILED)"
        )


class SessionLocked(EngineError):
    """Another query of the same session is running."""

    def __init__(self) -> None:
        super().__init__("Code: 373. DB::Exception: Session is locked by a concurrent client. (SESSION_IS_LOCKED)")
