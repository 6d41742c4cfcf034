from __future__ import annotations

import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration_tests.cli.conftest import Segops


def test_create_makes_the_tenant_and_its_database(
    segops: Segops, catalog: Catalog, warehouse: Warehouse, slug: str
) -> None:
    answer = segops("tenants", "create", slug, "--name", "Acme Inc.")

    assert answer.exit_code == 0
    assert f"Tenant {slug} is created" in answer.out
    assert catalog.get_tenant(slug).name == "Acme Inc."
    assert warehouse.tenant(slug).query("SELECT count() FROM events").result_rows == [(0,)]


def test_create_prints_json_for_scripts(segops: Segops, slug: str) -> None:
    answer = segops("tenants", "create", slug, "--json").json

    assert (answer["slug"], answer["status"], answer["created"]) == (slug, "active", True)
    assert answer["database"] == f"segops_{slug}"


def test_creating_a_tenant_again_is_an_error(segops: Segops, slug: str) -> None:
    segops("tenants", "create", slug)

    answer = segops("tenants", "create", slug)

    assert (answer.exit_code, answer.out) == (1, "")
    assert answer.err == f"Error: tenant '{slug}' exists already\n"


def test_if_not_exists_is_content_and_repairs_the_database(segops: Segops, warehouse: Warehouse, slug: str) -> None:
    segops("tenants", "create", slug)
    warehouse.tenant(slug).drop()

    answer = segops("tenants", "create", slug, "--if-not-exists", "--json")

    assert (answer.exit_code, answer.json["created"]) == (0, False)
    assert warehouse.tenant(slug).exists()


def test_a_create_that_died_after_the_database_is_completed_by_the_next(
    segops: Segops, catalog: Catalog, warehouse: Warehouse, slug: str
) -> None:
    warehouse.tenant(slug).migrate()

    assert segops("tenants", "create", slug).exit_code == 0

    assert catalog.get_tenant(slug).status == "active"


@pytest.mark.parametrize("wrong", ["Acme", "1acme", "a", "acme-shop", "a/b"])
def test_a_slug_that_is_not_allowed_is_refused_before_anything_is_made(
    segops: Segops, catalog: Catalog, warehouse: Warehouse, wrong: str
) -> None:
    databases = warehouse.tenant_slugs()

    answer = segops("tenants", "create", wrong)

    assert answer.exit_code == 1
    assert answer.err.startswith(f"Error: tenant slug: '{wrong}' is not allowed; 2 to 39 characters")
    assert catalog.list_tenants() == []
    assert warehouse.tenant_slugs() == databases


def test_an_archived_tenant_is_not_created_again(segops: Segops, catalog: Catalog) -> None:
    catalog.create_tenant("acme")
    catalog.archive_tenant("acme")

    answer = segops("tenants", "create", "acme", "--if-not-exists")

    assert answer.exit_code == 1
    assert answer.err == "Error: tenant 'acme' is archived; segops tenants restore acme takes it back\n"


def test_list_shows_active_tenants_and_with_all_the_archived_ones(segops: Segops, catalog: Catalog) -> None:
    catalog.create_tenant("acme", "Acme Inc.")
    catalog.create_tenant("beta")

    assert segops("tenants", "archive", "beta").exit_code == 0

    assert [one["slug"] for one in segops("tenants", "list", "--json").json] == ["acme"]
    assert [one["status"] for one in segops("tenants", "list", "--all", "--json").json] == ["active", "archived"]
    assert "Acme Inc." in segops("tenants", "list").out


def test_restore_takes_an_archived_tenant_back(segops: Segops, catalog: Catalog) -> None:
    catalog.create_tenant("acme")
    segops("tenants", "archive", "acme")

    assert segops("tenants", "restore", "acme", "--json").json["status"] == "active"


def test_an_empty_list_says_what_to_do(segops: Segops) -> None:
    assert "segops tenants create SLUG" in segops("tenants", "list").out


def test_archiving_a_tenant_that_does_not_exist_names_the_nearest(segops: Segops, catalog: Catalog) -> None:
    catalog.create_tenant("acme")

    answer = segops("tenants", "archive", "acne")

    assert (answer.exit_code, answer.err) == (1, "Error: no tenant 'acne'; did you mean 'acme'?\n")
