"""Which ids are one person's."""

from __future__ import annotations

from segops_orchestration.warehouse.client import TenantWarehouse

_ROOT = "SELECT root FROM identities FINAL WHERE user_id = {user_id:String}"
_IDS = "SELECT user_id FROM identities FINAL WHERE root = {root:String} ORDER BY user_id"


def canonical_id(database: TenantWarehouse, user_id: str) -> str:
    """The id that stands for the person in segments: the id itself, unless it was said to be another's."""
    rows = database.query(_ROOT, {"user_id": user_id}).result_rows
    return str(rows[0][0]) if rows else user_id


def ids_of_person(database: TenantWarehouse, user_id: str) -> list[str]:
    """All ids of the person who has this one, the one that stands for them first."""
    root = canonical_id(database, user_id)
    return [root, *(one for (one,) in database.query(_IDS, {"root": root}).result_rows if one != root)]
