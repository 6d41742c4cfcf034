from __future__ import annotations

from typing import Any

import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.connector_records import SyncCounts
from segops_orchestration.errors import Conflict, ConnectorBusy, InvalidDocument, NotFound
from segops_orchestration_tests.catalog.helpers import NOON, Clock, connect, document, save, spec


def test_a_connector_knows_its_segment_and_the_names_of_its_secrets(vip: Catalog) -> None:
    made = vip.connectors.create("acme", spec(hold_share=0.5), {"api_key": "pk_123"})

    assert vip.connectors.get("acme", "vip-klaviyo") == made
    assert (made.tenant, made.segment, made.segment_name, made.segment_status) == (
        "acme",
        "vip",
        "Big spenders",
        "active",
    )
    assert (made.type, made.config, made.secrets) == ("klaviyo", {"list_id": "A"}, ("api_key",))
    assert (made.status, made.status_reason) == ("active", "")
    assert (made.hold_share, made.hold_users, made.when_archived) == (0.5, 100, "leave")
    assert (made.created_at, made.updated_at) == (NOON, NOON)


def test_no_record_holds_a_secret(vip: Catalog) -> None:
    assert "pk_123" not in repr(connect(vip))


def test_connectors_are_listed_by_tenant_and_slug(vip: Catalog) -> None:
    vip.create_tenant("beta")
    save(vip, document("new"))
    save(vip, document("vip"), tenant="beta")
    for slug, segment in (("b", "vip"), ("a", "new")):
        connect(vip, slug, segment)
    vip.connectors.create("beta", spec("c"))

    assert [one.slug for one in vip.connectors.every("acme")] == ["a", "b"]
    assert [one.slug for one in vip.connectors.every("acme", segment="vip")] == ["b"]
    assert [(one.tenant, one.slug, one.secrets) for one in vip.connectors.every()] == [
        ("acme", "a", ("api_key",)),
        ("acme", "b", ("api_key",)),
        ("beta", "c", ()),
    ]


def test_connectors_of_archived_tenants_are_left_out_of_the_list_of_all(vip: Catalog) -> None:
    connect(vip)
    vip.archive_tenant("acme")

    assert vip.connectors.every() == []
    assert [one.slug for one in vip.connectors.every("acme")] == ["vip-klaviyo"]


def test_a_slug_is_used_once_in_a_tenant(vip: Catalog) -> None:
    connect(vip)

    with pytest.raises(Conflict, match="connector 'vip-klaviyo' of tenant 'acme' exists already"):
        connect(vip)


def test_the_segment_must_exist(vip: Catalog) -> None:
    with pytest.raises(NotFound, match="no segment 'vpi' in tenant 'acme'; did you mean 'vip'"):
        connect(vip, segment="vpi")


def test_an_archived_segment_or_tenant_takes_no_new_connector(vip: Catalog) -> None:
    vip.archive_segment("acme", "vip")
    with pytest.raises(Conflict, match="segment 'vip' of tenant 'acme' is archived"):
        connect(vip)

    vip.archive_tenant("acme")
    with pytest.raises(Conflict, match="tenant 'acme' is archived"):
        connect(vip)


def test_a_connector_sees_that_its_segment_was_archived_or_edited(vip: Catalog) -> None:
    made = connect(vip)
    save(vip, document("vip", orders=9))
    vip.archive_segment("acme", "vip")

    after = vip.connectors.get("acme", "vip-klaviyo")
    assert (made.segment_version, after.segment_version) == (1, 2)
    assert after.segment_status == "archived"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slug": "VIP"}, "slug: 'VIP' is not allowed; 1 to 63 lower case letters"),
        ({"hold_share": 30}, "hold share: found 30; allowed: a share from 0 to 1, as 0.3 for 30 %"),
        ({"hold_users": -1}, "hold users: found -1; allowed: a number of users, 0 or more"),
    ],
)
def test_what_a_connector_cannot_be_is_refused(vip: Catalog, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidDocument) as failure:
        vip.connectors.create("acme", spec(**changes))

    assert str(failure.value).startswith(message)


def test_an_unknown_connector_is_named_with_the_nearest(vip: Catalog) -> None:
    with pytest.raises(NotFound, match="it has none yet: segops connectors create"):
        vip.connectors.get("acme", "vip-klavio")
    connect(vip)
    with pytest.raises(NotFound, match="did you mean 'vip-klaviyo'"):
        vip.connectors.get("acme", "vip-klavio")


# Saving


