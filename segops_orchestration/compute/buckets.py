"""A pass over all users in buckets, so many that each fits into the memory of one query."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from segops_orchestration.compute.session import ComputeSession
from segops_orchestration.dsl.models import Definition
from segops_orchestration.dsl.references import iter_conditions
from segops_orchestration.errors import QueryMemoryExceeded

# What a user takes on the server while a definition is evaluated, at its peak. Measured with 500,000 users of 8 events:
# 134 to 402 bytes for one condition of most kinds, 1,074 to 1,610 for eight, 805 for a strict sequence, which holds
# the users' histories.
BYTES_PER_USER = 200
BYTES_PER_USER_AND_CONDITION = 150
MOST_BUCKETS = 1 << 14

Evaluate = Callable[[int, int], int]
TakeBack = Callable[[int, int], None]


def count_users(session: ComputeSession) -> int:
    """About how many users the tenant has. A user can have several rows until they are merged."""
    ((users,),) = session.rows("SELECT uniq(user_id) FROM users")
    return int(users)


def first_buckets(session: ComputeSession, users: int, definitions: Iterable[Definition]) -> int:
    """Into how many buckets to divide so many users. A guess: those that do not fit are divided again."""
    conditions = sum(1 for definition in definitions for _ in iter_conditions(definition))
    needed = users * (BYTES_PER_USER + conditions * BYTES_PER_USER_AND_CONDITION)
    return min(MOST_BUCKETS, max(1, -(-needed // session.query_memory)))


def in_buckets(what: str, buckets: int, evaluate: Evaluate, take_back: TakeBack) -> int:
    """Evaluate each of ``buckets`` buckets; a bucket is ``(number, of how many)``. Returns the sum of the results.

    A user is in a bucket when the hash of the id leaves its number as the remainder, so bucket b of n holds just the
    users of the buckets b and b + n of 2 n. When one did not fit, what it had written is taken back, and it and all
    that are left are divided in two.

    Raises:
        QueryMemoryExceeded: the smallest buckets do not fit either.
    """
    total = 0
    left = [(number, buckets) for number in reversed(range(buckets))]
    while left:
        number, of = left.pop()
        try:
            total += evaluate(number, of)
        except QueryMemoryExceeded as error:
            take_back(number, of)
            if of * 2 > MOST_BUCKETS:
                raise QueryMemoryExceeded(
                    f"{what}: even one of {of:,} parts of the users does not fit into the memory of a query; "
                    f"raise SEGOPS_MAX_QUERY_MEMORY (or SEGOPS_WAREHOUSE_MEMORY, when that is what is full). {error}"
                ) from error
            left = [(part, of * 2) for rest, _ in [*left, (number, of)] for part in (rest + of, rest)]
    return total
