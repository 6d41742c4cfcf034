"""``segops connectors test``: harmless calls that say whether a connector can deliver."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import asdict

import click

from segops_orchestration.cli.output import json_option, print_json, print_table
from segops_orchestration.settings import Settings

# Somebody is waiting.
_PATIENCE_SECONDS = 5.0


@click.command()
@click.argument("tenant")
@click.argument("connector")
@json_option
def test(tenant: str, connector: str, as_json: bool) -> None:
    """Ask the platform whether key and target are right.

    Harmless calls: no user is sent, nothing is changed. Exit 1 if something is wrong.

    \b
    Example:
      segops connectors test acme vip-klaviyo
    """
    from segops_orchestration.activation.opening import open_platform
    from segops_orchestration.catalog.catalog import Catalog

    with Catalog.open(Settings.from_env()) as catalog:
        found = catalog.connectors.get(tenant, connector)
        with closing(open_platform(catalog, found, patience_seconds=_PATIENCE_SECONDS)) as platform:
            findings = platform.test()
    ok = all(one.ok for one in findings)
    if as_json:
        print_json({"connector": connector, "ok": ok, "findings": [asdict(one) for one in findings]})
    else:
        print_table(["what", "result", ""], [(one.name, "ok" if one.ok else "WRONG", one.detail) for one in findings])
        if ok:
            step = "resume" if found.status in ("error", "paused") else "sync"
            click.echo(f"Next: segops connectors {step} {tenant} {connector}")
    if not ok:
        sys.exit(1)
