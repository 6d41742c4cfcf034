"""``segops webhooks``: who is told when a segment has been recomputed, and what became of the messages."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from segops_orchestration.activation.hidden import HIDDEN, shown_url
from segops_orchestration.cli.output import json_option, print_json, print_table
from segops_orchestration.errors import Conflict, InvalidDocument, Problem
from segops_orchestration.settings import Settings

if TYPE_CHECKING:
    from segops_orchestration.activation.notices import NoticeResult
    from segops_orchestration.catalog.catalog import Catalog
    from segops_orchestration.catalog.webhook_records import Endpoint, Message

_STATUSES = ("pending", "delivered", "dead")


@click.group()
def command() -> None:
    """Tell your own systems when a segment has been recomputed.

    Each endpoint of a tenant gets a signed `segment.recomputed` message for every committed computation that changed
    who is in a segment. One that does not arrive is tried again for 16 hours, then it is dead until you redeliver it.
    To be sent the users themselves, create a connector of type webhook: segops connectors types webhook.

    \b
    Example:
      segops webhooks create acme https://example.com/hooks/segops
      segops webhooks test acme 1
      segops webhooks deliveries acme --status dead
      segops webhooks redeliver acme --dead
    """


@command.command()
@click.argument("tenant")
@click.argument("url")
@click.option(
    "--secret", "reference", metavar="env:VARIABLE", help="Sign with this secret. Default: a new one, shown once."
)
@click.option("--event", "events", multiple=True, help="What to tell; repeatable. Default: all there is.")
@click.option("--if-not-exists", is_flag=True, help="Be content with an endpoint of this URL that exists already.")
@json_option
def create(
    tenant: str, url: str, reference: str | None, events: tuple[str, ...], if_not_exists: bool, as_json: bool
) -> None:
    """Have URL told what is committed from now on.

    The secret is what the receiver verifies messages with: keep it there. It is stored encrypted and not shown again.

    \b
    Example:
      segops webhooks create acme https://example.com/hooks/segops
      segops webhooks create acme https://example.com/hooks/segops --secret env:HOOK_SECRET
    """
    from segops_orchestration.activation.signing import new_secret
    from segops_orchestration.catalog.webhook_records import EVENT_TYPES

    _check_url(url)
    secret = new_secret() if reference is None else _given(reference)
    with _catalog() as catalog:
        try:
            endpoint, created = catalog.webhooks.create(tenant, url, secret, events or EVENT_TYPES), True
        except Conflict:
            found = [one for one in catalog.webhooks.every(tenant) if one.url == url]
            if not if_not_exists or not found:
                raise
            endpoint, created = found[0], False
    shown = {"secret": secret} if created and reference is None else {}
    if as_json:
        print_json({**asdict(endpoint), "url": shown_url(url), "created": created, **shown})
        return
    click.echo(f"Endpoint {endpoint.id} {'is created' if created else 'exists already'}: {shown_url(url)}")
    if shown:
        click.echo(f"Its secret, shown this once: {secret}")
    click.echo(f"Next: segops webhooks test {tenant} {endpoint.id}")


@command.command(name="list")
@click.argument("tenant")
@json_option
def list_(tenant: str, as_json: bool) -> None:
    """List a tenant's endpoints, and how many messages wait or are dead.

    \b
    Example:
      segops webhooks list acme --json
    """
    with _catalog() as catalog:
        endpoints = catalog.webhooks.every(tenant)
    if as_json:
        print_json([_shown(endpoint) for endpoint in endpoints])
        return
    if not endpoints:
        click.echo(f"{tenant} tells nobody yet. Tell somebody: segops webhooks create {tenant} URL")
        return
    columns = ["endpoint", "url", "status", "pending", "dead", "last delivered", "why"]
    rows = [
        (one.id, shown_url(one.url), one.status, one.pending, one.dead, one.delivered_at, one.status_reason)
        for one in endpoints
    ]
    print_table(columns, rows)


@command.command()
@click.argument("tenant")
@click.argument("endpoint", type=int)
@json_option
def test(tenant: str, endpoint: int, as_json: bool) -> None:
    """Post a signed `webhook.test` message, once. Exit 1 unless it is answered with 2xx.

    \b
    Example:
      segops webhooks test acme 1
    """
    from segops_orchestration.activation.notices import try_endpoint

    with _catalog() as catalog:
        attempt = try_endpoint(catalog, tenant, endpoint)
        url = shown_url(catalog.webhooks.get(tenant, endpoint).url)
    if as_json:
        print_json({"endpoint": endpoint, "ok": attempt.arrived, "status": attempt.status, "error": attempt.error})
    else:
        click.echo(f"{url} answered {attempt.status}" if attempt.arrived else f"{url}: {attempt.error}")
    if not attempt.arrived:
        sys.exit(1)


@command.command()
@click.argument("tenant")
@click.option("--endpoint", type=int, help="Of this endpoint alone.")
@click.option("--status", type=click.Choice(_STATUSES), help="Only these.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="How many at most.")
@json_option
def deliveries(tenant: str, endpoint: int | None, status: Any, limit: int, as_json: bool) -> None:
    """List messages, newest first, and what their receivers said. They are kept for 30 days after they ended.

    \b
    Example:
      segops webhooks deliveries acme --status dead
    """
    with _catalog() as catalog:
        messages = catalog.webhooks.messages(tenant, endpoint, status=status, limit=limit)
    if as_json:
        print_json([asdict(message) for message in messages])
        return
    if not messages:
        click.echo("There are none.")
        return
    columns = ["message", "endpoint", "status", "attempts", "last attempt", "next attempt", "answer", "what it said"]
    print_table(columns, [_row(message) for message in messages])


@command.command()
@click.argument("tenant")
@click.argument("messages", nargs=-1)
@click.option("--dead", is_flag=True, help="All dead messages.")
@click.option("--endpoint", type=int, help="Of this endpoint alone.")
@json_option
def redeliver(tenant: str, messages: tuple[str, ...], dead: bool, endpoint: int | None, as_json: bool) -> None:
    """Send messages again, now, under their ids: those named, or all dead ones.

    One that does not arrive has all its attempts before it again. Exit 1 if not everything arrived.

    \b
    Example:
      segops webhooks redeliver acme --dead
      segops webhooks redeliver acme msg_5f0c1b7e2a9d4c3e8f6a7b8c9d0e1f2a
    """
    if bool(messages) == dead:
        raise click.UsageError("name messages, or say --dead for all that are dead")
    with _catalog() as catalog:
        due = catalog.webhooks.redeliver(tenant, messages or None, endpoint_id=endpoint)
        result = _announce(catalog, tenant)
    _report(result, as_json, {"redelivered": [message.message_id for message in due]})


@command.command()
@click.argument("tenant")
@json_option
def send(tenant: str, as_json: bool) -> None:
    """Send what is due, now: what was committed since the last time, and what did not arrive and has paused enough.

    Call it after computing, and every minute or so for what has to be tried again. Exit 1 if not everything arrived.

    \b
    Example:
      segops compute acme && segops webhooks send acme
    """
    with _catalog() as catalog:
        result = _announce(catalog, tenant)
    _report(result, as_json, {})


@command.command()
@click.argument("tenant")
@click.argument("endpoint", type=int)
@json_option
def enable(tenant: str, endpoint: int, as_json: bool) -> None:
    """Take up an endpoint that a 410 disabled. What was committed meanwhile is not made up for.

    \b
    Example:
      segops webhooks enable acme 1
    """
    with _catalog() as catalog:
        enabled = catalog.webhooks.enable(tenant, endpoint)
    if as_json:
        print_json(_shown(enabled))
        return
    click.echo(f"Endpoint {endpoint} is active: {shown_url(enabled.url)}")


@command.command()
@click.argument("tenant")
@click.argument("endpoint", type=int)
@json_option
def delete(tenant: str, endpoint: int, as_json: bool) -> None:
    """Delete an endpoint and its messages, those that wait too.

    \b
    Example:
      segops webhooks delete acme 1
    """
    with _catalog() as catalog:
        deleted = catalog.webhooks.delete(tenant, endpoint)
    if as_json:
        print_json(_shown(deleted))
        return
    click.echo(f"Endpoint {endpoint} is deleted: {shown_url(deleted.url)}")


def _catalog() -> Catalog:
    from segops_orchestration.catalog.catalog import Catalog

    return Catalog.open(Settings.from_env())


def _announce(catalog: Catalog, tenant: str) -> NoticeResult:
    from segops_orchestration.activation.notices import announce

    return announce(catalog, tenant)


def _check_url(url: str) -> None:
    from segops_orchestration.activation.safe_targets import parse_target

    try:
        parse_target(url)
    except ValueError as error:
        # Not repeated: there may be a password in it.
        raise InvalidDocument([Problem("url", str(error))]) from None


def _given(reference: str) -> str:
    from segops_orchestration.activation.connector_file import secret_reference_fault, variable_of
    from segops_orchestration.activation.signing import check_secret

    if secret_reference_fault(reference) is not None:
        raise click.UsageError(
            "--secret takes env:VARIABLE. The secret itself does not belong on a command line, where the shell's"
            " history and the list of processes keep it."
        )
    variable = variable_of(reference)
    text = os.environ.get(variable)
    if text is None:
        raise InvalidDocument([Problem("secret", f"the environment variable {variable} is not set")])
    try:
        return check_secret(text)
    except ValueError as error:
        raise InvalidDocument([Problem(f"secret, from {variable}", str(error))]) from None


def _shown(endpoint: Endpoint) -> dict[str, Any]:
    return {**asdict(endpoint), "url": shown_url(endpoint.url), "secret": HIDDEN}


def _row(message: Message) -> tuple[object, ...]:
    due = message.next_attempt_at if message.status == "pending" else None
    return (
        message.message_id,
        message.endpoint_id,
        message.status,
        message.attempts,
        message.last_attempt_at,
        due,
        message.last_status,
        message.last_error or "",
    )


def _report(result: NoticeResult, as_json: bool, more: dict[str, Any]) -> None:
    bad = result.failed + result.dead + result.disabled
    if as_json:
        print_json({**asdict(result), **more})
    else:
        click.echo(f"{result.delivered:,} delivered, {bad:,} not.")
        if bad:
            click.echo("segops webhooks deliveries says why.")
    if bad:
        sys.exit(1)
