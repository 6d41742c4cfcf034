"""Activations through the published client: what they show, who may change them, and that members arrive."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from segops_admin import SegOpsAdmin, SegOpsApiError

from segops_orchestration.activation.sandbox.braze import BrazeSandbox
from segops_orchestration.activation.sandbox.server import SandboxServer
from segops_orchestration.api.activation_config import split_change
from segops_orchestration.api.routes import activations as activations_module
from segops_orchestration.catalog.connector_records import Connector
from segops_orchestration_tests.api.calling import Tenant
from segops_orchestration_tests.api.explored import client, event, orders, story

SECRET = "pk_0123456789abcdef0123456789abcdef"
KLAVIYO = {"list_id": "Y6nRLr", "api_key": SECRET}
CONTRACT: dict[str, dict[str, Any]] = {
    "klaviyo": KLAVIYO,
    "braze": {"rest_endpoint": "https://rest.iad-01.braze.com", "api_key": SECRET, "segment_id": "group-1"},
    "talonone": {"base_url": "https://acme.europe-west1.talon.one", "api_key": SECRET, "audience_id": 42},
    "webhook": {"url": "https://example.com/hooks/segops", "secret": SECRET},
}


@pytest.fixture
def admin(tenant: Tenant) -> SegOpsAdmin:
    story(tenant).define({"buyers": orders(1)})
    return client(tenant)


def segment_of(tenant: Tenant) -> int:
    return tenant.api.catalog.get_segment(tenant.slug, "buyers").id


def made(tenant: Tenant, admin: SegOpsAdmin, type_: str = "klaviyo", **config: Any) -> dict[str, Any]:
    body = {"segment": segment_of(tenant), "connector_type": type_, "config": {**CONTRACT[type_], **config}}
    return admin.activations.create(body)


def refused(work: Callable[[], object]) -> SegOpsApiError:
    with pytest.raises(SegOpsApiError) as caught:
        work()
    return caught.value


# -- what they are -------------------------------------------------------------------------------------------


def test_each_type_takes_the_contract_s_config_and_shows_it_with_its_secret_masked(
    tenant: Tenant, admin: SegOpsAdmin
) -> None:
    for type_, config in CONTRACT.items():
        activation = made(tenant, admin, type_)
        secret = "secret" if type_ == "webhook" else "api_key"
        assert activation["config"] == {**config, secret: "***"}
        assert (activation["connector_type"], activation["status"]) == (type_, "inactive")
        assert (activation["last_synced_at"], activation["last_error"]) == (None, None)
        assert admin.activations.get(activation["id"])["config"] == activation["config"]
    listed = admin.activations.list()
    assert listed["count"] == len(CONTRACT)
    assert SECRET not in str(listed)


def test_the_secret_is_sealed_in_the_catalogue_and_not_in_the_config(tenant: Tenant, admin: SegOpsAdmin) -> None:
    activation = made(tenant, admin)
    connectors = tenant.api.catalog.connectors
    stored = connectors.by_id(tenant.slug, activation["id"])
    assert stored.config == {"list_id": "Y6nRLr"}
    assert connectors.secrets(stored) == {"api_key": SECRET}


def test_slugs_are_made_of_segment_and_type_and_numbered_where_taken(tenant: Tenant, admin: SegOpsAdmin) -> None:
    slugs = [made(tenant, admin)["slug"], made(tenant, admin)["slug"], made(tenant, admin, "talonone")["slug"]]
    assert slugs == ["buyers-klaviyo", "buyers-klaviyo-2", "buyers-talon-one"]


def test_a_webhook_without_a_secret_gets_one_which_is_shown_once(tenant: Tenant, admin: SegOpsAdmin) -> None:
    body = {"segment": "buyers", "connector_type": "webhook", "config": {"url": "https://example.com/hook"}}
    activation = admin.activations.create(body)
    stored = tenant.api.catalog.connectors.by_id(tenant.slug, activation["id"])
    assert tenant.api.catalog.connectors.secrets(stored) == {"secret": activation["generated_secret"]}
    assert "generated_secret" not in admin.activations.get(activation["id"])


def test_a_repeated_request_makes_one_activation_and_keeps_no_secret(tenant: Tenant, admin: SegOpsAdmin) -> None:
    body = {"segment": "buyers", "connector_type": "webhook", "config": {"url": "https://example.com/hook"}}
    again = {"headers": {"Idempotency-Key": "same"}}
    first = tenant.member_key.post("activations/", body, status=201, **again)
    second = tenant.member_key.post("activations/", body, status=201, **again)
    assert (first["id"], second["generated_secret"]) == (second["id"], None)
    assert admin.activations.list()["count"] == 1


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"connector_type": "klavyio"}, "connector_type"),
    ({"config": {"list_id": "Y6nRLr"}}, "config.api_key"),
    ({"config": {"api_key": SECRET}}, "config.list_id"),
    ({"config": {**KLAVIYO, "colour": "red"}}, "config.colour"),
    ({"config": {**KLAVIYO, "api_key": "***"}}, "config.api_key"),
    ({"config": {**KLAVIYO, "api_key": 7}}, "config.api_key"),
    ({"config": {**KLAVIYO, "list_id": "\ud800"}}, "config"),
    ({"config": {**KLAVIYO, "base_url": "https://127.0.0.1:9"}}, "config.base_url"),
    ({"config": {**KLAVIYO, "base_url": "https://169.254.169.254"}}, "config.base_url"),
    ({"config": {**KLAVIYO, "base_url": "HTTP://127.0.0.1:9"}}, "config.base_url"),
    ({"config": {**KLAVIYO, "base_url": "HTTPS://169.254.169.254"}}, "config.base_url"),
    ({"config": []}, "config"),
    ({"segment": True}, "segment."),
    ({"more": 1}, "more"),
]


def test_what_is_wrong_is_said_by_its_path(tenant: Tenant, admin: SegOpsAdmin) -> None:
    for body, path in WRONG:
        whole = {"segment": "buyers", "connector_type": "klaviyo", "config": KLAVIYO, **body}
        error = refused(lambda whole=whole: admin.activations.create(whole))  # type: ignore[misc]
        assert error.status == 400
        assert any(found.startswith(path) for found in error.body), error.body
        assert SECRET not in str(error.body)
    assert admin.activations.list()["count"] == 0


def test_a_segment_that_is_not_there_is_404(tenant: Tenant, other_tenant: Tenant, admin: SegOpsAdmin) -> None:
    story(other_tenant).define({"theirs": orders(1)})
    theirs = other_tenant.api.catalog.get_segment(other_tenant.slug, "theirs").id
    for segment in ("nothing", 2**31 - 1, theirs, "theirs"):
        body = {"segment": segment, "connector_type": "klaviyo", "config": KLAVIYO}
        assert refused(lambda body=body: admin.activations.create(body)).status == 404  # type: ignore[misc]


# -- changing them -------------------------------------------------------------------------------------------


def test_a_change_that_echoes_the_mask_keeps_the_secret_and_another_text_replaces_it(
    tenant: Tenant, admin: SegOpsAdmin
) -> None:
    activation = made(tenant, admin)
    admin.activations.update(activation["id"], {"config": {**activation["config"], "list_id": "Other1"}})
    connectors = tenant.api.catalog.connectors
    stored = connectors.by_id(tenant.slug, activation["id"])
    assert (stored.config["list_id"], connectors.secrets(stored)) == ("Other1", {"api_key": SECRET})
    shown = admin.activations.update(activation["id"], {"config": {"api_key": "pk_another_key_of_klaviyo"}})
    assert shown["config"] == {"list_id": "Other1", "api_key": "***"}
    assert connectors.secrets(stored) == {"api_key": "pk_another_key_of_klaviyo"}


def test_the_query_of_a_webhooks_address_is_not_shown_and_an_echo_keeps_it(tenant: Tenant, admin: SegOpsAdmin) -> None:
    path = f"activations/{made(tenant, admin, 'webhook', url='https://example.com/x?token=abc')['id']}/"
    assert tenant.viewer_key.get(path)["config"]["url"] == "https://example.com/x?***"
    echoed = tenant.viewer_key.get(path)["config"]
    assert tenant.admin_key.call("PATCH", path, {"config": echoed})["config"] == echoed
    stored = tenant.api.catalog.connectors.by_id(tenant.slug, int(path.split("/")[1]))
    assert stored.config["url"] == "https://example.com/x?token=abc"
    elsewhere = {"config": {"url": "https://elsewhere.example/x?***"}}
    assert "config.url" in tenant.admin_key.call("PATCH", path, elsewhere, status=400)


def test_a_stored_secret_is_not_sent_to_another_address_than_it_was_given_for(
    tenant: Tenant, admin: SegOpsAdmin
) -> None:
    activation = made(tenant, admin, "talonone")
    elsewhere = "https://elsewhere.example"
    for config in ({"base_url": elsewhere}, {**activation["config"], "base_url": elsewhere}):
        error = refused(lambda config=config: admin.activations.update(activation["id"], {"config": config}))  # type: ignore[misc]
        assert (error.status, list(error.body)) == (400, ["config.api_key"])
    assert admin.activations.get(activation["id"])["config"] == activation["config"]
    whole = {"base_url": elsewhere, "api_key": "another key"}
    assert admin.activations.update(activation["id"], {"config": whole})["config"]["base_url"] == elsewhere


def test_of_two_changes_at_once_both_stay(tenant: Tenant, admin: SegOpsAdmin, monkeypatch: pytest.MonkeyPatch) -> None:
    activation = made(tenant, admin)["id"]
    others = [{"hold_users": 7}]

    def overtaken(connector: Connector, config: dict[str, Any]) -> Any:
        if others:
            admin.activations.update(activation, others.pop())
        return split_change(connector, config)

    monkeypatch.setattr(activations_module, "split_change", overtaken)
    admin.activations.update(activation, {"config": {"list_id": "Other1"}})
    shown = admin.activations.get(activation)
    assert (shown["hold_users"], shown["config"]["list_id"]) == (7, "Other1")


def test_it_is_started_and_stopped_by_its_status(tenant: Tenant, admin: SegOpsAdmin) -> None:
    activation = made(tenant, admin)
    assert admin.activations.update(activation["id"], {"status": "active"})["status"] == "active"
    assert admin.activations.update(activation["id"], {"status": "inactive"})["status"] == "inactive"
    assert refused(lambda: admin.activations.sync(activation["id"])).status == 409
    assert refused(lambda: admin.activations.update(activation["id"], {"status": "held"})).status == 400


def test_viewers_look_and_change_nothing(tenant: Tenant, admin: SegOpsAdmin) -> None:
    activation = made(tenant, admin)
    viewer = client(tenant, "viewer")
    assert viewer.activations.get(activation["id"])["slug"] == "buyers-klaviyo"
    for work in (
        lambda: viewer.activations.create({"segment": "buyers", "connector_type": "klaviyo", "config": KLAVIYO}),
        lambda: viewer.activations.update(activation["id"], {"status": "active"}),
        lambda: viewer.activations.sync(activation["id"]),
        lambda: viewer.activations.delete(activation["id"]),
    ):
        assert refused(work).status == 403


def test_those_of_another_tenant_are_404(tenant: Tenant, other_tenant: Tenant, admin: SegOpsAdmin) -> None:
    theirs = made(tenant, admin)["id"]
    stranger = other_tenant.admin_key
    stranger.get(f"activations/{theirs}/", status=404)
    stranger.call("PATCH", f"activations/{theirs}/", {"status": "active"}, status=404)
    stranger.post(f"activations/{theirs}/sync/", status=404)
    stranger.post(f"activations/{theirs}/approve/", status=404)
    stranger.get(f"activations/{theirs}/syncs/", status=404)
    stranger.call("DELETE", f"activations/{theirs}/", status=404)
    assert stranger.get("activations/")["count"] == 0
    assert admin.activations.get(theirs)["status"] == "inactive"


def test_what_was_changed_is_in_the_audit_log(tenant: Tenant, admin: SegOpsAdmin) -> None:
    activation = made(tenant, admin)
    admin.activations.update(activation["id"], {"status": "active"})
    admin.activations.update(activation["id"], {"hold_users": 5} | {"config": {"list_id": "Other1"}})
    admin.activations.delete(activation["id"])
    entries = tenant.api.catalog.people.audit_entries(tenant.slug)
    actions = [one.action for one in entries if one.target == "buyers-klaviyo"]
    assert actions == ["connector.delete", "connector.update", "connector.resume", "connector.create"]


def test_a_deleted_one_is_gone(tenant: Tenant, admin: SegOpsAdmin) -> None:
    activation = made(tenant, admin)
    admin.activations.delete(activation["id"])
    assert refused(lambda: admin.activations.get(activation["id"])).status == 404
    assert refused(lambda: admin.activations.delete(activation["id"])).status == 404


# -- delivering ----------------------------------------------------------------------------------------------


@pytest.fixture
def braze(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[BrazeSandbox, dict[str, Any]]]:
    """A stand-in for Braze, and the config that leads there."""
    monkeypatch.setenv("SEGOPS_ALLOW_PRIVATE_TARGETS", "1")
    sandbox = BrazeSandbox()
    with SandboxServer(sandbox) as server:
        key = sandbox.secrets["api_key"]
        yield sandbox, {"rest_endpoint": server.url, "api_key": key, "segment_id": "sandbox-group"}


def ended(tenant: Tenant, activation: int, syncs: int = 1) -> dict[str, Any]:
    """The newest sync, once so many have ended."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = tenant.viewer_key.get(f"activations/{activation}/syncs/")
        if found["count"] >= syncs and found["results"][0]["status"] != "running":
            newest: dict[str, Any] = found["results"][0]
            return newest
        time.sleep(0.1)
    raise AssertionError("the sync did not end")