def test_saving_creates_updates_or_changes_nothing(vip: Catalog, clock: Clock) -> None:
    def outcome(*arguments: Any) -> str:
        clock.move(1)
        [saved] = vip.connectors.save("acme", [arguments])
        return saved.outcome

    assert outcome(spec(), {"api_key": "pk_1"}) == "created"
    assert outcome(spec(), {"api_key": "pk_1"}) == "unchanged"
    assert outcome(spec(), {}) == "unchanged"
    assert outcome(spec(), {"api_key": "pk_2"}) == "updated"
    assert outcome(spec(config={"list_id": "A", "revision": "2026-10-15"}), {}) == "updated"
    assert outcome(spec(config={"list_id": "A", "revision": "2026-10-15"}, when_archived="empty"), {}) == "updated"


def test_saving_keeps_the_secrets_that_are_not_given(vip: Catalog) -> None:
    connect(vip)

    [saved] = vip.connectors.save("acme", [(spec(hold_users=5), {})])

    assert vip.connectors.secrets(saved.connector) == {"api_key": "pk_123"}


def test_a_save_that_is_refused_saves_nothing_of_it(vip: Catalog) -> None:
    with pytest.raises(NotFound):
        vip.connectors.save("acme", [(spec("a"), {}), (spec("b", segment="nobody"), {})])

    assert vip.connectors.every("acme") == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"type": "braze"}, "has type 'klaviyo', not 'braze'"), ({"segment": "new"}, "has segment 'vip', not 'new'")],
)
def test_type_and_segment_stay(vip: Catalog, changes: dict[str, Any], said: str) -> None:
    save(vip, document("new"))
    connect(vip)

    with pytest.raises(Conflict, match=said):
        vip.connectors.save("acme", [(spec(**changes), {})])


# Status


def test_a_status_carries_its_reason(vip: Catalog, clock: Clock) -> None:
    connect(vip)
    clock.move(5)

    after = vip.connectors.set_status("acme", "vip-klaviyo", "error", "401: the key is wrong")

    assert (after.status, after.status_reason) == ("error", "401: the key is wrong")
    assert after.updated_at > after.created_at


def test_a_status_is_left_alone_when_somebody_has_changed_it_meanwhile(vip: Catalog) -> None:
    connect(vip)
    vip.connectors.pause("acme", "vip-klaviyo", "holiday")

    after = vip.connectors.set_status("acme", "vip-klaviyo", "error", "401", only_from=("active", "held"))

    assert (after.status, after.status_reason) == ("paused", "holiday")


@pytest.mark.parametrize("status", ["paused", "error"])
def test_a_connector_that_was_paused_or_stopped_is_resumed(vip: Catalog, status: Any) -> None:
    connect(vip)
    vip.connectors.set_status("acme", "vip-klaviyo", status, "why")

    after = vip.connectors.resume("acme", "vip-klaviyo")

    assert (after.status, after.status_reason) == ("active", "")


def test_resuming_and_pausing_twice_is_once(vip: Catalog) -> None:
    connect(vip)

    assert vip.connectors.resume("acme", "vip-klaviyo").status == "active"
    vip.connectors.pause("acme", "vip-klaviyo", "first")
    assert vip.connectors.pause("acme", "vip-klaviyo", "second").status_reason == "first"


def test_a_connector_that_is_being_deleted_is_neither_paused_nor_resumed(vip: Catalog) -> None:
    connect(vip)
    vip.connectors.set_status("acme", "vip-klaviyo", "deleting")

    for change in (vip.connectors.pause, vip.connectors.resume):
        with pytest.raises(Conflict, match="is being deleted"):
            change("acme", "vip-klaviyo")


# Deleting


def test_deleting_takes_everything_of_the_connector_and_frees_its_slug(vip: Catalog) -> None:
    first = connect(vip)
    lease = vip.connectors.acquire_lease("acme", "vip-klaviyo", "host:1")
    sync = vip.connectors.begin_sync("acme", "vip-klaviyo", "sync", lease=lease)
    vip.connectors.open_job(sync.id, "b1", "job 1", lease=lease)
    vip.connectors.finish_sync(sync.id, "succeeded", SyncCounts(added=3), lease=lease)

    deleted = vip.connectors.delete("acme", "vip-klaviyo", lease=lease)

    assert deleted.slug == "vip-klaviyo"
    assert vip.connectors.every("acme") == []
    again = connect(vip)
    assert again.id > first.id
    assert vip.connectors.list_syncs("acme") == []


def test_a_connector_that_somebody_syncs_is_not_deleted(vip: Catalog, clock: Clock) -> None:
    connect(vip)
    vip.connectors.acquire_lease("acme", "vip-klaviyo", "run abc", ttl_seconds=60)

    with pytest.raises(ConnectorBusy, match="is being synced by run abc"):
        vip.connectors.delete("acme", "vip-klaviyo")
    clock.move(60)
    vip.connectors.delete("acme", "vip-klaviyo")
