"""All memberships of a tenant in memory, as they were after one computation of each segment, and brought on from there.

Users are known by 16 bytes of the SHA-256 of their id, in order, so that 10 million memberships of a million users take
150 MB and one is found in 20 microseconds. What later computations changed lies beside, by user.

What is here is right or is said not to be: every segment has a stamp, the computation that its members come from and
how many they are. After loading, and after each change, the members that were counted here must be as many as the
stamp says. Changes are those that committed computations wrote down, which nothing alters later; what else takes users
out of segments, joining and erasing them, corrects the number of members, and so makes a new stamp that no change
explains: then everything is to be loaded again.
"""

from __future__ import annotations

import hashlib
import io
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from segops_orchestration.compute.session import memory_settings
from segops_orchestration.warehouse.client import TenantWarehouse

# What one membership takes at most: its segment and instant, and a user who is in no other segment.
BYTES_PER_MEMBERSHIP = 12 + 24
# With more changed users than this it is better to load everything again.
MOST_CHANGED = 50_000

_HASH = "toFixedString(substring(SHA256(user_id), 1, 16), 16)"
_LOAD = f"""SELECT {_HASH} AS user_hash, toUInt32(segment_id) AS segment, toUnixTimestamp64Milli(computed_at) AS at
FROM segment_memberships FINAL
ORDER BY user_hash"""
_CHANGES = f"""SELECT {_HASH}, segment_id, change = 'entered', toUnixTimestamp64Milli(computed_at), computation_id
FROM membership_changes
WHERE segment_id IN {{segment_ids:Array(UInt64)}} AND computation_id IN {{computation_ids:Array(UInt64)}}
ORDER BY computation_id
LIMIT {{limit:UInt64}}"""
_GENTLY = {"max_threads": 1, "max_execution_time": 600}
_BYTES_PER_CHANGED = 600
_BUFFER_BYTES = 1 << 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Entries = Mapping[int, datetime]
_Integers = npt.NDArray[np.uint64]


class Stamp(NamedTuple):
    """Which computation a segment's members come from, and how many they are."""

    computation_id: int
    members: int


class Change(NamedTuple):
    """One user entered or left one segment."""

    user: bytes
    segment_id: int
    entered: bool
    milliseconds: int


class Stale(Exception):
    """What is in memory does not fit the stamps; load it again."""


