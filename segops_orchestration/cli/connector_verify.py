"""``segops connectors verify``: what the platform really holds, against what it has confirmed."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from segops_orchestration.cli.connector_output import print_hold
from segops_orchestration.cli.connector_sync import FAILED, HELD, print_results, result_document
from segops_orchestration.cli.members import one_line
from segops_orchestration.cli.opened import open_tenant
from segops_orchestration.cli.output import json_option, print_json, print_table

if TYPE_CHECKING:
    from segops_orchestration.activation.verify import Verification

_DRIFTED = 1


@click.command()
@click.argument("tenant")
@click.argument("connector")
@click.option("--repair", is_flag=True, help="Bring the audience back to the members of the segment.")
@click.option("--remove-strangers", is_flag=True, help="With --repair: remove also those whom nobody here added.")
@json_option
def verify(tenant: str, connector: str, repair: bool, remove_strangers: bool, as_json: bool) -> None:
    """Read the audience back and compare it with what was sent.

    Users are missing when the platform confirmed them and does not have them, surplus when it has them although they
    were removed or refused, strangers when they are in the audience and never came from here. Strangers are no fault:
    others may fill the same audience. A repair is a sync from what was found; its size can hold it, too.

    Webhooks, and some platforms in some configurations, cannot be read back.

    \b
    Exit codes: 0 no drift, or it is repaired, 1 users are missing or surplus, or it failed,
    2 mistyped, 3 the repair is held for its size.

    \b
    Example:
      segops connectors verify acme vip-klaviyo
      segops connectors verify acme vip-klaviyo --repair
    """
    from segops_orchestration.activation.verify import verify as run

    if remove_strangers and not repair:
        raise click.UsageError("--remove-strangers goes with --repair.")
    with open_tenant(tenant, connectors=[connector]) as opened:
        found = run(
            opened.catalog, opened.warehouse, tenant, connector, repair=repair, remove_strangers=remove_strangers
        )
    if as_json:
        drift = None if found.drift is None else asdict(found.drift)
        print_json({"drift": drift, "result": result_document(found.result)})
    else:
        _print(tenant, connector, found, repair)
    sys.exit(_exit_code(found, repair))


def _exit_code(found: Verification, repair: bool) -> int:
    if found.result.outcome == "held":
        return HELD
    if found.result.outcome != "succeeded":
        return FAILED
    drifted = found.drift is not None and (found.drift.missing or found.drift.surplus)
    return _DRIFTED if drifted and not repair else 0


def _print(tenant: str, connector: str, found: Verification, repair: bool) -> None:
    drift = found.drift
    if drift is not None:
        rows = [
            ("missing", drift.missing, drift.missing_users),
            ("surplus", drift.surplus, drift.surplus_users),
            ("strangers", drift.strangers, drift.stranger_users),
        ]
        print_table(["drift", "users", "such as"], [(name, number, _some(users)) for name, number, users in rows])
        click.echo(f"The audience has {drift.found:,} users.")
    result = found.result
    if result.outcome == "held" and result.hold is not None:
        print_hold(result.connector, result.hold)
    elif repair or result.outcome != "succeeded":
        print_results([result])
    elif drift is not None and (drift.missing or drift.surplus):
        click.echo(f"Next: segops connectors verify {tenant} {connector} --repair")


def _some(users: tuple[str, ...]) -> str:
    return ", ".join(one_line(user) for user in users)
