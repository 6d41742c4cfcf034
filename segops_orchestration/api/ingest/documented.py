"""What the OpenAPI document says of bodies of events: they are read as text, not by models."""

from __future__ import annotations

from typing import Any

from segops_orchestration.api.ingest.body import BATCH_EVENTS
from segops_orchestration.warehouse.ingest.limits import EVENT_ID_CHARACTERS, EVENT_TYPE_CHARACTERS, USER_ID_CHARACTERS

_EVENT: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["user_id", "event_type"],
    "properties": {
        "user_id": {
            "type": "string",
            "minLength": 1,
            "maxLength": USER_ID_CHARACTERS,
            "description": "Whose event it is. A session token puts its own user here, whatever is sent.",
        },
        "event_type": {
            "type": "string",
            "pattern": "^[a-z][a-z0-9_]*$",
            "maxLength": EVENT_TYPE_CHARACTERS,
            "description": "What happened, in snake_case.",
        },
        "occurred_at": {
            "type": ["string", "null"],
            "format": "date-time",
            "description": "When, in ISO 8601 (without a zone: UTC), 1970 to 2200. Left out: when it is received.",
        },
        "payload": {
            "type": ["object", "null"],
            "description": "Its properties, up to 256 KiB; kept as they are written.",
        },
        "event_id": {
            "type": ["string", "null"],
            "minLength": 1,
            "maxLength": EVENT_ID_CHARACTERS,
            "description": "A UUID or any text. Sent again with the same id, the event changes nothing.",
        },
    },
}
_EXAMPLE = {
    "user_id": "u-123",
    "event_type": "order_placed",
    "occurred_at": "2026-03-01T10:00:00Z",
    "payload": {"order_id": "o-1", "total": 42.5},
    "event_id": "o-1",
}


def one() -> dict[str, Any]:
    """The body of a single call."""
    return _body({**_EVENT, "examples": [_EXAMPLE]})


def batch() -> dict[str, Any]:
    """The body of a batch."""
    events = {"type": "array", "maxItems": BATCH_EVENTS, "items": _EVENT}
    schema = {
        "type": "object",
        "additionalProperties": False,
        "required": ["events"],
        "properties": {"events": events},
        "examples": [{"events": [_EXAMPLE]}],
    }
    return _body(schema)


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
