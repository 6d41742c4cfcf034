from __future__ import annotations

from collections.abc import Iterator

import pytest

from segops_orchestration.activation import notices
from segops_orchestration.activation.sandbox.server import SandboxServer
from segops_orchestration.activation.sandbox.webhook import SECRET, WebhookSandbox
from segops_orchestration.activation.signing import PREFIX, check_secret
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.records import CommittedCounts, PlannedSegment, StagedCounts
from segops_orchestration_tests.catalog.helpers import NOON, document, save
from segops_orchestration_tests.cli.conftest import Segops
from segops_orchestration_tests.cli.shop import ORDERED, Shop


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebhookSandbox]:
    monkeypatch.setenv("SEGOPS_ALLOW_PRIVATE_TARGETS", "1")
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    yield (sandbox := WebhookSandbox(path="/", per_second=1_000))
    assert sandbox.violations == []


@pytest.fixture
def url(receiver: WebhookSandbox) -> Iterator[str]:
    with SandboxServer(receiver) as server:
        yield server.url + "/"


@pytest.fixture
def acme(catalog: Catalog, slug: str) -> str:
    """A tenant with the segment vip."""
    catalog.create_tenant(slug)
    save(catalog, document("vip"), tenant=slug)
    return slug


def change(catalog: Catalog, tenant: str) -> None:
    """A computation that changes vip."""
    vip = catalog.get_segment(tenant, "vip")
    computation = catalog.begin_computation(
        tenant,
        mode="full",
        at=NOON,
        watermark_block=1,
        watermark_at=None,
        owner="host:1",
        run_id=None,
        segments=[PlannedSegment(vip.id, vip.version, "full", "asked for")],
    )
    catalog.mark_staged(computation.id, [StagedCounts(vip.id, candidates=1, entered=1, exited=0, rows_read=1)])
    catalog.commit_segments(computation.id, [CommittedCounts(vip.id, members=1, milliseconds=1)])
    catalog.finish_computation(computation.id, "succeeded")


def create(segops: Segops, tenant: str, url: str) -> int:
    endpoint: int = segops("webhooks", "create", tenant, url, "--secret", "env:HOOK_SECRET", "--json").json["id"]
    return endpoint


def test_create_makes_a_secret_and_shows_it_once(segops: Segops, catalog: Catalog, acme: str) -> None:
    answer = segops("webhooks", "create", acme, "https://example.com/hook", "--json").json

    assert answer["secret"].startswith(PREFIX)
    assert check_secret(answer["secret"]) == catalog.webhooks.secret(acme, answer["id"])
    assert segops("webhooks", "list", acme, "--json").json[0]["secret"] == "***"
    assert answer["secret"] not in segops("webhooks", "list", acme).out


def test_a_given_secret_is_not_shown(segops: Segops, acme: str, url: str) -> None:
    answer = segops("webhooks", "create", acme, url, "--secret", "env:HOOK_SECRET")

    assert (answer.exit_code, SECRET in answer.out) == (0, False)


def test_a_secret_on_the_command_line_is_refused_and_not_repeated(segops: Segops, acme: str) -> None:
    answer = segops("webhooks", "create", acme, "https://example.com/", "--secret", "hunter2hunter2hunter2")

    assert answer.exit_code == 2
    assert "hunter2" not in answer.out + answer.err


def test_a_variable_that_is_not_set_is_told(segops: Segops, acme: str) -> None:
    answer = segops("webhooks", "create", acme, "https://example.com/", "--secret", "env:NOT_THERE")

    assert answer.err == "Error: secret: the environment variable NOT_THERE is not set\n"


