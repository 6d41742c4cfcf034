"""Ids that are one person's, told over the API."""

from __future__ import annotations

import pytest
from segops_admin import SegOpsAdmin

from segops_orchestration.compute.compute import compute
from segops_orchestration.compute.identities import canonical_id
from segops_orchestration_tests.api.calling import Tenant


def alias(tenant: Tenant, anonymous_id: str, user_id: str, status: int = 200) -> dict[str, object]:
    answer: dict[str, object] = tenant.admin_key.post(
        "identity/alias/", {"anonymous_id": anonymous_id, "user_id": user_id}, status=status
    )
    return answer


def test_the_first_alias_wins_and_a_merge_has_the_last_word(tenant: Tenant) -> None:
    first, second = alias(tenant, "anon", "ann"), alias(tenant, "anon", "ben")
    assert (first["status"], first["user_id"], first["conflict"]) == ("joined", "ann", False)
    assert (second["status"], second["user_id"], second["conflict"]) == ("kept", "ann", True)
    merged = tenant.admin_key.post("identity/merge/", {"from_user_id": "anon", "into_user_id": "ben"})
    assert (merged["status"], merged["user_id"], merged["previous_user_id"]) == ("moved", "ben", "ann")


def test_saying_it_again_changes_nothing(tenant: Tenant) -> None:
    alias(tenant, "anon", "ann")
    assert alias(tenant, "anon", "ann")["status"] == "already joined"


def test_what_was_tracked_before_counts_for_the_user(tenant: Tenant) -> None:
    key = tenant.admin_key
    for user in ("anon", "ann"):
        key.post("ingestion/track/", {"user_id": user, "event_type": "order"}, status=202)
    condition = {"type": "event_count", "event_type": "order", "operator": "gte", "value": 2}
    definition = {"logic": "AND", "conditions": [condition]}
    segment = key.post("segments/", {"name": "Twice", "definition": definition}, status=201)["id"]
    alias(tenant, "anon", "ann")
    compute(tenant.api.catalog, tenant.api.services.warehouse, tenant.slug)
    assert [one["user_id"] for one in key.get(f"segments/{segment}/members/")["results"]] == ["ann"]
    assert [one["id"] for one in key.get("segments/membership/", params={"user_id": "anon"})["segments"]] == [segment]
    assert key.get("explorer/users/anon/")["user_id"] == "ann"
    assert key.get("explorer/users/anon/events/")["count"] == 2


@pytest.mark.parametrize(
    ("anonymous_id", "user_id", "field"),
    [("", "ann", "anonymous_id"), ("a", "b" * 513, "user_id"), ("a\0", "ann", "anonymous_id"), ("a", "a", "user_id")],
)
def test_what_is_no_user_id_is_refused_by_its_field(
    anonymous_id: str, user_id: str, field: str, tenant: Tenant
) -> None:
    assert field in alias(tenant, anonymous_id, user_id, status=400)


def test_the_published_client_joins_ids(tenant: Tenant) -> None:
    key = tenant.admin_key.headers["Authorization"].removeprefix("ApiKey ")
    client = SegOpsAdmin(key, base_url=tenant.api.url)
    client.identity.alias("anon", "ann")
    assert client.identity.merge("ann", "ben")["user_id"] == "ben"
    assert canonical_id(tenant.database, "anon") == "ben"


def test_who_only_reads_joins_nobody(tenant: Tenant) -> None:
    tenant.key("viewer").post("identity/merge/", {"from_user_id": "a", "into_user_id": "b"}, status=403)
