"""``segops platform-sandbox``: a platform to try connectors with, where nothing can go wrong that matters."""

from __future__ import annotations

import json
import signal
from typing import Any

import click

from segops_orchestration.activation.sandbox import SANDBOXES
from segops_orchestration.cli.output import json_option
from segops_orchestration.errors import SegOpsError

_LATENCY_MS = (50, 100)


@click.command()
@click.argument("type_", metavar="TYPE", type=click.Choice(list(SANDBOXES)))
@click.option("--port", default=0, show_default="any free one", help="Where to listen.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--speed", default=1.0, show_default=True, help="Multiplies every limit of the vendor.")
@click.option(
    "--latency-ms", nargs=2, type=float, default=_LATENCY_MS, show_default=True, help="The least and most of an answer."
)
@json_option
def command(type_: str, port: int, host: str, speed: float, latency_ms: tuple[float, float], as_json: bool) -> None:
    """Serve a stand-in for a platform until Ctrl-C.

    TYPE is klaviyo, braze, talon_one or webhook. It is strict about the vendor's contract and limits and keeps its
    audience in memory. What it prints is what a connector needs.

    \b
    Its own calls:
      GET  /_sandbox/state        counts, limits broken, what it was told to do wrong
      GET  /_sandbox/members      who is in the audience
      GET  /_sandbox/violations   what a caller did against the contract or above a limit
      POST /_sandbox/misbehave    {"kind": "429", "wait": 5}; an unknown kind is answered with all there are
      POST /_sandbox/behave       calls all of that off

    \b
    Example:
      segops platform-sandbox klaviyo --port 8089
      curl -X POST localhost:8089/_sandbox/misbehave -d '{"kind": "500", "times": 3}'
      curl localhost:8089/_sandbox/state
    """
    from segops_orchestration.activation.sandbox import sandbox_class
    from segops_orchestration.activation.sandbox.server import SandboxServer

    if speed <= 0:
        raise click.BadParameter("it is above 0", param_hint="--speed")
    if not 0 <= latency_ms[0] <= latency_ms[1]:
        raise click.BadParameter("the least comes first, and neither is below 0", param_hint="--latency-ms")
    sandbox = sandbox_class(type_)(speed=speed)
    try:
        server = SandboxServer(sandbox, host=host, port=port, latency=(latency_ms[0] / 1000, latency_ms[1] / 1000))
    except OSError as error:
        raise SegOpsError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    # SIGINT too: a shell that starts a command in the background has it ignored from the beginning.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupted)
    with server:
        try:
            _say(server.url, type_, sandbox.connector_config(server.url), dict(sandbox.secrets), as_json=as_json)
            server.wait()
        except KeyboardInterrupt:
            click.echo("stopped", err=True)


def _say(url: str, type_: str, config: dict[str, Any], secrets: dict[str, str], *, as_json: bool) -> None:
    """The first thing on stdout, before any call is answered; a script reads it and goes on."""
    if as_json:
        click.echo(json.dumps({"url": url, "type": type_, "config": config, "secrets": secrets}))
        return
    click.echo(f"A sandbox of {type_} on {url}; Ctrl-C stops it. A connector to it has")
    for name, value in {**config, **secrets}.items():
        click.echo(f"  {name}: {value}")


def _interrupted(number: int, frame: Any) -> None:
    raise KeyboardInterrupt
