"""The published administration client, unmodified, with segments; and its command line."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from segops_admin import SegOpsAdmin, SegOpsApiError
from segops_admin._cli import main

from segops_orchestration_tests.api.calling import Tenant
from segops_orchestration_tests.api.segment_shop import give_orders, spent


def _until(ask: Any, wanted: str) -> Any:
    deadline = time.monotonic() + 60
    while (found := ask())["status"] != wanted and time.monotonic() < deadline:
        time.sleep(0.1)
    assert found["status"] == wanted, found
    return found


def test_the_client_makes_previews_computes_reads_exports_and_deletes_segments(tenant: Tenant) -> None:
    give_orders(tenant, [("ada", 5), ("ben", 50), ("cleo", 70)])
    client = SegOpsAdmin(tenant.secret_key(), base_url=tenant.api.url, max_retries=0)
    assert client.segments.preview(spent(10))["matched_users"] == 2
    segment = client.segments.create({"name": "VIP", "definition": spent(100)})
    updated = client.segments.update(segment["id"], {"definition": spent(10), "name": "VIP v2"})
    assert updated["name"] == "VIP v2"
    put = client.segments.update(segment["id"], {**updated, "description": "spent 10"}, method="PUT")
    assert put["description"] == "spent 10"
    assert [one["version"] for one in client.segments.versions(segment["id"])] == [2, 1]
    assert client.segments.estimate(segment["id"])["matched_users"] == 2
    assert client.segments.recompute(segment["id"])["status"] == "queued"
    _until(lambda: client.segments.get(segment["id"]), "computed")
    members = client.segments.members(segment["id"], {"page": 1, "limit": 1})
    assert [one["user_id"] for one in members["results"]] == ["ben"]
    rest = client.segments.members(segment["id"], {"cursor": members["next_cursor"]})
    assert ([one["user_id"] for one in rest["results"]], rest["next_cursor"]) == (["cleo"], None)
    assert [one["id"] for one in client.segments.membership("ben")["segments"]] == [segment["id"]]
    export = client.segments.export(segment["id"], format="parquet")
    assert export["status"] == "pending"
    assert [one["id"] for one in client.segments.iterate({"page_size": 1})] == [segment["id"]]
    client.segments.delete(segment["id"])
    with pytest.raises(SegOpsApiError) as refused:
        client.segments.get(2**31 - 1)
    assert (refused.value.status, set(refused.value.body)) == (404, {"detail"})


def test_the_clients_command_line_works_with_ids_as_text(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("SEGOPS_API_KEY", tenant.secret_key())
    monkeypatch.setenv("SEGOPS_API_URL", tenant.api.url)

    def said(*arguments: str) -> Any:
        assert main(list(arguments)) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    file = tmp_path / "segment.json"
    file.write_text(json.dumps({"name": "VIP", "definition": spent(10)}))
    number = str(said("segments", "create", str(file))["id"])
    assert said("segments", "list", "--page_size", "5")["count"] == 1
    assert said("segments", "get", number)["slug"] == "vip"
    assert said("segments", "members", number, "--limit=3")["results"] == []
    assert said("segments", "membership", "ada")["segments"] == []
    assert said("segments", "export", number, "--format=csv")["status"] == "pending"
    assert said("segments", "delete", number) == {"ok": True}
