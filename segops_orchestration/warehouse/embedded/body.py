"""The body of an HTTP request as a stream of decoded bytes."""

from __future__ import annotations

import sys
import time
import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, Protocol

from segops_orchestration.warehouse.embedded.errors import BadRequest, ClientGone

CHUNK_BYTES = 256 * 1024
_DRAIN_SECONDS = 30.0


class RawBody(Protocol):
    """What the HTTP server hands over: reads exactly ``size`` bytes unless the body ends first."""

    def read(self, size: int, /) -> bytes: ...


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def _lz4() -> Any:
    return import_module("lz4.frame").LZ4FrameDecompressor()


def _zstd() -> Any:
    # The standard library has it from Python 3.14 on; clickhouse-connect brings the backport before that.
    name = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    return import_module(name).ZstdDecompressor()


_DECODERS: dict[str, Callable[[], Any]] = {
    "gzip": lambda: zlib.decompressobj(wbits=31),
    "deflate": zlib.decompressobj,
    "lz4": _lz4,
    "zstd": _zstd,
}


class Body:
    """A request body: read it in chunks, undo its Content-Encoding, notice when it was cut short.

    Args:
        raw: the HTTP server's reader.
        length: the declared Content-Length; None for chunked transfer encoding, which marks its own end.
        encoding: Content-Encoding, or an empty text.
    """

    def __init__(self, raw: RawBody, length: int | None, encoding: str) -> None:
        if encoding and encoding not in _DECODERS:
            allowed = ", ".join(sorted(_DECODERS))
            raise BadRequest(f"Content-Encoding {encoding!r} is not supported; allowed are {allowed}")
        self._raw = raw
        self._left = length
        self._make_decoder = _DECODERS.get(encoding)
        self._decoder: _Decoder | None = None
        self._pushed_back = b""
        self.finished = length == 0

    def chunks(self) -> Iterator[bytes]:
        """Decoded bytes until the end.

        Raises:
            ClientGone: the connection ended before the body did.
            BadRequest: the body is not in the declared encoding.
        """
        if self._pushed_back:
            first, self._pushed_back = self._pushed_back, b""
            yield first
        while raw := self._read_raw():
            if decoded := self._decode(raw):
                yield decoded
        if self._decoder is not None and not self._decoder.eof:
            raise BadRequest("the compressed body ends in the middle of a frame")

    def push_back(self, data: bytes) -> None:
        """Give back decoded bytes: they are read again first."""
        self._pushed_back = data + self._pushed_back

    def read_all(self) -> bytes:
        """All that is left, decoded."""
        return b"".join(self.chunks())

    def drain(self) -> bool:
        """Read what is left and forget it, for a while; whether the end was reached.

        A client that is still sending doesn't look for our answer, and closing on it would lose the answer.
        """
        deadline = time.monotonic() + _DRAIN_SECONDS
        try:
            while not self.finished and time.monotonic() < deadline:
                self._read_raw()
        except ClientGone:
            return False
        return self.finished

    def _read_raw(self) -> bytes:
        if self.finished:
            return b""
        try:
            data = self._raw.read(CHUNK_BYTES if self._left is None else min(CHUNK_BYTES, self._left))
            if self._left is None and len(data) < CHUNK_BYTES:
                self._finish_chunked()
        except (OSError, ValueError) as error:
            raise ClientGone("the request's body was cut short") from error
        if self._left is not None:
            if not data:
                raise ClientGone("the request's body was cut short")
            self._left -= len(data)
            self.finished = self._left == 0
        return data

    def _finish_chunked(self) -> None:
        # Trailer lines belong to this request; left in the socket they would look like the next one.
        trailer: Any = getattr(self._raw, "read_trailer_lines", None)
        if trailer is not None:
            for _ in trailer():
                pass
        self.finished = True

    def _decode(self, data: bytes) -> bytes:
        if self._make_decoder is None:
            return data
        decoded: list[bytes] = []
        while data:
            if self._decoder is None or self._decoder.eof:
                decoder: _Decoder = self._make_decoder()
                self._decoder = decoder
            try:
                decoded.append(self._decoder.decompress(data))
            except (zlib.error, RuntimeError, ValueError, EOFError, OSError) as error:
                raise BadRequest(f"the body is not in the declared Content-Encoding: {error}") from error
            data = (self._decoder.unused_data or b"") if self._decoder.eof else b""
        return b"".join(decoded)
