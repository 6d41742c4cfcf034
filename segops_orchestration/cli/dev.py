"""``segops dev``: the warehouse and Dagster together, in the foreground."""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

from segops_orchestration.cli.dagster_process import DagsterProcess, stop_leftovers
from segops_orchestration.cli.output import json_option, note, print_json
from segops_orchestration.errors import SegOpsError
from segops_orchestration.settings import Settings

_START_SECONDS = 180.0
_POLL_SECONDS = 0.2
_PORTS_TRIED = 50


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the UI listens; 0.0.0.0 lets others in.")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free port.")
@click.option("--verbose", is_flag=True, help="Show all that Dagster says, not only errors.")
@json_option
def command(host: str, port: int, verbose: bool, as_json: bool) -> None:
    """Start the warehouse and Dagster (UI, sensor and schedules) together; Ctrl-C stops all of it.

    New events, segments and tenants are picked up within seconds. State is kept under SEGOPS_HOME, so the next start
    goes on where this one ended. With --json, one document with the UI's address is printed once it answers.

    \b
    Example:
      segops dev
      segops dev --port 3333
    """
    settings = Settings.from_env()
    stops = _Stops()
    with _only_one(settings):
        if left := stop_leftovers(settings):
            note(f"Stopped {left} processes of an earlier `segops dev` that was killed.")
        port = _free_port(host, port)
        try:
            with _warehouse(settings) as where:
                dagster = DagsterProcess.start(settings, host, port, verbose=verbose, show=_show)
                try:
                    _announce(settings, dagster, where, stops, as_json)
                    _wait(dagster, stops)
                finally:
                    note("Stopping ...")
                    dagster.stop(stops.second)
        except _StoppedEarly:
            pass
    note("Stopped.")


class _StoppedEarly(Exception):
    """Ctrl-C before everything was up."""


class _Stops:
    """Ctrl-C, SIGTERM and a closed terminal. The first asks to stop, the second to hurry."""

    def __init__(self) -> None:
        self.first = threading.Event()
        self.second = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._asked)

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if self.first.is_set():
            self.second.set()
        self.first.set()


@contextmanager
def _only_one(settings: Settings) -> Iterator[None]:
    """Two daemons over one history would launch everything twice."""
    from filelock import FileLock, Timeout

    path = settings.dagster_home / "dev.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SegOpsError(f"cannot create {path.parent}: {error.strerror}") from error
    try:
        with FileLock(path, timeout=0):
            yield
    except Timeout as error:
        raise SegOpsError(
            f"`segops dev` runs already for {settings.home}; stop it first, or set SEGOPS_HOME to another directory"
        ) from error


@contextmanager
def _warehouse(settings: Settings) -> Iterator[str]:
    """The running warehouse, as a text for people. The embedded one is stopped in the end, whoever started it."""
    if settings.clickhouse_url:
        from segops_orchestration.warehouse.client import Warehouse

        connection = Warehouse.connect(settings)
        connection.close()
        yield f"ClickHouse at {connection.address!r}"
        return
    from segops_orchestration.warehouse.embedded import lifecycle

    endpoint = lifecycle.ensure_running(settings)
    try:
        yield f"embedded, on {endpoint.host}:{endpoint.port}, in {settings.warehouse_dir}"
    finally:
        lifecycle.stop(settings)


def _announce(settings: Settings, dagster: DagsterProcess, warehouse: str, stops: _Stops, as_json: bool) -> None:
    """Wait until the UI answers, then say where."""
    note(f"Starting Dagster for {settings.home} ...")
    waited = 0.0
    while not dagster.answers():
        if stops.first.wait(_POLL_SECONDS):
            raise _StoppedEarly
        waited += _POLL_SECONDS
        if not dagster.is_alive or waited > _START_SECONDS:
            raise SegOpsError(f"Dagster did not start.\n{dagster.tail()}\nLog: {dagster.log}")
    if as_json:
        print_json({"url": dagster.url, "home": settings.home, "pid": os.getpid(), "log": dagster.log})
        return
    click.echo(f"Dagster UI:  {dagster.url}")
    click.echo(f"Warehouse:   {warehouse}")
    click.echo(f"Log:         {dagster.log}")
    click.echo("Ctrl-C stops all of it.")


def _wait(dagster: DagsterProcess, stops: _Stops) -> None:
    while not stops.first.wait(_POLL_SECONDS):
        if not dagster.is_alive:
            raise SegOpsError(f"Dagster ended by itself.\n{dagster.tail()}\nLog: {dagster.log}")


def _free_port(host: str, port: int) -> int:
    """The port, if it can be listened on.

    Raises:
        SegOpsError: it is taken (the message names one that is free), or the host is none of this machine's.
    """
    refused = _refusal(host, port)
    if refused is None:
        return port or _any_port(host)
    if refused.errno != errno.EADDRINUSE:
        raise SegOpsError(f"cannot listen on {host}:{port}: {refused.strerror or refused}")
    candidates = range(port + 1, min(port + _PORTS_TRIED, 65535) + 1)
    free = next((candidate for candidate in candidates if _refusal(host, candidate) is None), 0)
    raise SegOpsError(f"port {port} is in use by another program; try `segops dev --port {free}`")


def _refusal(host: str, port: int) -> OSError | None:
    try:
        with _listening(host, port):
            return None
    except OSError as error:
        return error


def _any_port(host: str) -> int:
    with _listening(host, 0) as listener:
        number: int = listener.getsockname()[1]
    return number


def _listening(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1)
    except BaseException:
        listener.close()
        raise
    return listener


def _show(line: str) -> None:
    note(f"dagster | {line}")
