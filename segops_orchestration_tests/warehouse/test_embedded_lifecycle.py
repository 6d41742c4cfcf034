"""One server for a home: started once, found by all, stopped politely, and none the worse for being killed."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from segops_orchestration.errors import SegOpsError, WarehouseError
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration.warehouse.embedded import lifecycle
from segops_orchestration.warehouse.embedded.lifecycle import (
    Endpoint,
    Files,
    ensure_running,
    find_running,
    status,
    stop,
    write_endpoint,
)
from segops_orchestration_tests.warehouse.servers import credentials, eventually, home_of, request, running

START = """
import sys
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.embedded.lifecycle import ensure_running
endpoint = ensure_running(Settings.from_env({"SEGOPS_HOME": sys.argv[1]}))
print(endpoint.pid, endpoint.port)
"""


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_the_endpoint_file_is_for_its_owner_alone(settings: Settings, endpoint: Endpoint) -> None:
    mode = Files(settings.warehouse_dir).endpoint.stat().st_mode

    assert stat.S_IMODE(mode) == 0o600
    assert len(endpoint.password) >= 32


def test_it_listens_on_the_loopback_interface_only(endpoint: Endpoint) -> None:
    listening = [c.laddr.ip for c in psutil.Process(endpoint.pid).net_connections() if c.status == psutil.CONN_LISTEN]

    assert listening == ["127.0.0.1"]


def test_the_password_is_not_in_the_command_line_the_log_or_any_text_form(
    settings: Settings, endpoint: Endpoint, warehouse: Warehouse
) -> None:
    shown = [*psutil.Process(endpoint.pid).cmdline(), repr(endpoint), repr(warehouse.address)]

    assert not any(endpoint.password in text for text in shown)
    assert endpoint.password not in Files(settings.warehouse_dir).log.read_text()


def test_values_are_not_in_the_log(settings: Settings, endpoint: Endpoint) -> None:
    path = "/?param_x=sesame1"
    statement = b"SELECT {x:UInt8}, 'sesame2', sleep(1.1)"
    request(endpoint, "POST", path, statement.replace(b"UInt8", b"String"), credentials(endpoint))
    request(endpoint, "POST", path, statement, credentials(endpoint))

    log = Files(settings.warehouse_dir).log.read_text()

    assert "BAD_QUERY_PARAMETER" in log
    assert "SELECT took" in log
    assert "sesame" not in log


@pytest.mark.parametrize(
    "make",
    [
        lambda endpoint: {},
        lambda endpoint: basic("default", "wrong"),
        lambda endpoint: basic("default", ""),
        lambda endpoint: basic("admin", endpoint.password),
        lambda endpoint: {"Authorization": "Basic ???"},
        lambda endpoint: {"Authorization": f"Bearer {endpoint.password}"},
        lambda endpoint: {"X-ClickHouse-User": "default", "X-ClickHouse-Key": endpoint.password + "x"},
    ],
)
def test_without_the_right_password_nothing_is_answered(endpoint: Endpoint, make: object) -> None:
    headers = make(endpoint)  # type: ignore[operator]

    code, answer, body = request(endpoint, "POST", "/", b"SELECT 'secret'", headers)

    assert (code, answer["X-ClickHouse-Exception-Code"]) == (401, "516")
    assert b"secret" not in body


def test_the_password_may_stand_wherever_clickhouse_takes_it(endpoint: Endpoint) -> None:
    in_url = f"/?user=default&password={endpoint.password}"

    answers = [
        request(endpoint, "POST", in_url, b"SELECT 1"),
        request(endpoint, "POST", "/", b"SELECT 1", basic("default", endpoint.password)),
        request(endpoint, "POST", "/", b"SELECT 1", credentials(endpoint)),
    ]

    assert [(code, body) for code, _, body in answers] == [(200, b"1\n")] * 3


def test_a_wrong_password_is_one_clear_message(settings: Settings, endpoint: Endpoint) -> None:
    url = f"http://default:wrong-one@127.0.0.1:{endpoint.port}"
    remote = Settings.from_env({"SEGOPS_HOME": str(settings.home), "SEGOPS_CLICKHOUSE_URL": url})

    with pytest.raises(WarehouseError, match="AUTHENTICATION_FAILED") as caught:
        Warehouse.connect(remote)

    assert "wrong-one" not in str(caught.value)


def test_a_ping_needs_no_password_and_gives_none_away(endpoint: Endpoint) -> None:
    code, headers, body = request(endpoint, "GET", "/ping?nonce=a")
    _, other, _ = request(endpoint, "GET", "/ping?nonce=b")

    assert (code, body) == (200, b"Ok.\n")
    assert headers["X-SegOps-Proof"] != other["X-SegOps-Proof"]


def test_the_second_call_finds_the_first_server(settings: Settings, endpoint: Endpoint) -> None:
    assert ensure_running(settings) == endpoint


def test_processes_starting_at_once_end_with_one_server(tmp_path: Path) -> None:
    settings = home_of(tmp_path)
    try:
        starters = [
            subprocess.Popen([sys.executable, "-c", START, str(tmp_path)], stdout=subprocess.PIPE, text=True)
            for _ in range(4)
        ]
        answers = {starter.communicate(timeout=60)[0] for starter in starters}

        assert [starter.returncode for starter in starters] == [0] * 4
        assert len(answers) == 1
        servers = [
            p for p in psutil.process_iter(["cmdline"]) if str(settings.warehouse_dir) in (p.info["cmdline"] or [])
        ]
        assert len(servers) == 1
    finally:
        stop(settings)


def test_acknowledged_rows_survive_kill_9_during_inserts(tmp_path: Path) -> None:
    acknowledged: set[int] = set()

    def insert_until_killed(warehouse: Warehouse, worker: int) -> None:
        tenant = warehouse.tenant("acme")
        for batch in range(1_000_000):
            key = worker * 1_000_000 + batch
            try:
                tenant.insert("kept", [[key, number] for number in range(500)], ["batch", "n"])
            except (WarehouseError, OSError):
                return
            acknowledged.add(key)

    for attempt in range(3):
        with running(tmp_path) as server:
            tenant = server.warehouse.tenant("acme")
            tenant.migrate()
            tenant.command("CREATE TABLE IF NOT EXISTS kept (batch UInt64, n UInt32) ENGINE = MergeTree ORDER BY batch")
            with ThreadPoolExecutor(2) as pool:
                workers = [pool.submit(insert_until_killed, server.warehouse, attempt * 2 + n) for n in range(2)]
                time.sleep(0.7)
                server.kill()
                for worker in workers:
                    worker.result()

    with running(tmp_path) as server:
        found = server.warehouse.tenant("acme").query("SELECT batch, count() FROM kept GROUP BY batch").result_rows
    whole = {batch for batch, rows in found if rows == 500}

    assert len(acknowledged) > 20
    assert acknowledged <= whole


def test_stop_lets_a_running_query_finish_and_takes_no_new_one(tmp_path: Path) -> None:
    with running(tmp_path) as server, ThreadPoolExecutor(1) as pool:
        slow = pool.submit(server.warehouse.admin.query, "SELECT sleep(1.5), 'finished'")
        assert eventually(lambda: "sleep" in str(server.warehouse.admin.command("SHOW PROCESSLIST")))

        stopping = threading.Thread(target=stop, args=[server.settings])
        stopping.start()
        assert eventually(lambda: _refuses(server.endpoint))

        assert not slow.done()
        assert slow.result().result_rows == [(0, "finished")]
        stopping.join(timeout=20)
        assert eventually(lambda: not psutil.pid_exists(server.endpoint.pid))
        assert not server.files.endpoint.exists()


def _refuses(endpoint: Endpoint) -> bool:
    try:
        socket.create_connection((endpoint.host, endpoint.port), timeout=1).close()
    except OSError:
        return True
    return False


def test_stop_says_whether_there_was_something_to_stop(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        assert stop(server.settings) is True
        assert stop(server.settings) is False


def test_ctrl_c_in_the_terminal_of_the_starter_is_not_meant_for_the_server(
    settings: Settings, endpoint: Endpoint
) -> None:
    assert os.getsid(endpoint.pid) != os.getsid(0)


def test_data_outlives_the_server(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        server.warehouse.tenant("acme").migrate()
        server.warehouse.tenant("acme").command("INSERT INTO users SELECT 'u', now64(3), now64(3)")
        password = server.endpoint.password
    with running(tmp_path) as server:
        assert server.warehouse.tenant("acme").query("SELECT user_id FROM users").result_rows == [("u",)]
        assert server.endpoint.password != password


def _gone() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_an_endpoint_file_of_a_process_that_is_gone_is_replaced(tmp_path: Path) -> None:
    files = _leave_endpoint(tmp_path, Endpoint("127.0.0.1", 9, "default", "old", _gone()))

    with running(tmp_path) as server:
        assert server.endpoint.password != "old"
        assert find_running(files) == server.endpoint


def test_an_endpoint_file_whose_process_and_port_belong_to_others_is_replaced(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        received: list[bytes] = []
        threading.Thread(target=_say_ok, args=[other, received], daemon=True).start()
        secret = secrets.token_urlsafe()
        _leave_endpoint(tmp_path, Endpoint("127.0.0.1", other.getsockname()[1], "default", secret, os.getpid()))

        with running(tmp_path) as server:
            assert server.endpoint.pid != os.getpid()

    assert received
    assert not any(secret.encode() in text for text in received)


def test_an_endpoint_file_whose_port_belongs_to_somebody_silent_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "_PING_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as other:
        _leave_endpoint(tmp_path, Endpoint("127.0.0.1", other.getsockname()[1], "default", "old", os.getpid()))

        assert find_running(Files(home_of(tmp_path).warehouse_dir)) is None


def _say_ok(listener: socket.socket, received: list[bytes]) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            received.append(connection.recv(10_000))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nOk.\n")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"host": "127.0.0.1"}', '{"pid": "x"}'])
def test_an_endpoint_file_that_makes_no_sense_is_no_server(tmp_path: Path, content: str) -> None:
    files = Files(tmp_path)
    files.endpoint.write_text(content)

    assert find_running(files) is None


def _leave_endpoint(home: Path, endpoint: Endpoint) -> Files:
    files = Files(home_of(home).warehouse_dir)
    files.directory.mkdir()
    write_endpoint(files.endpoint, endpoint)
    return files


def test_a_directory_in_use_by_another_server_is_refused(settings: Settings, endpoint: Endpoint) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "segops_orchestration.warehouse.embedded", str(settings.warehouse_dir)],
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert second.returncode == 1
    assert f"another server has it: {endpoint!r}" in Files(settings.warehouse_dir).log.read_text()
    assert ensure_running(settings) == endpoint


def test_a_lost_endpoint_file_is_written_again(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        server.files.endpoint.unlink()

        assert eventually(lambda: find_running(server.files) == server.endpoint)


def test_a_server_ends_when_its_home_is_removed(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        shutil.rmtree(server.settings.home)

        assert eventually(lambda: not psutil.pid_exists(server.endpoint.pid))


def test_a_new_server_waits_for_the_old_one_to_finish_its_queries(tmp_path: Path) -> None:
    with running(tmp_path) as server, ThreadPoolExecutor(1) as pool:
        slow = pool.submit(server.warehouse.admin.query, "SELECT sleep(1.5)")
        assert eventually(lambda: "sleep" in str(server.warehouse.admin.command("SHOW PROCESSLIST")))
        os.kill(server.endpoint.pid, signal.SIGTERM)
        assert eventually(lambda: not server.files.endpoint.exists())

        successor = ensure_running(server.settings)

        assert slow.result().result_rows == [(0,)]
        assert successor.pid != server.endpoint.pid


def test_a_busy_server_is_not_taken_for_a_dead_one(
    settings: Settings, endpoint: Endpoint, warehouse: Warehouse
) -> None:
    with ThreadPoolExecutor(80) as pool:
        sleeps = [pool.submit(warehouse.admin.query, "SELECT sleep(0.5)") for _ in range(80)]
        assert ensure_running(settings) == endpoint
        for sleep in sleeps:
            sleep.result()


def test_a_server_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = home_of(tmp_path)
    settings.warehouse_dir.mkdir()
    (settings.warehouse_dir / "data").write_text("a file where the data should be")

    with pytest.raises(WarehouseError, match="data: cannot be opened"):
        ensure_running(settings)

    monkeypatch.setattr(lifecycle, "_START_SECONDS", 0.0)
    with pytest.raises(WarehouseError, match="did not start"):
        ensure_running(settings)


@pytest.mark.parametrize("amount", ["much", "-1", "2 GiBs", "100MiB"])
def test_a_memory_limit_without_sense_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, amount: str
) -> None:
    monkeypatch.setenv("SEGOPS_WAREHOUSE_MEMORY", amount)

    with pytest.raises(SegOpsError, match=f"SEGOPS_WAREHOUSE_MEMORY: '{amount}'"):
        ensure_running(home_of(tmp_path))

    assert not Files(home_of(tmp_path).warehouse_dir).log.exists()


def test_status_knows_a_running_server(settings: Settings, endpoint: Endpoint) -> None:
    found = status(settings)

    assert (found.running, found.pid, found.port, found.home) == (True, endpoint.pid, endpoint.port, settings.home)
    assert found.version is not None
    assert found.version[0].isdigit()
    assert found.uptime_seconds is not None
    assert found.data_bytes > 0


def test_status_without_a_server_is_not_an_error(tmp_path: Path) -> None:
    assert status(home_of(tmp_path)) == lifecycle.Status(running=False, home=tmp_path, data_bytes=0)


def test_with_a_server_url_there_is_nothing_to_start(tmp_path: Path) -> None:
    settings = Settings.from_env({"SEGOPS_HOME": str(tmp_path), "SEGOPS_CLICKHOUSE_URL": "http://u:secret@h:1"})

    for act in (ensure_running, stop, status):
        with pytest.raises(SegOpsError, match="SEGOPS_CLICKHOUSE_URL is set") as caught:
            act(settings)
        assert "secret" not in str(caught.value)


def test_the_endpoint_file_is_json_for_other_tools(settings: Settings, endpoint: Endpoint) -> None:
    document = json.loads(Files(settings.warehouse_dir).endpoint.read_text())

    assert set(document) == {"host", "port", "username", "password", "pid"}


def test_a_stop_signal_twice_is_still_polite(tmp_path: Path) -> None:
    with running(tmp_path) as server, ThreadPoolExecutor(1) as pool:
        slow = pool.submit(server.warehouse.admin.query, "SELECT sleep(1)")
        assert eventually(lambda: "sleep" in str(server.warehouse.admin.command("SHOW PROCESSLIST")))

        os.kill(server.endpoint.pid, signal.SIGTERM)
        os.kill(server.endpoint.pid, signal.SIGTERM)

        assert slow.result().result_rows == [(0,)]
        assert eventually(lambda: not psutil.pid_exists(server.endpoint.pid))
