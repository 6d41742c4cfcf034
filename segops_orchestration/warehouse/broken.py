"""Results that break off after their first bytes: the last chunk then is the server's reason, not data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from segops_orchestration.errors import WarehouseError

_STREAM_CHUNK_BYTES = 1 << 20


def chunks_of(response: Any, slug: str) -> Iterator[bytes]:
    """The chunks of a result. The last one is held back: when the result breaks off, it is the server's reason."""
    from urllib3.exceptions import HTTPError

    held = b""
    try:
        for chunk in response.stream(_STREAM_CHUNK_BYTES):
            if held:
                yield held
            held = chunk
    except (HTTPError, OSError) as error:
        reason = _reason(held, response.headers.get("X-ClickHouse-Exception-Tag", ""))
        raise WarehouseError(f"{slug}: the result broke off before its end: {reason}") from error
    if held:
        yield held


def _reason(chunk: bytes, tag: str) -> str:
    """The message that ClickHouse (25.11 and later) puts between tagged marks at the end of a broken result."""
    _, marked, rest = chunk.partition(b"__exception__\r\n" + tag.encode() + b"\r\n")
    message = rest.rpartition(b"\n" + b"__exception__")[0].rpartition(b"\n")[0].decode(errors="replace").strip()
    return message if tag and marked and message else "the connection was closed"
