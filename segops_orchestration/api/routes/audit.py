"""Who changed what in the tenant."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from segops_orchestration.api.gate import Admin
from segops_orchestration.api.paging import Page, Paging
from segops_orchestration.catalog.people_records import AuditEntry

router = APIRouter(prefix="/audit", tags=["team"])


class Entry(BaseModel):
    """One change: ``action`` is a noun and a verb, ``target`` what was changed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": 12,
                    "at": "2026-03-01T12:00:00.000Z",
                    "actor_kind": "person",
                    "actor": "ada@example.com",
                    "action": "team.role",
                    "target": "bob@example.com",
                    "details": {"from": "member", "to": "admin"},
                }
            ]
        }
    )

    id: int
    at: datetime
    actor_kind: Literal["person", "key", "operator"]
    actor: str
    action: str
    target: str
    details: dict[str, Any]


@router.get("/")
def every(scope: Admin, paging: Paging) -> Page[Entry]:
    """Changes of the tenant's team and keys, newest first. They hold no secrets."""
    entries, count = scope.catalog.audit_page(paging.offset, paging.size)
    return paging.answer([_shown(entry) for entry in entries], count)


def _shown(entry: AuditEntry) -> Entry:
    return Entry(
        id=entry.id,
        at=entry.at,
        actor_kind=entry.actor.kind,
        actor=entry.actor.name,
        action=entry.action,
        target=entry.target,
        details=dict(entry.details),
    )
