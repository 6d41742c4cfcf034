"""Starting, finding and stopping the one embedded server of a SEGOPS_HOME.

Whoever needs the warehouse first starts it, detached, while holding a file lock; everybody else reads the endpoint
file it writes. The file holds a random password, fresh with every start, and only its owner may read it. A file left
behind is recognised by asking: the process must be there and prove over HTTP that it knows the password, without the
password being sent to whatever listens on the port now.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from hmac import compare_digest
from pathlib import Path

from segops_orchestration.errors import SegOpsError, WarehouseError
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.embedded.memory import memory_limit
from segops_orchestration.warehouse.embedded.proof import ping_proof

_MODULE = "segops_orchestration.warehouse.embedded"
_START_SECONDS = 60.0
_PING_SECONDS = 5.0
_POLL_SECONDS = 0.02
DRAIN_SECONDS = 60.0
_GRACE_SECONDS = 10.0


@dataclass(frozen=True)
class Endpoint:
    """Where the embedded server listens. The password is left out of its text form."""

    host: str
    port: int
    username: str
    password: str
    pid: int

    def __repr__(self) -> str:
        return f"http://{self.username}@{self.host}:{self.port} (pid {self.pid})"


@dataclass(frozen=True)
class Status:
    """What ``segops warehouse status`` shows. Without a running server, only ``home`` and ``data_bytes`` are known."""

    running: bool
    home: Path
    data_bytes: int
    pid: int | None = None
    port: int | None = None
    version: str | None = None
    uptime_seconds: int | None = None


@dataclass(frozen=True)
class Files:
    """The files of one embedded warehouse."""

    directory: Path

    @property
    def data(self) -> Path:
        """ClickHouse's data directory."""
        return self.directory / "data"

    @property
    def scratch(self) -> Path:
        """Temporary files; emptied at each start."""
        return self.directory / "tmp"

    @property
    def endpoint(self) -> Path:
        """Address and password, mode 0600."""
        return self.directory / "endpoint.json"

    @property
    def lock(self) -> Path:
        """Held while a server is started or stopped."""
        return self.directory / "start.lock"

    @property
    def owner_lock(self) -> Path:
        """Held by the server for as long as it lives."""
        return self.directory / "server.lock"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.directory / "server.log"

    @property
    def config(self) -> Path:
        """The engine's configuration, written at each start."""
        return self.directory / "engine.xml"


def ensure_running(settings: Settings) -> Endpoint:
    """The running server's endpoint; starts a server if there is none.

    Any number of processes may call this at the same time: they all get the same server.

    Raises:
        WarehouseError: the server did not come up; the message has the end of its log.
        SegOpsError: SEGOPS_CLICKHOUSE_URL is set, so there is no embedded server.
    """
    _only_embedded(settings)
    files = Files(settings.warehouse_dir)
    if (endpoint := find_running(files)) is not None:
        return endpoint
    with _locked(files):
        return find_running(files) or _start(settings, files)


def stop(settings: Settings) -> bool:
    """Stop the server after the queries that run now; whether there was one to stop.

    Raises:
        WarehouseError: it did not end in time.
    """
    _only_embedded(settings)
    files = Files(settings.warehouse_dir)
    with _locked(files):
        endpoint = find_running(files)
        if endpoint is None:
            return False
        os.kill(endpoint.pid, signal.SIGTERM)
        deadline = time.monotonic() + DRAIN_SECONDS + _GRACE_SECONDS
        while _is_alive(endpoint.pid):
            if time.monotonic() > deadline:
                raise WarehouseError(f"the warehouse (pid {endpoint.pid}) does not end; see {files.log}")
            time.sleep(_POLL_SECONDS)
    return True


def status(settings: Settings) -> Status:
    """What is known of the server and its data."""
    _only_embedded(settings)
    files = Files(settings.warehouse_dir)
    size = _size_of(files.data)
    endpoint = find_running(files)
    if endpoint is None:
        return Status(running=False, home=settings.home, data_bytes=size)
    version, uptime = _ask(endpoint, "SELECT version(), uptime()").split("\t")
    return Status(True, settings.home, size, endpoint.pid, endpoint.port, version, int(uptime))


def find_running(files: Files) -> Endpoint | None:
    """The server that the endpoint file speaks of, if it is there and proves to be the one."""
    endpoint = _read_endpoint(files.endpoint)
    if endpoint is None or not _is_alive(endpoint.pid) or not _proves_itself(endpoint):
        return None
    return endpoint


