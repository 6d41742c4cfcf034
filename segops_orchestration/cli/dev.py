"""``segops dev``: the warehouse, Dagster and the REST API together, in the foreground."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import FrameType

import click

from segops_orchestration.cli.api_process import ApiProcess
from segops_orchestration.cli.child_process import ChildProcess, stop_leftovers
from segops_orchestration.cli.dagster_process import DagsterProcess
from segops_orchestration.cli.dev_postgres import on_postgres
from segops_orchestration.cli.output import json_option, note, print_json
from segops_orchestration.cli.ports import free_port
from segops_orchestration.errors import SegOpsError
from segops_orchestration.settings import Settings

_START_SECONDS = 180.0
_POLL_SECONDS = 0.2

_port = click.IntRange(0, 65535)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where they listen; 0.0.0.0 lets others in.")
@click.option("--port", default=3000, show_default=True, type=_port, help="Of Dagster's UI; 0 takes a free port.")
@click.option("--api-port", default=8000, show_default=True, type=_port, help="Of the REST API; 0 takes a free port.")
@click.option("--no-api", is_flag=True, help="Leave the REST API out.")
@click.option(
    "--postgres",
    metavar="URL",
    help="Keep the catalogue and Dagster's history in this Postgres database. Its password is best in PGPASSWORD or "
    "~/.pgpass: others see what is typed here.",
)
@click.option("--verbose", is_flag=True, help="Show all that the servers say, not only errors.")
@json_option
def command(
    host: str, port: int, api_port: int, no_api: bool, postgres: str | None, verbose: bool, as_json: bool
) -> None:
    """Start the warehouse, Dagster (UI, sensor, schedules) and the REST API together; Ctrl-C stops all of it.

    New events, segments and tenants are picked up within seconds. State is kept under SEGOPS_HOME, so the next start
    goes on where this one ended. With --json, one document with the addresses is printed once they answer.

    \b
    Example:
      segops dev
      segops dev --port 3333 --api-port 8888
      segops dev --postgres postgresql://segops@localhost/segops
    """
    environ = {**os.environ, **(on_postgres(postgres) if postgres else {})}
    settings = Settings.from_env(environ)
    stops = _Stops()
    with _only_one(settings):
        if left := stop_leftovers(settings):
            note(f"Stopped {left} processes of an earlier `segops dev` that was killed.")
        ui = free_port(host, port, "segops dev --port")
        api = None if no_api else _another_port(ui, free_port(host, api_port, "segops dev --api-port"))
        try:
            with _warehouse(settings) as where, ExitStack() as servers:
                started = _start(settings, host, ui, api, environ, verbose)
                for server in started:
                    servers.callback(server.stop, stops.second)
                servers.callback(note, "Stopping ...")
                _announce(settings, started, where, stops, as_json)
                _wait(started, stops)
        except _StoppedEarly:
            pass
    note("Stopped.")


def _another_port(ui: int, api: int) -> int:
    if api == ui:
        raise SegOpsError(f"Dagster and the API cannot both have port {ui}: try another one with --api-port")
    return api


def _start(
    settings: Settings, host: str, ui: int, api: int | None, environ: Mapping[str, str], verbose: bool
) -> list[ChildProcess]:
    """Dagster, and the API unless it has no port. The API stops first: it launches runs in Dagster."""
    dagster = DagsterProcess.start(settings, host, ui, environ, verbose=verbose, show=note)
    if api is None:
        return [dagster]
    return [dagster, ApiProcess.start(settings, host, api, dagster.url, environ, verbose=verbose, show=note)]


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


def _announce(
    settings: Settings, servers: Sequence[ChildProcess], warehouse: str, stops: _Stops, as_json: bool
) -> None:
    """Wait until all of them answer, then say where."""
    note(f"Starting {' and '.join(server.name for server in servers)} for {settings.home} ...")
    waited = 0.0
    for server in servers:
        while not server.answers():
            if stops.first.wait(_POLL_SECONDS):
                raise _StoppedEarly
            waited += _POLL_SECONDS
            if not server.is_alive or waited > _START_SECONDS:
                raise _failure(server, "did not start")
    dagster, api = servers[0], servers[1] if len(servers) > 1 else None
    if as_json:
        addresses = {"url": dagster.url, "api_url": f"{api.url}/api/" if api else None}
        print_json({**addresses, "home": settings.home, "pid": os.getpid(), "log": dagster.log})
        return
    click.echo(f"Dagster UI:  {dagster.url}")
    if api:
        click.echo(f"REST API:    {api.url}/api/ (documentation: {api.url}/api/docs)")
    click.echo(f"Warehouse:   {warehouse}")
    click.echo(f"Logs:        {', '.join(str(server.log) for server in servers)}")
    click.echo("Ctrl-C stops all of it.")


def _wait(servers: Sequence[ChildProcess], stops: _Stops) -> None:
    while not stops.first.wait(_POLL_SECONDS):
        for server in servers:
            if not server.is_alive:
                raise _failure(server, "ended by itself")


def _failure(server: ChildProcess, how: str) -> SegOpsError:
    return SegOpsError(f"{server.name} {how}.\n{server.tail()}\nLog: {server.log}")
