"""``segops warehouse``: the embedded ClickHouse of this SEGOPS_HOME."""

from __future__ import annotations

from dataclasses import asdict

import click

from segops_orchestration.cli.output import json_option, print_json, print_table
from segops_orchestration.settings import Settings


@click.group()
def command() -> None:
    """Start, stop and inspect the embedded ClickHouse.

    It starts by itself when a command or Dagster needs it, and then serves every process of this SEGOPS_HOME. Its
    memory is limited to SEGOPS_WAREHOUSE_MEMORY (such as 2GiB; default 60% of the machine, at most 4 GiB). With
    SEGOPS_CLICKHOUSE_URL set there is no embedded warehouse.

    \b
    Example:
      segops warehouse start
      segops warehouse status
      segops warehouse stop
    """


@command.command()
@json_option
def start(as_json: bool) -> None:
    """Start the warehouse, unless it runs already.

    \b
    Example:
      segops warehouse start
    """
    from segops_orchestration.warehouse.embedded import lifecycle

    settings = Settings.from_env()
    endpoint = lifecycle.ensure_running(settings)
    if as_json:
        print_json({"running": True, "pid": endpoint.pid, "port": endpoint.port, "home": settings.home})
        return
    click.echo(f"The warehouse of {settings.home} runs on {endpoint.host}:{endpoint.port} (pid {endpoint.pid}).")


@command.command()
@json_option
def stop(as_json: bool) -> None:
    """Stop the warehouse, once the queries that run now have finished.

    \b
    Example:
      segops warehouse stop
    """
    from segops_orchestration.warehouse.embedded import lifecycle

    settings = Settings.from_env()
    stopped = lifecycle.stop(settings)
    if as_json:
        print_json({"stopped": stopped, "home": settings.home})
        return
    click.echo(f"The warehouse of {settings.home} {'is stopped' if stopped else 'was not running'}.")


@command.command()
@json_option
@click.pass_context
def status(context: click.Context, as_json: bool) -> None:
    """Show whether the warehouse runs, where, and how much it holds. Exits 1 when it does not run.

    \b
    Example:
      segops warehouse status --json
    """
    from segops_orchestration.warehouse.embedded import lifecycle

    found = lifecycle.status(Settings.from_env())
    if as_json:
        print_json(asdict(found))
    else:
        rows = [
            ("running", found.running),
            ("pid", _text(found.pid)),
            ("port", _text(found.port)),
            ("ClickHouse version", found.version),
            ("uptime", None if found.uptime_seconds is None else _duration(found.uptime_seconds)),
            ("data on disk", f"{found.data_bytes / (1 << 20):,.1f} MiB"),
            ("home", found.home),
        ]
        print_table(["warehouse", ""], rows)
    context.exit(0 if found.running else 1)


def _text(number: int | None) -> str | None:
    """Without thousands separators: these are names, not amounts."""
    return None if number is None else str(number)


def _duration(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min {seconds} s" if hours else f"{minutes} min {seconds} s"