def test_a_weak_secret_is_told(segops: Segops, acme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEAK", "hunter2")
    answer = segops("webhooks", "create", acme, "https://example.com/", "--secret", "env:WEAK")

    assert answer.err.startswith("Error: secret, from WEAK: must be a text of at least 16 characters")


def test_a_url_that_cannot_be_posted_to_is_told(segops: Segops, acme: str) -> None:
    answer = segops("webhooks", "create", acme, "ftp://example.com/")

    assert answer.err == "Error: url: begins with 'ftp'; allowed: https://, http://\n"


def test_creating_it_again_is_an_error_unless_one_is_content(segops: Segops, acme: str) -> None:
    segops("webhooks", "create", acme, "https://example.com/")

    assert segops("webhooks", "create", acme, "https://example.com/").exit_code == 1
    again = segops("webhooks", "create", acme, "https://example.com/", "--if-not-exists", "--json")
    assert (again.exit_code, again.json["created"], "secret" in again.json) == (0, False, False)


def test_list_says_how_to_begin(segops: Segops, acme: str) -> None:
    assert f"segops webhooks create {acme} URL" in segops("webhooks", "list", acme).out


def test_test_reaches_the_receiver(segops: Segops, acme: str, url: str, receiver: WebhookSandbox) -> None:
    endpoint = create(segops, acme, url)

    assert segops("webhooks", "test", acme, str(endpoint)).out == f"{url} answered 200\n"
    receiver.misbehave("refuse", status=404)
    answer = segops("webhooks", "test", acme, str(endpoint))
    assert (answer.exit_code, "answered 404" in answer.out) == (1, True)


def test_send_tells_what_was_committed(
    segops: Segops, catalog: Catalog, acme: str, url: str, receiver: WebhookSandbox
) -> None:
    create(segops, acme, url)
    change(catalog, acme)

    assert segops("webhooks", "send", acme).out == "1 delivered, 0 not.\n"
    assert receiver.notices[0]["segment_slug"] == "vip"
    assert segops("webhooks", "list", acme, "--json").json[0]["delivered_at"]


def test_a_computation_that_changes_nobody_is_not_told(
    segops: Segops, shop: Shop, url: str, receiver: WebhookSandbox
) -> None:
    shop.define("buyers", ORDERED)
    create(segops, shop.slug, url)
    shop.orders("ann", "ben")
    for _ in range(2):
        assert segops("compute", shop.slug).exit_code == 0
        assert segops("webhooks", "send", shop.slug).exit_code == 0

    [notice] = receiver.notices
    assert (notice["segment_slug"], notice["member_count"]) == ("buyers", 2)
    assert (notice["entered"], notice["exited"]) == (2, 0)


def test_a_message_that_does_not_arrive_is_listed_and_can_be_redelivered(
    segops: Segops,
    catalog: Catalog,
    acme: str,
    url: str,
    receiver: WebhookSandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notices, "PAUSES", ())
    create(segops, acme, url)
    change(catalog, acme)
    receiver.misbehave("500")

    assert segops("webhooks", "send", acme).exit_code == 1
    [dead] = segops("webhooks", "deliveries", acme, "--status", "dead", "--json").json
    assert (dead["status"], dead["attempts"], dead["last_status"]) == ("dead", 1, 500)
    assert "internal error" in segops("webhooks", "deliveries", acme).out
    answer = segops("webhooks", "redeliver", acme, "--dead", "--json").json
    assert (answer["delivered"], answer["redelivered"]) == (1, [dead["message_id"]])
    assert segops("webhooks", "redeliver", acme, dead["message_id"]).exit_code == 0
    assert len(receiver.notices) == 1


def test_redeliver_wants_to_know_what(segops: Segops, acme: str) -> None:
    assert segops("webhooks", "redeliver", acme).exit_code == 2


def test_a_disabled_endpoint_is_shown_and_can_be_enabled(
    segops: Segops, catalog: Catalog, acme: str, url: str, receiver: WebhookSandbox
) -> None:
    endpoint = create(segops, acme, url)
    change(catalog, acme)
    receiver.misbehave("gone")
    segops("webhooks", "send", acme)

    assert "410" in segops("webhooks", "list", acme).out
    assert segops("webhooks", "enable", acme, str(endpoint), "--json").json["status"] == "active"


def test_delete(segops: Segops, acme: str) -> None:
    created = segops("webhooks", "create", acme, "https://example.com/", "--json").json

    assert segops("webhooks", "delete", acme, str(created["id"])).exit_code == 0
    assert segops("webhooks", "list", acme, "--json").json == []
    assert segops("webhooks", "delete", acme, str(created["id"])).exit_code == 1
