from __future__ import annotations

import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.errors import Conflict, InvalidDocument, NotFound
from segops_orchestration_tests.catalog.helpers import NOON, Clock, begin, commit, document, save


def test_a_created_tenant_is_active_and_can_be_read_back(catalog: Catalog) -> None:
    created = catalog.create_tenant("acme", "Acme Inc.")

    assert (created.slug, created.name, created.status, created.created_at) == ("acme", "Acme Inc.", "active", NOON)
    assert catalog.get_tenant("acme") == created


def test_a_tenant_without_a_name_is_called_by_its_slug(catalog: Catalog) -> None:
    assert catalog.create_tenant("acme").name == "acme"


def test_tenants_are_listed_by_slug(catalog: Catalog) -> None:
    for slug in ("zeta", "acme", "mid_2"):
        catalog.create_tenant(slug)

    assert [tenant.slug for tenant in catalog.list_tenants()] == ["acme", "mid_2", "zeta"]


@pytest.mark.parametrize("slug", ["ab", "a1", "a_", "acme_shop_2", "a" * 39])
def test_a_slug_that_can_name_a_database_is_allowed(catalog: Catalog, slug: str) -> None:
    assert catalog.create_tenant(slug).slug == slug


@pytest.mark.parametrize(
    "slug", ["", "a", "a" * 40, "Acme", "1acme", "_acme", "ac-me", "ac me", "acme\n", "acmé", "a.b", "a/b", "а" * 4]
)
def test_any_other_slug_is_refused_with_the_rule(catalog: Catalog, slug: str) -> None:
    with pytest.raises(InvalidDocument, match=r"tenant slug: .* is not allowed; 2 to 39 characters"):
        catalog.create_tenant(slug)

    assert catalog.list_tenants() == []


def test_a_slug_in_use_is_a_conflict(acme: Catalog) -> None:
    with pytest.raises(Conflict, match="tenant 'acme' exists already"):
        acme.create_tenant("acme")


def test_the_slug_of_an_archived_tenant_stays_in_use(acme: Catalog) -> None:
    acme.archive_tenant("acme")

    with pytest.raises(Conflict, match="tenant 'acme' is archived; segops tenants restore acme"):
        acme.create_tenant("acme")


def test_an_unknown_tenant_is_not_found_and_the_nearest_spelling_named(acme: Catalog) -> None:
    with pytest.raises(NotFound) as failure:
        acme.get_tenant("acne")

    assert str(failure.value) == "no tenant 'acne'; did you mean 'acme'?"


def test_where_no_tenant_exists_the_message_says_how_to_create_one(catalog: Catalog) -> None:
    with pytest.raises(NotFound, match=r"there are none yet .*SEGOPS_HOME.*: segops tenants create SLUG"):
        catalog.get_tenant("acme")


def test_an_archived_tenant_is_listed_only_when_asked_for(acme: Catalog) -> None:
    acme.create_tenant("beta")

    acme.archive_tenant("acme")

    assert [tenant.slug for tenant in acme.list_tenants()] == ["beta"]
    assert [(tenant.slug, tenant.status) for tenant in acme.list_tenants(include_archived=True)] == [
        ("acme", "archived"),
        ("beta", "active"),
    ]


def test_an_archived_tenant_refuses_everything_that_begins_something_new(acme: Catalog) -> None:
    [vip] = save(acme, document("vip"))
    acme.archive_tenant("acme")

    with pytest.raises(Conflict, match="tenant 'acme' is archived"):
        save(acme, document("new"))
    with pytest.raises(Conflict, match="tenant 'acme' is archived"):
        acme.archive_segment("acme", "vip")
    with pytest.raises(Conflict, match="tenant 'acme' is archived"):
        acme.acquire_lease("acme", "host:1")
    with pytest.raises(Conflict, match="tenant 'acme' is archived"):
        begin(acme, vip)
    assert [segment.slug for segment in acme.list_segments("acme")] == ["vip"]


def test_a_computation_under_way_may_end_after_its_tenant_was_archived(acme: Catalog) -> None:
    [vip] = save(acme, document("vip"))
    computation = begin(acme, vip)
    acme.archive_tenant("acme")

    commit(acme, computation, vip)

    assert acme.finish_computation(computation.id, "succeeded").status == "succeeded"


def test_a_restored_tenant_works_as_before(acme: Catalog) -> None:
    acme.archive_tenant("acme")

    assert acme.restore_tenant("acme").status == "active"
    assert [segment.slug for segment in save(acme, document("vip"))] == ["vip"]


def test_archiving_an_archived_tenant_changes_nothing(acme: Catalog, clock: Clock) -> None:
    archived = acme.archive_tenant("acme")
    clock.move(60)

    assert acme.archive_tenant("acme") == archived


def test_an_unknown_tenant_cannot_be_archived(catalog: Catalog) -> None:
    with pytest.raises(NotFound):
        catalog.archive_tenant("acme")
