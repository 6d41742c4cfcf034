"""``segops connectors``: segments' members in the platforms that marketers work in."""

from __future__ import annotations

import click

from segops_orchestration.cli.connector_changes import apply, create, rotate_secrets, update
from segops_orchestration.cli.connector_rejected import rejected
from segops_orchestration.cli.connector_states import approve, delete, pause, resume
from segops_orchestration.cli.connector_sync import sync
from segops_orchestration.cli.connector_tests import test
from segops_orchestration.cli.connector_verify import verify
from segops_orchestration.cli.connector_views import list_, log, show, types


@click.group()
def command() -> None:
    """Send the members of segments to Klaviyo, Braze, Talon.One or your own webhooks, and take out those who left.

    A connector is one segment in one audience of one platform. Each sync sends the difference between the members and
    what the platform has confirmed, so a crash or a lost answer loses nobody. A change that is suspiciously large is
    held until somebody approves it.

    \b
    Example:
      segops connectors types klaviyo
      segops connectors create acme --segment vip --type klaviyo --config list_id=Y6nRLr
      segops connectors test acme vip-klaviyo
      segops connectors sync acme vip-klaviyo --dry-run
      segops connectors sync acme
    """


_COMMANDS = (
    *(types, create, apply, list_, show, update, test, sync, pause, resume, approve, delete),
    *(verify, rejected, log, rotate_secrets),
)
for one in _COMMANDS:
    command.add_command(one)
