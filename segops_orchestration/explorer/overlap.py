"""Which segments have members in common: the pairs with the most of them.

Each user becomes one number with a bit for every segment that the user is in. Users with equal numbers are counted
together, and a pair's overlap is the sum over the numbers that have both bits: what is read is one pass over the
members, and what follows does not depend on how many segments a user is in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from segops_orchestration.compute.session import memory_settings
from segops_orchestration.explorer.session import look_settings
from segops_orchestration.warehouse.client import TenantWarehouse

# As many bits as a number has. With more segments the largest are compared.
MOST_SEGMENTS = 64
MOST_PAIRS = 20
_MAX_SECONDS = 60
_BYTES_PER_USER = 200

# Users are told apart by a hash of 64 bits, which takes a third of the memory and time of their ids: among a hundred
# million users two may share one. Who is in one segment alone is in no pair.
_MASKS = """SELECT mask, count() AS users
  FROM (
    SELECT groupBitOr(transform(segment_id, {ids:Array(UInt64)}, {bits:Array(UInt64)}, toUInt64(0))) AS mask
    FROM segment_memberships FINAL
    WHERE segment_id IN {ids:Array(UInt64)} AND cityHash64(user_id) % {buckets:UInt64} = {bucket:UInt64}
    GROUP BY cityHash64(user_id)
  )
  WHERE bitAnd(mask, mask - 1) != 0
  GROUP BY mask"""
# For each bit the users of all bits among those who have it.
_SUMS = f"""SELECT {{sums}}
FROM (
  SELECT mask, arrayMap(bit -> if(bitTest(mask, bit), users, 0), range({{segments:UInt8}})) AS counts
  FROM ({_MASKS})
)"""


# Rows that are not merged yet among them, so rather too many.
_USERS = "SELECT sum(rows) FROM system.parts WHERE database = {database:String} AND table = 'users' AND active"


@dataclass(frozen=True)
class Overlap:
    """Two segments, by id, and how many users are in both."""

    a: int
    b: int
    users: int


def overlaps(warehouse: TenantWarehouse, members: Mapping[int, int]) -> list[Overlap]:
    """The pairs with the most members in common, the most first.

    Args:
        members: how many members each segment has; more than ``MOST_SEGMENTS`` leave out the smallest.

    Raises:
        WarehouseError: ClickHouse refused, could not be reached, or it took too long.
    """
    ids = sorted(sorted((one for one in members if members[one]), key=lambda one: (-members[one], one))[:MOST_SEGMENTS])
    if len(ids) < 2:
        return []
    sums = ", ".join(f"sumForEachIf(counts, bitTest(mask, {bit}))" for bit in range(len(ids)))
    bound = {"ids": ids, "bits": [1 << bit for bit in range(len(ids))], "segments": len(ids)}
    buckets = -(-_most_users(warehouse, members, ids) * _BYTES_PER_USER // warehouse.query_memory)
    counts: Counter[tuple[int, int]] = Counter()
    for bucket in range(buckets):
        parts = {**bound, "buckets": buckets, "bucket": bucket}
        (row,) = warehouse.query(_SUMS.replace("{sums}", sums), parts, _settings(warehouse)).result_rows
        counts.update({(a, b): int(row[a][b]) for a, b in combinations(range(len(ids)), 2) if len(row[a]) > b})
    found = [Overlap(ids[a], ids[b], users) for (a, b), users in counts.items() if users]
    return sorted(found, key=lambda pair: (-pair.users, pair.a, pair.b))[:MOST_PAIRS]


def _most_users(warehouse: TenantWarehouse, members: Mapping[int, int], ids: Sequence[int]) -> int:
    """No more users than this are in any of the segments."""
    ((known,),) = warehouse.query(_USERS, {"database": warehouse.database}, _settings(warehouse)).result_rows
    return max(1, min(sum(members[one] for one in ids), int(known)))


def _settings(warehouse: TenantWarehouse) -> dict[str, object]:
    """A whole computation's memory: it is worked out once for all who ask. What does not fit is divided beforehand."""
    return {
        **look_settings(warehouse, "overlap"),
        **memory_settings(warehouse.query_memory),
        "max_execution_time": _MAX_SECONDS,
    }
