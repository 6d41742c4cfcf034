"""Members as files: both formats, signed links, expiry, and a service that starts again."""

from __future__ import annotations

import csv
import io
import time
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pyarrow.parquet
import pytest
import requests

from segops_orchestration.api.runs import files as files_module
from segops_orchestration.api.runs.files import files_of_service
from segops_orchestration_tests.api.calling import OPERATOR, Tenant
from segops_orchestration_tests.api.segment_shop import computed, give_orders, made, spent

_USERS = ['needs "quotes"', "ünïcode", "with,comma", "line\nbreak"]


def exported(tenant: Tenant, segment_id: int, fmt: str) -> dict[str, Any]:
    """An export, once it has ended."""
    answer = tenant.viewer_key.post(f"segments/{segment_id}/export/", {"format": fmt}, status=202)
    assert answer["status"] == "pending"
    return waited(tenant, segment_id, answer["export_id"])


def waited(tenant: Tenant, segment_id: int, export_id: int) -> dict[str, Any]:
    """The export, once it has ended."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found: dict[str, Any] = tenant.viewer_key.get(f"segments/{segment_id}/export/?export_id={export_id}")
        if found["status"] not in ("pending", "running"):
            return found
        time.sleep(0.05)
    raise AssertionError(f"export {export_id} has not ended: {found}")


def shop(tenant: Tenant) -> int:
    """A computed segment of some users with awkward ids."""
    give_orders(tenant, [(user, 50.0) for user in _USERS] + [("poor", 1.0)])
    segment_id: int = made(tenant, spent(10))["id"]
    computed(tenant)
    return segment_id


def test_csv_is_downloaded_by_its_link_alone_and_lists_the_members(tenant: Tenant) -> None:
    segment_id = shop(tenant)
    export = exported(tenant, segment_id, "csv")
    assert set(export) >= {"id", "status", "format", "download_url", "expires_at"}
    assert (export["status"], export["rows"]) == ("ready", 4)
    response = requests.get(export["download_url"], timeout=60)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert 'filename="big-spenders.csv"' in response.headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(response.content.decode(), newline="")))
    members = tenant.viewer_key.get(f"segments/{segment_id}/members/")["results"]
    assert [row["user_id"] for row in rows] == [one["user_id"] for one in members] == sorted(_USERS, key=str.encode)
    assert list(rows[0]) == ["user_id", "computed_at"]


def test_parquet_is_snappy_and_lists_the_members(tenant: Tenant) -> None:
    segment_id = shop(tenant)
    export = exported(tenant, segment_id, "parquet")
    file = pyarrow.parquet.ParquetFile(io.BytesIO(requests.get(export["download_url"], timeout=60).content))
    assert file.schema_arrow.names == ["user_id", "computed_at"]
    assert file.metadata.row_group(0).column(0).compression == "SNAPPY"
    assert sorted(file.read().column("user_id").to_pylist()) == sorted(_USERS)


def test_a_link_opens_its_own_file_alone(tenant: Tenant, other_tenant: Tenant) -> None:
    segment_id = shop(tenant)
    first, second = exported(tenant, segment_id, "csv"), exported(tenant, segment_id, "parquet")
    other = first["download_url"].replace(f"/{first['id']}/download/", f"/{second['id']}/download/")
    bare = first["download_url"].partition("?")[0]
    assert requests.get(other, timeout=60).status_code == 403
    assert requests.get(f"{first['download_url'][:-2]}xx", timeout=60).status_code == 403
    assert requests.get(bare, timeout=60).status_code == 400
    path = urlsplit(bare).path.partition("/api/")[2]
    assert other_tenant.admin_key.send("GET", path).status_code == 400
    other_tenant.viewer_key.get(f"segments/{segment_id}/export/?export_id={first['id']}", status=404)
    theirs = made(other_tenant, spent(1))
    other_tenant.viewer_key.get(f"segments/{theirs['id']}/export/?export_id={first['id']}", status=404)
    other_tenant.admin_key.post(f"segments/{segment_id}/export/", status=404)


def test_a_file_that_has_expired_is_gone(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    segment_id = shop(tenant)
    export = exported(tenant, segment_id, "csv")
    service, folder = tenant.api.services, files_of_service(tenant.api.services.settings) / tenant.slug
    assert list(folder.iterdir())
    service.catalog.service.exports.expire(tenant.slug)
    shown = tenant.viewer_key.get(f"segments/{segment_id}/export/?export_id={export['id']}")
    assert (shown["status"], shown["download_url"], shown["expires_at"]) == ("expired", None, None)
    service.exports.take_away()
    assert not list(folder.iterdir())
    assert requests.get(export["download_url"], timeout=60).status_code == 404


def test_a_link_of_an_archived_tenant_opens_nothing(tenant: Tenant) -> None:
    export = exported(tenant, shop(tenant), "csv")
    tenant.api.catalog.archive_tenant(tenant.slug)
    assert requests.get(export["download_url"], timeout=60).status_code == 404


def test_what_a_service_that_died_has_left_is_written_by_the_next(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment_id = shop(tenant)
    asked = tenant.api.catalog.service.exports
    monkeypatch.setattr(files_module, "SILENT_FOR", timedelta(days=1))
    # Written down and claimed by nobody who lives.
    export = asked.ask(tenant.slug, segment_id, "csv", OPERATOR, patience=timedelta(hours=1))
    claimed = asked.claim(timedelta(days=1))
    assert claimed is None or claimed.id == export.id
    monkeypatch.setattr(files_module, "SILENT_FOR", timedelta(seconds=-1))
    exported(tenant, segment_id, "parquet")
    assert waited(tenant, segment_id, export.id)["status"] == "ready"


def test_what_cannot_be_written_has_failed_and_says_no_more_than_that(tenant: Tenant) -> None:
    segment_id = shop(tenant)
    tenant.database.command("RENAME TABLE segment_memberships TO hidden")
    export = exported(tenant, segment_id, "csv")
    assert (export["status"], export["download_url"]) == ("failed", None)
    assert "log" in export["error"]


def test_an_export_that_nobody_wrote_in_time_has_failed(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    segment_id = shop(tenant)
    requested = tenant.api.catalog.service.exports
    export = requested.ask(tenant.slug, segment_id, "csv", OPERATOR, patience=timedelta(0))
    tenant.api.services.exports.take_away()
    assert requested.get(tenant.slug, export.id).status == "failed"


def test_an_unknown_format_is_refused(tenant: Tenant) -> None:
    segment = made(tenant, spent(1))
    answer = tenant.viewer_key.post(f"segments/{segment['id']}/export/", {"format": "xlsx"}, status=400)
    assert list(answer) == ["format"]


def test_a_service_that_was_taken_for_dead_leaves_the_file_of_the_other(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment_id = shop(tenant)
    export = exported(tenant, segment_id, "csv")
    files = tenant.api.services.exports
    late = tenant.api.catalog.service.exports.get(tenant.slug, export["id"])
    files._export(late)
    assert requests.get(export["download_url"], timeout=60).status_code == 200
