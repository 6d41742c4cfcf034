"""Event ids: read from a column, or derived from the file's content and the row.

A derived id is an RFC 9562 version 8 UUID: 82 bits of SHA-256 over the file's content digest and the identity mapping,
and 40 bits of row number at the end. Two equal rows of a file are two events, the same file loaded again gives the same
ids, and among events of one time and one load the order of ids is the order of rows (ClickHouse compares the second
half of a UUID first; there only the row number differs within a file).

An id that is not a UUID becomes one as RFC 9562 version 5 says, under ``NAMESPACE``: other tools reach the same id with
``uuid.uuid5(NAMESPACE, text)``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np

from segops_orchestration.warehouse.ingest.arrays import Bools, Bytes2D, Ints, by_length

# uuid5(NAMESPACE_URL, "segops:event_id")
NAMESPACE = UUID("403f5c59-5c8b-568c-ab8a-4aad0604cd56")
ROW_LIMIT = 1 << 40


@dataclass(frozen=True)
class RowIds:
    """Derives the ids of one file's rows."""

    template: bytes

    @classmethod
    def of(cls, content_digest: bytes, identity: bytes) -> RowIds:
        """Ids of the file with this content digest, read with this identity mapping (``Roles.identity``)."""
        seed = bytearray(hashlib.sha256(content_digest + identity).digest()[:16])
        seed[6] = (seed[6] & 0x0F) | 0x80
        seed[8] = (seed[8] & 0x3F) | 0x80
        return cls(bytes(seed[:11]))

    def derive(self, rows: Ints) -> Bytes2D:
        """The ids of these rows (each below 2^40), as an (n, 16) array in the byte order of their text."""
        ids = np.empty((len(rows), 16), np.uint8)
        ids[:, :11] = np.frombuffer(self.template, np.uint8)
        ids[:, 11:] = rows.astype(">u8").view(np.uint8).reshape(-1, 8)[:, 3:]
        return ids

    def between(self, first: int, last: int) -> tuple[UUID, UUID]:
        """The ids of two rows."""
        low, high = self.derive(np.array([first, last], np.int64))
        return UUID(bytes=low.tobytes()), UUID(bytes=high.tobytes())


_NIBBLES = np.full(256, 255, np.uint8)
for _value, _chars in enumerate(["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "aA", "bB", "cC", "dD", "eE", "fF"]):
    for _char in _chars:
        _NIBBLES[ord(_char)] = _value
_HYPHENS = (8, 13, 18, 23)
_DIGITS_36 = np.array([place for place in range(36) if place not in _HYPHENS])


# Of rows that all have an id already.
NO_ROW_IDS = RowIds.of(b"", b"")


def given_ids(texts: Any, into: Bytes2D, wanted: Bools) -> None:
    """Write the ids of the wanted texts into an (n, 16) array: a UUID as it is, any other text as version 5."""
    left = wanted.copy()
    for where, chars in by_length(texts, 36):
        if chars.shape[1] not in (32, 36):
            continue
        hexed = np.ones(len(where), np.bool_)
        if chars.shape[1] == 36:
            for place in _HYPHENS:
                hexed &= chars[:, place] == ord("-")
            chars = chars[:, _DIGITS_36]
        nibbles = _NIBBLES[chars]
        hexed &= (nibbles < 16).all(axis=1) & wanted[where]
        into[where[hexed]] = (nibbles[hexed, 0::2] << 4) | nibbles[hexed, 1::2]
        left[where[hexed]] = False
    _named_ids(texts, into, left)


def _named_ids(texts: Any, into: Bytes2D, left: Bools) -> None:
    where = np.flatnonzero(left)
    if not len(where):
        return
    start = hashlib.sha1(NAMESPACE.bytes, usedforsecurity=False)
    digests = []
    for text in texts.take(where).to_pylist():
        digest = start.copy()
        digest.update(text.encode())
        digests.append(digest.digest()[:16])
    ids = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16).copy()
    ids[:, 6] = (ids[:, 6] & 0x0F) | 0x50
    ids[:, 8] = (ids[:, 8] & 0x3F) | 0x80
    into[where] = ids
