"""Figures for Prometheus, and the log of requests."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import uvicorn
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from segops_orchestration.api import logs
from segops_orchestration.api.app import MAX_BODY_BYTES
from segops_orchestration.api.errors import handle_errors
from segops_orchestration.api.metrics import Metrics
from segops_orchestration.api.middleware import RequestMiddleware
from segops_orchestration.settings import Settings
from segops_orchestration_tests.api.calling import Api, Tenant

Figures = dict[tuple[str, frozenset[str]], float]


def figures(api: Api, **headers: str) -> Figures:
    """The samples by name and values of their labels."""
    answer = requests.get(f"{api.url}/metrics/", headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_requests_are_counted_and_timed_by_route_method_and_status(api: Api, tenant: Tenant) -> None:
    labels = frozenset({"/api/segments/{segment_id}/", "GET", "404"})
    timed = frozenset({"/api/segments/{segment_id}/", "GET"})
    before = figures(api)
    tenant.viewer_key.get("segments/4711/", status=404)
    after = figures(api)
    assert after["segops_api_requests_total", labels] == before.get(("segops_api_requests_total", labels), 0) + 1
    name = "segops_api_request_seconds_count"
    assert after[name, timed] == before.get((name, timed), 0) + 1


def test_paths_and_methods_that_do_not_exist_share_a_label(api: Api) -> None:
    for method in ("PROPFIND", "MKCOL"):
        requests.request(method, f"{api.url}/no/such/{method}/", timeout=30)
    found = {values for name, values in figures(api) if name == "segops_api_requests_total"}
    assert any({"(none)", "other"} <= values for values in found)
    assert not any("PROPFIND" in value or "/no/such" in value for values in found for value in values)


def test_events_are_counted_by_outcome(api: Api, tenant: Tenant) -> None:
    before = figures(api)
    events = [{"user_id": "ada", "event_type": "viewed"}, {"user_id": "", "event_type": "viewed"}]
    tenant.member_key.post("ingestion/track/batch/", {"events": events}, status=202)
    after = figures(api)
    for outcome in ("stored", "refused"):
        counted = ("segops_ingestion_events_total", frozenset({outcome}))
        assert after[counted] == before.get(counted, 0) + 1
    assert after["segops_ingestion_waiting_events", frozenset()] == 0
    assert after["segops_ingestion_waiting_bytes", frozenset()] == 0


def test_no_figure_names_a_tenant_or_a_user(api: Api, tenant: Tenant) -> None:
    tenant.viewer_key.get("explorer/users/somebody-in-particular/", status=404)
    text = requests.get(f"{api.url}/metrics/", timeout=30).text
    assert tenant.slug not in text
    assert "somebody-in-particular" not in text


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"])
def test_what_a_proxy_passes_on_does_not_count_as_this_machine(api: Api, header: str) -> None:
    answer = requests.get(f"{api.url}/metrics/", headers={header: "127.0.0.1"}, timeout=30)
    assert answer.status_code == 403
    assert "SEGOPS_METRICS_TOKEN" in answer.json()["detail"]


@pytest.fixture
def token(api: Api, monkeypatch: pytest.MonkeyPatch) -> str:
    """The token of an API that has one."""
    value = "a-token-for-prometheus"
    monkeypatch.setattr(api.services, "settings", replace(api.services.settings, metrics_token=value))
    return value


def test_a_token_opens_them_to_other_machines(api: Api, token: str) -> None:
    assert figures(api, Authorization=f"Bearer {token}", **{"X-Forwarded-For": "192.0.2.1"})


def test_where_there_is_a_token_nothing_else_opens_them(api: Api, tenant: Tenant, token: str) -> None:
    for headers in ({}, {"Authorization": "Bearer ä"}, dict(tenant.admin_key.headers)):
        sent = {name: value.encode() for name, value in headers.items()}
        answer = requests.get(f"{api.url}/metrics/", headers=sent, timeout=30)
        assert answer.status_code == 401
        assert token not in answer.text
    assert token not in repr(api.services.settings)
    assert Settings.from_env({"SEGOPS_METRICS_TOKEN": token}).metrics_token == token


# The log of requests


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    """The service's log from now on, as it is written, a document a line."""
    written: list[dict[str, Any]] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(json.loads(logs._Lines().format(record)))

    logger, handler = logging.getLogger("segops.api"), Kept()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield written
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_a_request_is_a_line_with_its_id_and_without_what_it_is_about(
    tenant: Tenant, lines: list[dict[str, Any]]
) -> None:
    tenant.viewer_key.get(
        "explorer/users/somebody-in-particular/?q=hidden", status=404, headers={"X-Request-Id": "r-1"}
    )
    [line] = [line for line in lines if line.get("request_id") == "r-1"]
    assert (line["method"], line["route"], line["status"]) == ("GET", "/api/explorer/users/{user_id}/", 404)
    assert line["milliseconds"] > 0
    assert "somebody-in-particular" not in json.dumps(lines)
    assert "hidden" not in json.dumps(lines)


def test_a_refused_body_is_logged_too(api: Api, lines: list[dict[str, Any]]) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(MAX_BODY_BYTES // (1 << 20) + 1):
            yield b" " * (1 << 20)

    bodies: list[bytes | Iterator[bytes]] = [b" " * (MAX_BODY_BYTES + 1), chunks()]
    for number, body in enumerate(bodies):
        answer = requests.post(
            f"{api.url}/auth/token/", data=body, headers={"X-Request-Id": f"large-{number}"}, timeout=60
        )
        assert answer.status_code == 413
        assert "bytes allowed" in answer.json()["detail"]
    assert [line["status"] for line in lines if str(line.get("request_id")).startswith("large-")] == [413, 413]


def test_what_nobody_foresaw_is_answered_without_its_traceback_and_logged_with_it(
    lines: list[dict[str, Any]],
) -> None:
    app = FastAPI()
    handle_errors(app)
    metrics = Metrics()
    app.add_middleware(RequestMiddleware, max_body_bytes=1, metrics=metrics)

    @app.get("/broken/")
    def broken() -> None:
        raise RuntimeError("a detail of the inside")

    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        answer = requests.get(f"http://127.0.0.1:{port}/broken/", headers={"X-Request-Id": "r-2"}, timeout=30)
    finally:
        server.should_exit = True
        thread.join()
    assert answer.status_code == 500
    assert answer.headers["X-Request-Id"] == "r-2"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "inside" not in answer.text
    [fault] = [line for line in lines if "traceback" in line]
    assert fault["request_id"] == "r-2"
    assert "a detail of the inside" in fault["traceback"]
    assert [line["status"] for line in lines if line["message"] == "request"] == [500]
    assert b'status="500"' in metrics.exposition()


def test_a_sender_that_hangs_up_is_no_fault_of_ours(tenant: Tenant, caplog: pytest.LogCaptureFixture) -> None:
    place = urlsplit(tenant.api.url)
    labels = frozenset({"/api/ingestion/track/", "POST", "499"})
    before = figures(tenant.api).get(("segops_api_requests_total", labels), 0)
    head = (
        f"POST /api/ingestion/track/ HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: 1000\r\n"
        f"Authorization: {tenant.member_key.headers['Authorization']}\r\n\r\n{{"
    )
    with socket.create_connection((str(place.hostname), place.port or 0)) as sender:
        sender.sendall(head.encode())
        time.sleep(0.2)
    deadline = time.monotonic() + 30
    while figures(tenant.api).get(("segops_api_requests_total", labels), 0) == before:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "unforeseen" not in caplog.text
