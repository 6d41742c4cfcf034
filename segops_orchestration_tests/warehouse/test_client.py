"""The way to ClickHouse: addresses, tenants, errors."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from segops_orchestration.errors import SegOpsError, WarehouseError
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse, database_name, parse_url
from segops_orchestration.warehouse.embedded.lifecycle import Endpoint, stop


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://u:p@db.example:9000", ("db.example", 9000, "u", "p", False)),
        ("https://u:p%40ss%2F@db.example/", ("db.example", 8443, "u", "p@ss/", True)),
        ("http://localhost", ("localhost", 8123, "default", "", False)),
        ("http://u:p@[::1]:8123", ("::1", 8123, "u", "p", False)),
    ],
)
def test_a_url_says_where_and_as_whom(url: str, expected: tuple[object, ...]) -> None:
    address = parse_url(url)

    assert (address.host, address.port, address.username, address.password, address.secure) == expected


@pytest.mark.parametrize(
    "url",
    ["clickhouse://u:hush@h", "u:hush@h:1", "http://", "http://u:hush@h:port", "http://u:hush@h/db", "http://h?p=hush"],
)
def test_a_url_of_another_form_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(SegOpsError, match="SEGOPS_CLICKHOUSE_URL: it must look like") as caught:
        parse_url(url)

    assert "hush" not in str(caught.value)


def test_an_address_in_a_message_has_no_password() -> None:
    assert str(parse_url("https://u:hush@h:1")) == "https://u@h:1"


def test_a_server_that_is_not_there_is_one_clear_message() -> None:
    settings = Settings.from_env({"SEGOPS_CLICKHOUSE_URL": "http://u:hush@127.0.0.1:9"})

    with pytest.raises(WarehouseError, match=r"^ClickHouse at http://127\.0\.0\.1:9 cannot be reached") as caught:
        Warehouse.connect(settings)

    assert "hush" not in str(caught.value)


def test_a_url_leads_the_same_code_to_another_server(endpoint: Endpoint, tenant_warehouse: TenantWarehouse) -> None:
    url = f"http://default:{endpoint.password}@127.0.0.1:{endpoint.port}"

    remote = Warehouse.connect(Settings.from_env({"SEGOPS_CLICKHOUSE_URL": url}))

    assert not remote.embedded
    assert remote.tenant(tenant_warehouse.slug).query("SELECT count() FROM events").result_rows == [(0,)]
    remote.close()


@pytest.mark.parametrize("slug", ["ab", "a1", "acme_eu", "a" * 39])
def test_a_slug_names_a_database(slug: str) -> None:
    assert database_name(slug) == f"segops_{slug}"


@pytest.mark.parametrize(
    "slug", ["", "a", "Acme", "1a", "_a", "a-b", "a b", "a.b", "a`b", "a;DROP", "a\n", "ä1", "a" * 40, "ab\x00"]
)
def test_anything_else_never_gets_near_sql(slug: str) -> None:
    with pytest.raises(SegOpsError, match="a slug is 2 to 39 characters"):
        database_name(slug)


def test_tenants_do_not_see_each_other(warehouse: Warehouse, tenant_warehouse: TenantWarehouse) -> None:
    other = warehouse.tenant("other_tenant")
    other.migrate()

    tenant_warehouse.command("INSERT INTO users SELECT 'mine', now64(3), now64(3)")

    assert other.query("SELECT count() FROM users").result_rows == [(0,)]
    assert {"other_tenant", tenant_warehouse.slug} <= set(warehouse.tenant_slugs())
    other.drop()
    assert "other_tenant" not in warehouse.tenant_slugs()


def test_a_refusal_names_the_tenant_and_the_reason(tenant_warehouse: TenantWarehouse) -> None:
    with pytest.raises(WarehouseError, match=f"^{tenant_warehouse.slug}: .*UNKNOWN_TABLE"):
        tenant_warehouse.query("SELECT * FROM nowhere")


def test_instants_come_back_in_utc(tenant_warehouse: TenantWarehouse) -> None:
    ((instant,),) = tenant_warehouse.query("SELECT toDateTime64('2024-01-02 03:04:05.678', 3, 'UTC')").result_rows

    assert instant.isoformat() == "2024-01-02T03:04:05.678000+00:00"


def test_settings_of_a_query_reach_clickhouse(tenant_warehouse: TenantWarehouse) -> None:
    asked = tenant_warehouse.query("SELECT getSetting('log_comment')", settings={"log_comment": "segment=vip"})

    assert asked.result_rows == [("segment=vip",)]


def test_importing_the_client_is_light() -> None:
    heavy = ["chdb", "clickhouse_connect", "pandas", "pyarrow", "numpy", "sqlalchemy", "cheroot", "dagster"]
    code = f"""
import sys
import segops_orchestration.warehouse.client, segops_orchestration.warehouse.embedded.lifecycle
import segops_orchestration.cli.warehouse
print([name for name in {heavy} if name in sys.modules])
"""

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert loaded.stdout.strip() == "[]"


def test_a_server_that_goes_away_is_told_without_the_parameters(settings: Settings, tmp_path: Path) -> None:
    with_home = replace(settings, home=tmp_path)
    warehouse = Warehouse.connect(with_home)
    warehouse.admin.command("CREATE DATABASE segops_gone")
    tenant = warehouse.tenant("gone")
    tenant.query("SELECT 1")
    stop(with_home)

    with pytest.raises(WarehouseError, match=r"^ClickHouse at .* cannot be reached") as caught:
        tenant.query("SELECT {user:String}", {"user": "ada@example.org"})

    assert "ada" not in str(caught.value)
    assert "user" not in str(caught.value)


def test_a_refusal_is_told_in_clickhouses_words_alone(tenant_warehouse: TenantWarehouse) -> None:
    with pytest.raises(WarehouseError) as caught:
        tenant_warehouse.query("SELECT nothing_of_that_name")

    assert str(caught.value).startswith(f"{tenant_warehouse.slug}: Code: 47. DB::Exception: ")
    assert "http" not in str(caught.value)