@dataclass(frozen=True)
class MembershipSnapshot:
    """Never altered: bringing it on makes another one, which shares the arrays.

    Attributes:
        stamps: by segment; what is asked about others is not known here.
        high, low: halves of the users' hashes, ordered by both.
        starts: where a user's entries begin; one more than there are users.
        segments, instants: of each entry, milliseconds since 1970.
        changed: all entries of the users who were changed since the arrays were loaded.
    """

    stamps: Mapping[int, Stamp]
    high: _Integers
    low: _Integers
    starts: npt.NDArray[np.int64]
    segments: npt.NDArray[np.uint32]
    instants: npt.NDArray[np.int64]
    changed: Mapping[bytes, Entries] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes in memory, about."""
        arrays = (self.high, self.low, self.starts, self.segments, self.instants)
        return sum(one.nbytes for one in arrays) + len(self.changed) * _BYTES_PER_CHANGED

    def fits(self, stamps: Mapping[int, Stamp]) -> bool:
        """Whether it knows the members of these segments as they are now."""
        return all(self.stamps.get(segment) == stamp for segment, stamp in stamps.items())

    def entries(self, user_id: str) -> Entries:
        """The segments that the user is in, each with the instant of the computation that let them in."""
        return self._entries(hashlib.sha256(user_id.encode(errors="replace")).digest()[:16])

    def _entries(self, user: bytes) -> Entries:
        changed = self.changed.get(user)
        if changed is not None:
            return changed
        high, low = struct.unpack(">QQ", user)
        at = int(np.searchsorted(self.high, np.uint64(high)))
        while at < len(self.high) and int(self.high[at]) == high:
            if int(self.low[at]) == low:
                entries = slice(int(self.starts[at]), int(self.starts[at + 1]))
                pairs = zip(self.segments[entries].tolist(), self.instants[entries].tolist(), strict=True)
                return {segment: _instant(milliseconds) for segment, milliseconds in pairs}
            at += 1
        return {}

    def brought_on(self, changes: Iterable[Change], stamps: Mapping[int, Stamp]) -> MembershipSnapshot:
        """After changes to segments that are known here.

        Raises:
            Stale: a segment is not known, the changes do not lead to these stamps, or have become too many.
        """
        if not stamps.keys() <= self.stamps.keys():
            raise Stale
        changed: dict[bytes, Entries] = dict(self.changed)
        members = {segment: self.stamps[segment].members for segment in stamps}
        for change in changes:
            before = changed[change.user] if change.user in changed else self._entries(change.user)
            after = {segment: at for segment, at in before.items() if segment != change.segment_id}
            if change.entered:
                after[change.segment_id] = _instant(change.milliseconds)
            members[change.segment_id] += len(after) - len(before)
            changed[change.user] = after
        if len(changed) > MOST_CHANGED or any(members[segment] != stamp.members for segment, stamp in stamps.items()):
            raise Stale
        return replace(self, stamps={**self.stamps, **stamps}, changed=changed)


def load_snapshot(database: TenantWarehouse, stamps: Mapping[int, Stamp]) -> MembershipSnapshot:
    """Load all memberships. The caller makes sure that nobody changes them meanwhile.

    Raises:
        Stale: there are not as many members as the stamps say.
        WarehouseError: ClickHouse refused or could not be reached.
    """
    hashes, segments, instants = _columns(database)
    new_user = np.ones(len(hashes), dtype=bool)
    new_user[1:] = (hashes[1:] != hashes[:-1]).any(axis=1)
    first = np.flatnonzero(new_user)
    counted = Counter(dict(zip(*(one.tolist() for one in np.unique(segments, return_counts=True)), strict=True)))
    if any(counted[segment] != stamp.members for segment, stamp in stamps.items()):
        raise Stale
    return MembershipSnapshot(
        dict(stamps),
        np.ascontiguousarray(hashes[first, 0]),
        np.ascontiguousarray(hashes[first, 1]),
        np.append(first, len(hashes)),
        segments,
        instants,
    )


def changes_of(database: TenantWarehouse, computations: Mapping[int, Sequence[int]]) -> list[Change]:
    """What committed computations changed, the earliest first.

    Args:
        computations: which of them computed a segment, by segment.

    Raises:
        Stale: too much.
        WarehouseError: ClickHouse refused or could not be reached.
    """
    wanted = {(segment, computation) for segment, found in computations.items() for computation in found}
    bound = {
        "segment_ids": sorted(computations),
        "computation_ids": sorted({computation for _, computation in wanted}),
        "limit": MOST_CHANGED + 1,
    }
    rows = database.query(_CHANGES, bound, memory_settings(database.query_memory)).result_rows
    if len(rows) > MOST_CHANGED:
        raise Stale
    return [
        Change(bytes(user), segment, bool(entered), milliseconds)
        for user, segment, entered, milliseconds, computation in rows
        if (segment, computation) in wanted
    ]


def _columns(database: TenantWarehouse) -> tuple[_Integers, npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """Hashes as two numbers a row, segments and instants of all memberships, by hash."""
    hashes: list[_Integers] = []
    segments: list[npt.NDArray[np.uint32]] = []
    instants: list[npt.NDArray[np.int64]] = []
    settings = {**memory_settings(database.query_memory), **_GENTLY}
    with database.stream_bytes(_LOAD, fmt="ArrowStream", settings=settings) as chunks:
        for batch in pa.ipc.open_stream(io.BufferedReader(_Reader(chunks), _BUFFER_BYTES)):
            hashes.append(_numbers(batch.column(0)))
            segments.append(batch.column(1).to_numpy())
            instants.append(batch.column(2).to_numpy())
    if not hashes:
        return np.empty((0, 2), np.uint64), np.empty(0, np.uint32), np.empty(0, np.int64)
    return np.concatenate(hashes), np.concatenate(segments), np.concatenate(instants)


def _numbers(column: Any) -> _Integers:
    """The halves of each hash of a column, which are numbers with the first byte the highest."""
    _, data = column.buffers()
    halves = np.frombuffer(data, dtype=">u8", count=2 * len(column), offset=16 * column.offset)
    return halves.reshape(-1, 2).astype(np.uint64)


class _Reader(io.RawIOBase):
    """Chunks as a file to read from."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._held = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill some of the buffer; 0 at the end."""
        while not self._held:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._held = memoryview(chunk)
        part = self._held[: len(buffer)]
        buffer[: len(part)] = part
        self._held = self._held[len(part) :]
        return len(part)


def _instant(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)
