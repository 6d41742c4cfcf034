"""``segops erase``: delete a person's data, with a certificate."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from segops_orchestration.cli.opened import OpenTenant, open_tenant
from segops_orchestration.cli.output import format_instant, json_option, note, print_json, print_table
from segops_orchestration.settings import Settings

if TYPE_CHECKING:
    from segops_orchestration.erasure.requests import Certificate, Request

# What is deleted is gone, and a platform has not acknowledged the removal yet.
WAITING = 3


@click.command()
@click.argument("tenant")
@click.argument("user", required=False)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--force", is_flag=True, help="Also for a user of whom nothing is known.")
@click.option("--finish", "go_on", is_flag=True, help="Go on with erasures that are not finished, instead of USER.")
@click.option(
    "--leave-at",
    multiple=True,
    metavar="CONNECTOR",
    help="Finish although this connector's platform has not acknowledged the removal; repeatable.",
)
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="Wait so long while a computation of the tenant runs.",
)
@json_option
def command(
    tenant: str,
    user: str | None,
    yes: bool,
    force: bool,
    go_on: bool,
    leave_at: tuple[str, ...],
    wait: float,
    as_json: bool,
) -> None:
    """Delete all that is stored of USER in a tenant, under every id of theirs, and print a certificate.

    Events, memberships and their history, identities, what platforms were told, and exported files. Platforms that
    have the user are told to remove them. What a platform has not acknowledged is waited for: the exit code is 3, and
    --finish goes on from there, also after a crash. Without USER, lists what was erased and what waits.

    An event of USER that comes in later is that of somebody new: stop what sends them first.

    \b
    Example:
      segops erase acme ann@example.com
      segops erase acme ann@example.com --yes --json
      segops erase acme --finish
      segops erase acme
    """
    if user is not None and go_on:
        raise click.UsageError("name a USER, or say --finish for those that wait")
    if user == "":
        raise click.UsageError("USER is empty")
    with open_tenant(tenant, connectors=leave_at) as opened:
        if user is not None:
            certificates = [_finish(opened, _begin(opened, user, yes, force), wait, leave_at)]
        elif go_on:
            certificates = _finish_all(opened, wait, leave_at)
        else:
            _list(opened, as_json)
            return
    _print(tenant, user, certificates, as_json)
    if any(one.finished_at is None for one in certificates):
        sys.exit(WAITING)


def _begin(opened: OpenTenant, user: str, yes: bool, force: bool) -> Request:
    from segops_orchestration.erasure.erase import begin, find

    ids, rows = find(opened.database, user)
    if rows and not yes:
        also = f", also known as {_some([one for one in ids if one != user])}," if len(ids) > 1 else ""
        note(f"{user}{also} has {sum(rows.values()):,} rows in {len(rows)} tables of {opened.slug}.")
        click.confirm("Delete them for good?", abort=True, err=True)
    return begin(opened.database, user, getpass.getuser(), force=force)


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:5]) + (f" and {len(ids) - 5:,} more" if len(ids) > 5 else "")


def _finish(opened: OpenTenant, request: Request, wait: float, leave_at: Sequence[str]) -> Certificate:
    from segops_orchestration.api.runs.files import files_of_service
    from segops_orchestration.erasure.erase import Surroundings, finish

    settings = Settings.from_env()
    exports = (settings.exports_dir / opened.slug, files_of_service(settings) / opened.slug)
    around = Surroundings(exports, wait_seconds=wait, leave_at=frozenset(leave_at))
    return finish(opened.catalog, opened.warehouse, opened.slug, request, around)


def _finish_all(opened: OpenTenant, wait: float, leave_at: Sequence[str]) -> list[Certificate]:
    from segops_orchestration.erasure.requests import pending

    return [_finish(opened, request, wait, leave_at) for request in pending(opened.database)]


def _list(opened: OpenTenant, as_json: bool) -> None:
    from segops_orchestration.erasure.requests import certificate, certificates, pending

    waiting = [certificate(opened.database, request) for request in pending(opened.database)]
    known = {one.id for one in waiting}
    every = waiting + [one for one in certificates(opened.database) if one.id not in known]
    if as_json:
        print_json([one.document() for one in every])
        return
    if not every:
        click.echo(f"Nobody was erased from {opened.slug} yet.")
        return
    print_table(
        ["erasure", "requested at", "by", "finished at", "ids", "rows", "waits for"],
        [
            (
                one.id,
                one.requested_at,
                one.requested_by,
                one.finished_at,
                one.ids,
                sum(one.rows.values()),
                ", ".join(left.connector for left in one.waiting),
            )
            for one in every
        ],
    )
    if waiting:
        click.echo(f"Next: segops erase {opened.slug} --finish")


def _print(tenant: str, user: str | None, certificates: Sequence[Certificate], as_json: bool) -> None:
    if as_json:
        documents = [_document(one, user) for one in certificates]
        print_json(documents[0] if user is not None else documents)
        return
    if not certificates:
        click.echo(f"No erasure of {tenant} waits to be finished.")
    for one in certificates:
        _print_one(tenant, one, user)


def _document(certificate: Certificate, user: str | None) -> dict[str, Any]:
    asked = {} if user is None else {"user_id": user}
    return {**asked, **certificate.document(), "finished": certificate.finished_at is not None}


def _print_one(tenant: str, one: Certificate, user: str | None) -> None:
    whose = "" if user is None else f" of {user}"
    if one.finished_at is not None:
        click.echo(f"Certificate {one.id}: erasure{whose} from {tenant}, finished {format_instant(one.finished_at)}")
    else:
        click.echo(f"Erasure {one.id}{whose} from {tenant} is not finished.")
    click.echo(f"Requested {format_instant(one.requested_at)} by {one.requested_by}; known under {one.ids:,} id(s).")
    if one.rows:
        print_table(["table", "rows deleted"], sorted(one.rows.items()))
    else:
        click.echo("No rows were stored.")
    if one.connectors:
        rows = [(each.connector, each.type, each.answer, each.why, each.retry_at) for each in one.connectors]
        print_table(["connector", "type", "answer", "why", "again at"], rows)
    if one.files:
        print_table(["file", "what"], [(each.path, each.what) for each in one.files])
    if one.finished_at is None:
        click.echo(f"Next: segops erase {tenant} --finish")
