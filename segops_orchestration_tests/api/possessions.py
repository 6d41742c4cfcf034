"""One of each thing that a tenant can have, each with a mark in its name that nobody else's has."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from segops_orchestration_tests.api.calling import Caller, Tenant
from segops_orchestration_tests.api.people import account, membership_id

MARK = "zzvictimzz"


def definition_of(event_type: str) -> dict[str, Any]:
    """Whoever has such an event."""
    condition = {"type": "event_count", "event_type": event_type, "operator": "gte", "value": 1}
    return {"logic": "AND", "conditions": [condition]}


@dataclass(frozen=True)
class Possessions:
    """A tenant, and by name of parameter or field what a stranger would put there to reach its things."""

    tenant: Tenant
    owner: Caller
    values: Mapping[str, Any]


def acquire(tenant: Tenant) -> Possessions:
    """Make one of each, through the API."""
    admin = tenant.admin_key
    user = f"{MARK}-user"
    segment = admin.post("segments/", {"name": MARK, "definition": definition_of(MARK)}, status=201)["id"]
    admin.post("ingestion/track/", {"user_id": user, "event_type": MARK, "payload": {"what": MARK}}, status=202)
    schema = admin.post("schemas/", {"event_type": f"{MARK}_schema", "properties": []}, status=201)["id"]
    config = {"url": "https://example.com/hook", "secret": MARK * 3}
    activation = admin.post(
        "activations/", {"segment": segment, "connector_type": "webhook", "config": config}, status=201
    )["id"]
    hook = admin.post("webhooks/", {"url": f"https://example.com/{MARK}"}, status=201)["id"]
    export = admin.post(f"segments/{segment}/export/", {"format": "csv"}, status=202)["export_id"]
    owner = account(tenant.api, tenant, "owner", MARK).caller()
    member = account(tenant.api, tenant, "viewer", f"{MARK}2")
    key = owner.post("auth/api-keys/", {"name": MARK}, status=201)["id"]
    values = {
        "segment_id": segment,
        "segment": segment,
        "version": 1,
        "user_id": user,
        "anonymous_id": user,
        "from_user_id": user,
        "into_user_id": f"{user}-2",
        "schema_id": schema,
        "activation_id": activation,
        "webhook_id": hook,
        "export_id": export,
        "member_id": membership_id(tenant, member),
        "key_id": key,
        "tenant": tenant.slug,
        "tenant_slug": tenant.slug,
        # What a stranger makes up: the mark is only in what the tenant has.
        "email": f"sent-{secrets.token_hex(6)}@example.com",
        "name": "sent",
        "description": "sent",
        "definition": definition_of("sent"),
        "role": "viewer",
        "status": "inactive",
        "properties": [],
        "event_type": "sent",
        "format": "csv",
        "event_types": ["segment.recomputed"],
        "token": "sent",
    }
    return Possessions(tenant, owner, values)