def write_endpoint(path: Path, endpoint: Endpoint) -> None:
    """Write the endpoint file whole or not at all, readable for its owner alone."""
    temporary = path.with_name(f"{path.name}.{endpoint.pid}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(endpoint), file)
    os.replace(temporary, path)


def remove_endpoint(path: Path, pid: int) -> None:
    """Remove the endpoint file if it is still that of process ``pid``."""
    endpoint = _read_endpoint(path)
    if endpoint is not None and endpoint.pid == pid:
        path.unlink(missing_ok=True)


def _only_embedded(settings: Settings) -> None:
    if settings.clickhouse_url:
        raise SegOpsError("SEGOPS_CLICKHOUSE_URL is set: that server is used, and there is no embedded warehouse")


def _locked(files: Files) -> AbstractContextManager[object]:
    from filelock import FileLock, Timeout

    try:
        files.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise WarehouseError(f"{files.directory}: cannot be created: {error.strerror}") from error
    lock = FileLock(files.lock, timeout=_START_SECONDS + DRAIN_SECONDS + _GRACE_SECONDS)
    try:
        return lock.acquire()
    except Timeout as error:
        raise WarehouseError(
            f"another process has been starting the warehouse for too long; see {files.log}"
        ) from error


def _read_endpoint(path: Path) -> Endpoint | None:
    try:
        return Endpoint(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _is_alive(pid: int) -> bool:
    import psutil

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _is_a_server(pid: int) -> bool:
    import psutil

    try:
        return _MODULE in psutil.Process(pid).cmdline()
    except psutil.Error:
        return False


def _proves_itself(endpoint: Endpoint) -> bool:
    """Ask for the proof, patiently: a server whose threads are all busy answers late, and is the one all the same.

    Raises:
        WarehouseError: somebody listens and says nothing.
    """
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        try:
            return _ping(endpoint)
        except TimeoutError:
            if not _is_a_server(endpoint.pid):
                return False
    raise WarehouseError(f"the warehouse at {endpoint!r} does not answer; is it overloaded?")


def _ping(endpoint: Endpoint) -> bool:
    nonce = secrets.token_hex(16)
    connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=_PING_SECONDS)
    try:
        connection.request("GET", f"/ping?nonce={nonce}")
        response = connection.getresponse()
        response.read()
        given = response.headers.get("X-SegOps-Proof", "")
    except TimeoutError:
        raise
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return compare_digest(given, ping_proof(endpoint.password, nonce))


def _ask(endpoint: Endpoint, sql: str) -> str:
    """Answer of one query, as tab-separated text, without the weight of a client."""
    headers = {"X-ClickHouse-User": endpoint.username, "X-ClickHouse-Key": endpoint.password}
    connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=_PING_SECONDS)
    try:
        connection.request("POST", "/", body=sql, headers=headers)
        return connection.getresponse().read().decode().strip()
    except (OSError, http.client.HTTPException) as error:
        raise WarehouseError(f"the warehouse at {endpoint!r} does not answer") from error
    finally:
        connection.close()


def _start(settings: Settings, files: Files) -> Endpoint:
    memory_limit(os.environ)  # A wrong value is better said here than in the server's log.
    files.endpoint.unlink(missing_ok=True)
    log_start = files.log.stat().st_size if files.log.exists() else 0
    with files.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", _MODULE, str(settings.warehouse_dir)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Its own session: Ctrl-C in our terminal is not meant for it.
            start_new_session=True,
            cwd="/",
            env={**os.environ, "TZ": "UTC"},
        )
    # It outlives us or we outlive it; either way nothing of it stays behind in the process table.
    threading.Thread(target=process.wait, name="reap-warehouse", daemon=True).start()
    # A predecessor may still be draining.
    deadline = time.monotonic() + _START_SECONDS + DRAIN_SECONDS
    while time.monotonic() < deadline and _is_alive(process.pid):
        if (endpoint := find_running(files)) is not None:
            return endpoint
        time.sleep(_POLL_SECONDS)
    raise WarehouseError(f"the embedded warehouse did not start.\n{_tail(files.log, log_start)}\nLog: {files.log}")


def _tail(path: Path, start: int, lines: int = 8) -> str:
    with path.open("rb") as file:
        file.seek(start)
        text = file.read().decode(errors="replace").strip()
    return "\n".join(text.splitlines()[-lines:]) or "It said nothing."


def _size_of(directory: Path) -> int:
    total = 0
    for root, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_size
            except OSError:
                continue  # Merged away while we looked.
    return total
