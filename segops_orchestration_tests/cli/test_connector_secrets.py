"""A secret is in the platform's requests and nowhere else: not in the stores, logs, outputs or errors."""

from __future__ import annotations

import json
import logging
import secrets
import time
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote

import pytest

from segops_orchestration.activation.sandbox.braze import BrazeSandbox
from segops_orchestration.activation.sandbox.server import SandboxServer
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse
from segops_orchestration_tests.cli.conftest import Answer, Segops
from segops_orchestration_tests.cli.shop import ORDERED, Shop


class _Parrot(BaseHTTPRequestHandler):
    """Refuses every call and says back what it was called with, as some proxies do."""

    def _refuse(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.dumps({"message": f"refused: {dict(self.headers)}"}).encode()
        self.send_response(401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _refuse

    def log_message(self, format: str, *arguments: Any) -> None:
        return


@pytest.fixture
def parrot() -> Iterator[str]:
    """The address of a platform that repeats the key in its errors."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Parrot)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class Watched:
    """Runs commands and keeps all that they said."""

    def __init__(self, segops: Segops) -> None:
        self._segops = segops
        self.said: list[str] = []

    def __call__(self, *arguments: str) -> Answer:
        answer = self._segops(*arguments)
        self.said += [answer.out, answer.err]
        return answer


@pytest.mark.parametrize("platform", ["that takes the key", "that refuses and repeats it"])
def test_a_secret_is_nowhere_but_in_the_requests(
    platform: str,
    segops: Segops,
    shop: Shop,
    own_settings: Settings,
    warehouse: Warehouse,
    parrot: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    key = f"key-{secrets.token_hex(12)}"
    monkeypatch.setenv("BRAZE_KEY", key)
    monkeypatch.setenv("SEGOPS_ALLOW_PRIVATE_TARGETS", "1")
    caplog.set_level(logging.DEBUG)
    begun = time.time()
    shop.define("vip", ORDERED)
    shop.orders("ada", "ben", "cleo")
    sandbox = BrazeSandbox(api_key=key)
    run = Watched(segops)
    with SandboxServer(sandbox) as server:
        run("compute", shop.slug)
        address = server.url if platform == "that takes the key" else parrot
        _everything(run, shop.slug, address)

    assert len(sandbox.members()) == (3 if platform == "that takes the key" else 0)
    assert any("401" in said for said in run.said) == (platform != "that takes the key")
    for form in _forms(key):
        assert form not in "".join(run.said), "in what a command said"
        assert form not in caplog.text, "in the log"
        for path in [*tmp_path.rglob("*"), *own_settings.home.rglob("*")]:
            if path.is_file() and _changed(path) >= begun:
                assert form.encode() not in _bytes(path), f"in {path}"
        for place, text in _rows(warehouse, shop.database):
            assert form not in text, f"in {place}"


def _everything(run: Watched, slug: str, address: str) -> None:
    """The life of a connector, with every command that shows something of it."""
    run(
        *("connectors", "create", slug, "--segment", "vip", "--type", "braze", "--hold-users", "0"),
        *("--config", f"rest_endpoint={address}", "--config", "subscription_group_id=sandbox-group"),
        *("--secret", "api_key=env:BRAZE_KEY"),
    )
    of = (slug, "vip-braze")
    for command in (
        *(("test", *of), ("sync", *of, "--dry-run"), ("sync", *of), ("show", *of), ("list", slug), ("log", slug)),
        *(("verify", *of), ("rejected", *of), ("pause", *of), ("resume", *of), ("update", *of, "--hold-share", "1")),
        *(("update", *of, "--secret", "api_key=env:BRAZE_KEY"), ("rotate-secrets",), ("approve", *of)),
    ):
        run("connectors", *command)
    for command in (("test", *of), ("sync", *of), ("show", *of), ("list", slug), ("log", slug)):
        run("connectors", *command, "--json")


def _forms(key: str) -> list[str]:
    """The key as it is and as somebody may have written it down: encoded, or as text of a header."""
    encoded = b64encode(key.encode()).decode().rstrip("=")
    return [key, encoded, quote(key), key.encode().hex()]


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        # The warehouse is running: a part may be merged away meanwhile.
        return 0


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _rows(warehouse: Warehouse, database: TenantWarehouse) -> Iterator[tuple[str, str]]:
    """Every table of the tenant's database as text, and what the server remembers of its queries."""
    for (table,) in database.query("SELECT name FROM system.tables WHERE database = currentDatabase()").result_rows:
        yield str(table), str(database.query(f"SELECT * FROM {table}").result_rows)
    for (table,) in database.query("SELECT name FROM system.tables WHERE database = 'system'").result_rows:
        if str(table).endswith("_log"):
            yield str(table), str(database.query(f"SELECT * FROM system.{table}").result_rows)
