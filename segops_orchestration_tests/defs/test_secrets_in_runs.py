"""A platform that repeats the secrets in its answers: Dagster's events, metadata, logs and files have none of them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import dagster as dg
import pytest

from segops_orchestration.activation import http
from segops_orchestration.catalog.connector_records import ConnectorSpec
from segops_orchestration.definitions import defs
from segops_orchestration_tests.compute.tenant import StoryTenant
from segops_orchestration_tests.defs.orchestration import Orchestration
from segops_orchestration_tests.defs.stories import BUYERS, happened

TOKEN = "token-of-the-hooks-address"
# Type -> the config entry of its address, the rest of its config, its secrets.
CONNECTORS: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    "klaviyo": ("base_url", {"list_id": "A"}, {"api_key": "klaviyos-key-0123456789"}),
    "braze": ("rest_endpoint", {}, {"api_key": "brazes-key-0123456789"}),
    "talon_one": (
        "base_url",
        {"audience_id": 1},
        {"api_key": "talons-key-0123456789", "management_key": "talons-other-key-0123456789"},
    ),
    "webhook": ("url", {"batch_size": 10, "requests_per_second": 10}, {"secret": "the-hooks-secret-0123456789"}),
}


@contextmanager
def parrot(status: int, secrets: Sequence[str]) -> Iterator[str]:
    """The address of a platform that refuses everything and says what it knows."""
    # Once more where an answer is cut for being long.
    body = json.dumps(
        {"message": f"no: {' '.join(secrets)}{'x' * (470 - len(' '.join(secrets)))}{secrets[0]}"}
    ).encode()

    class Parrot(BaseHTTPRequestHandler):
        def _refuse(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = _refuse

        def log_message(self, format: str, *arguments: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Parrot) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _connect(tenant: StoryTenant, type_: str, url: str) -> None:
    address, config, secrets = CONNECTORS[type_]
    target = f"{url}/hook?token={TOKEN}" if type_ == "webhook" else url
    defaults = {"contact_details": True, "revision": "2026-10-15"} if type_ == "klaviyo" else {}
    if type_ == "talon_one":
        defaults = {"requests_per_second": 10}
    spec = ConnectorSpec(f"to-{type_.replace('_', '-')}", "buyers", type_, {**defaults, **config, address: target})
    tenant.catalog.connectors.create(tenant.slug, spec, secrets)


@pytest.mark.parametrize("status", [401, 500])
def test_a_run_says_no_secret_that_a_platform_repeats(
    status: int,
    orchestration: Orchestration,
    tenant: StoryTenant,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("SEGOPS_ALLOW_PRIVATE_TARGETS", "1")
    monkeypatch.setattr(http, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(dg.RetryPolicy, "calculate_delay", lambda policy, attempt: 0.01)
    caplog.set_level(logging.DEBUG)
    orchestration.register(tenant.slug)
    tenant.define({"buyers": BUYERS})
    happened(tenant, "ann")
    tenant.compute()
    with ExitStack() as servers:
        for type_, (_, _, secrets) in CONNECTORS.items():
            known = [*secrets.values(), *([TOKEN] if type_ == "webhook" else [])]
            _connect(tenant, type_, servers.enter_context(parrot(status, known)))

        result = defs.resolve_job_def("deliver").execute_in_process(
            instance=orchestration.instance, partition_key=tenant.slug, raise_on_error=False
        )

    events = [repr(record) for record in orchestration.instance.all_logs(result.run_id)]
    failed = {event.step_key for event in result.all_events if event.event_type_value == "STEP_FAILURE"}
    assert failed == {f"{type_}_sync" for type_ in CONNECTORS}
    told = "".join(sync.error or "" for sync in tenant.catalog.connectors.list_syncs(tenant.slug))
    assert told.count(f"{status} ") + told.count(f"with {status}:") >= len(CONNECTORS)
    assert "***" in "".join(events)
    files = {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    # Half of one, too. The address of the hook is the config of its connector, which the catalogue has.
    for secret in [one for _, _, secrets in CONNECTORS.values() for one in secrets.values()] + [TOKEN]:
        part = secret[:12]
        assert part not in "".join(events)
        assert part not in caplog.text
        assert part not in told
        assert [
            path
            for path, content in files.items()
            if part.encode() in content and not (secret == TOKEN and Path(path).name.startswith("catalog.db"))
        ] == []