def test_members_arrive_are_held_back_let_go_and_taken_out(
    tenant: Tenant, admin: SegOpsAdmin, braze: tuple[BrazeSandbox, dict[str, Any]]
) -> None:
    sandbox, config = braze
    told = story(tenant)
    told.ingest([event(f"u{number}") for number in range(10)])
    told.compute()
    activation = made(tenant, admin, "braze", **config)["id"]
    assert admin.activations.sync(activation) == {"status": "queued"}
    first = ended(tenant, activation)
    assert (first["status"], first["added"], first["error_message"]) == ("succeeded", 10, None)
    assert sandbox.members() == {f"u{number}" for number in range(10)}
    shown = admin.activations.get(activation)
    assert (shown["status"], shown["last_error"]) == ("active", None)
    assert shown["last_synced_at"] == first["finished_at"]

    admin.activations.update(activation, {"hold_users": 5})
    told.ingest([event(f"v{number}") for number in range(10)])
    told.compute()
    admin.activations.sync(activation)
    assert ended(tenant, activation, 2)["status"] == "held"
    assert admin.activations.get(activation)["status"] == "held"
    assert len(sandbox.members()) == 10
    assert tenant.member_key.post(f"activations/{activation}/approve/")["status"] == "active"
    admin.activations.sync(activation)
    assert ended(tenant, activation, 3)["added"] == 10
    assert len(sandbox.members()) == 20

    tenant.member_key.call("DELETE", f"activations/{activation}/?audience=empty", status=202)
    deadline = time.monotonic() + 60
    while tenant.viewer_key.send("GET", f"activations/{activation}/").status_code != 404:
        assert time.monotonic() < deadline, admin.activations.get(activation)
        time.sleep(0.1)
    assert sandbox.members() == set()


