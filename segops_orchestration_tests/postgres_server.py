"""A private Postgres server of the installed binaries, for as long as a test session lasts.

Run as a program, which takes nothing but Python, it says where the binaries are, or fails and says what to install.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Of a server that is there already and whose role is a superuser; used in place of a private one.
URL_VARIABLE = "SEGOPS_TEST_POSTGRES_URL"
USER, PASSWORD = "segops", "a-password-to-look-for"

NOT_FOUND = (
    "Postgres is not installed: no initdb and postgres in /usr/lib/postgresql/*/bin, in the directory of pg_config, "
    f"or on the PATH. On Debian: apt-get install postgresql. Or set {URL_VARIABLE}."
)

_NEEDED = ("initdb", "postgres")
_START_SECONDS = 60.0
# Nothing here has to survive the machine.
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "max_connections": "200",
    "shared_buffers": "32MB",
}
# Whoever holds the other end of its standard input may be killed: then the server and its files go, too.
_UNTIL_INPUT_ENDS = (
    'directory=$1; shift; "$@" & server=$!; cat >/dev/null; kill -QUIT $server; wait; rm -rf "$directory"'
)


def binaries() -> Path | None:
    """The directory of the newest installed Postgres; None without one."""
    return next((found for found in _candidates() if all((found / name).is_file() for name in _NEEDED)), None)


def _candidates() -> Iterator[Path]:
    def version(path: Path) -> float:
        try:
            return float(path.parent.name)
        except ValueError:
            return 0.0

    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=version, reverse=True)
    if shutil.which("pg_config"):
        yield Path(subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=True).stdout.strip())
    if on_path := shutil.which("initdb"):
        yield Path(on_path).resolve().parent


@contextmanager
def private_server() -> Iterator[str]:
    """A new server's URL; it listens on a Unix socket alone, and is gone afterwards."""
    found = binaries()
    if found is None:
        raise RuntimeError(NOT_FOUND)
    # Short, because a socket's path must be, and not below pytest's own, which only its user may enter.
    directory = Path(tempfile.mkdtemp(prefix="segops-pg-"))
    identity = _unprivileged()
    if identity:
        os.chown(directory, identity["user"], identity["group"])
    try:
        _initialize(found, directory, identity)
        with _running(found, directory, identity):
            yield f"postgresql://{USER}:{PASSWORD}@/postgres?host={directory}"
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _unprivileged() -> dict[str, Any]:
    """What makes a subprocess somebody else: Postgres refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    names = {one.pw_name: one for one in pwd.getpwall()}
    somebody = names.get("postgres") or names["nobody"]
    return {"user": somebody.pw_uid, "group": somebody.pw_gid, "extra_groups": []}


def _initialize(found: Path, directory: Path, identity: dict[str, Any]) -> None:
    password = directory / "password"
    password.write_text(PASSWORD)
    if identity:
        os.chown(password, identity["user"], identity["group"])
    command = [found / "initdb", "-D", directory / "data", "-U", USER, "--pwfile", password, "-A", "scram-sha-256"]
    done = subprocess.run(
        [*map(str, command), "-E", "UTF8", "--locale", "C", "--no-sync"],
        cwd=directory, capture_output=True, text=True, check=False, **identity,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"initdb failed: {done.stderr}")


@contextmanager
def _running(found: Path, directory: Path, identity: dict[str, Any]) -> Iterator[None]:
    options = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
    server = [found / "postgres", "-D", directory / "data", "-k", directory, *options]
    command = ["sh", "-c", _UNTIL_INPUT_ENDS, "sh", *map(str, (directory, *server))]
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=directory, stdin=subprocess.PIPE, stdout=log, stderr=log, **identity,
        )  # fmt: skip
    try:
        _wait_until_it_answers(directory, process)
        yield
    finally:
        process.communicate()


def _wait_until_it_answers(directory: Path, process: subprocess.Popen[Any]) -> None:
    import psycopg2  # type: ignore[import-untyped]

    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            psycopg2.connect(user=USER, password=PASSWORD, dbname="postgres", host=str(directory)).close()
            return
        except psycopg2.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                said = (directory / "log").read_text()
                raise RuntimeError(f"Postgres did not start: {error}\n{said}") from error
        time.sleep(0.05)


if __name__ == "__main__":
    directory_of_binaries = binaries()
    if directory_of_binaries is None:
        sys.exit(NOT_FOUND)
    sys.stdout.write(f"Postgres: {directory_of_binaries}\n")
