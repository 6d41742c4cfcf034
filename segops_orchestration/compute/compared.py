"""The evaluated answer for a segment side by side with its stored members."""

from __future__ import annotations

from collections.abc import Sequence

_COMPARED = """(
  SELECT user_id, sum(now_in) AS is_in, sum(was_in) AS was
  FROM (
    SELECT user_id, 1 AS now_in, 0 AS was_in FROM (
{members}
    )
    UNION ALL
    SELECT user_id, 0 AS now_in, 1 AS was_in FROM segment_memberships FINAL
    WHERE {current}
  )
  GROUP BY user_id
)"""


def compared_with_stored(members: str, user_filters: Sequence[str]) -> str:
    """A relation of ``user_id``, ``is_in`` and ``was``, both 0 or 1, of every user with either.

    Args:
        members: a SELECT of the users of the evaluated answer.
        user_filters: which users' stored memberships to read, for the segment ``{segment_id}``.
    """
    current = " AND ".join(["segment_id = {segment_id:UInt64}", *user_filters])
    return _COMPARED.format(members=members, current=current)