def test_a_failed_sync_says_why_without_the_secret(
    tenant: Tenant, admin: SegOpsAdmin, braze: tuple[BrazeSandbox, dict[str, Any]]
) -> None:
    sandbox, config = braze
    story(tenant).ingest([event("ada")])
    story(tenant).compute()
    sandbox.misbehave("key_revoked")
    activation = made(tenant, admin, "braze", **config)["id"]
    admin.activations.sync(activation)
    assert ended(tenant, activation)["status"] == "failed"
    shown = admin.activations.get(activation)
    assert shown["status"] == "error"
    assert shown["last_error"]
    assert config["api_key"] not in str(shown)
    assert refused(lambda: admin.activations.sync(activation)).status == 409


def test_while_one_runs_another_is_refused(tenant: Tenant, admin: SegOpsAdmin) -> None:
    activation = made(tenant, admin)
    catalog = tenant.api.catalog.connectors
    lease = catalog.acquire_lease(tenant.slug, "buyers-klaviyo", "somebody", run_id="run-7")
    error = refused(lambda: admin.activations.sync(activation["id"]))
    assert (error.status, error.body["run_id"]) == (409, "run-7")
    assert refused(lambda: admin.activations.delete(activation["id"])).status == 409
    catalog.release_lease(lease)


def test_nothing_to_approve_is_409(tenant: Tenant, admin: SegOpsAdmin) -> None:
    activation = made(tenant, admin)
    tenant.member_key.post(f"activations/{activation['id']}/approve/", status=409)
