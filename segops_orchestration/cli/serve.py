"""``segops serve``: the REST API, in the foreground."""

from __future__ import annotations

import click

from segops_orchestration.cli.output import note
from segops_orchestration.cli.ports import free_port
from segops_orchestration.settings import Settings


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where it listens; 0.0.0.0 lets others in.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free port.")
@click.option(
    "--log-level", default="info", show_default=True, type=click.Choice(["debug", "info", "warning", "error"])
)
@click.option(
    "--proxy",
    "trusted",
    metavar="ADDRESSES",
    default="127.0.0.1",
    show_default=True,
    help="Proxies whose X-Forwarded-* headers are believed, comma separated; * for all.",
)
def command(host: str, port: int, log_level: str, trusted: str) -> None:
    """Serve the REST API until Ctrl-C. Its documentation is at /api/docs.

    Somebody must be able to log in first: segops users create, segops keys create. Logs are lines of JSON on stderr.

    \b
    Example:
      segops users create ada@example.com --tenant shop --role owner
      segops serve --port 8000
    """
    import uvicorn

    from segops_orchestration.api.app import make_app
    from segops_orchestration.api.logs import log_as_json

    settings = Settings.from_env()
    port = free_port(host, port, "segops serve --port")
    log_as_json(log_level)
    note(f"SegOps API on http://{host}:{port}/api/ (documentation: /api/docs). Ctrl-C stops it.")
    uvicorn.run(
        make_app(settings),
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=trusted,
        timeout_graceful_shutdown=30,
        # Longer than proxies and clients keep an idle connection, so that none of them writes into a closed one.
        timeout_keep_alive=75,
    )
