"""``segops check``: is a user in a segment, or in which segments is a user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from segops_orchestration.cli.opened import OpenTenant, open_tenant
from segops_orchestration.cli.output import fail, format_instant, json_option, note, print_json, print_table
from segops_orchestration.errors import SegOpsError

if TYPE_CHECKING:
    from segops_orchestration.compute.check import Checked, UserSegments

IN, OUT, FAILED = 0, 1, 2


@click.command()
@click.argument("tenant")
@click.argument("user")
@click.argument("segment", required=False)
@json_option
@click.pass_context
def command(ctx: click.Context, tenant: str, user: str, segment: str | None, as_json: bool) -> None:
    """Say whether a user is in a segment; without SEGMENT, list the active segments that the user is in.

    The answer is that of each segment's last computation. computed_at is the instant of the computation in which
    the user entered. A user that was never heard of is in no segment. Write -- before a user id that begins with a
    dash.

    Exit codes are those of grep: 0 in, 1 not in, 2 no answer, because something is misspelt or out of order or the
    segment was never computed. Without SEGMENT, 0 also when the user is in none.

    \b
    Examples:
      segops check acme ada vip && echo "free shipping"
      segops check acme ada
    """
    from segops_orchestration.compute.check import check_segment, user_segments
    from segops_orchestration.compute.identities import canonical_id

    try:
        with open_tenant(tenant, [segment] if segment is not None else []) as opened:
            person = canonical_id(opened.database, user)
            if segment is None:
                _print_all(user_segments(opened.catalog, opened.database, person), opened, as_json)
                return
            checked = check_segment(opened.catalog, opened.database, segment, person)
    except SegOpsError as error:
        fail(error, as_json=as_json)
        ctx.exit(FAILED)
    _print_one(tenant, checked, as_json)
    ctx.exit(IN if checked.computed_at is not None else OUT)


def _print_one(tenant: str, checked: Checked, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "tenant": tenant,
                "user_id": checked.user_id,
                "segment": checked.segment,
                "in": checked.computed_at is not None,
                "computed_at": checked.computed_at,
            }
        )
    elif checked.computed_at is not None:
        click.echo(f"in, since {format_instant(checked.computed_at)}")
    else:
        click.echo("not in")


def _print_all(found: UserSegments, opened: OpenTenant, as_json: bool) -> None:
    if as_json:
        print_json(_document(found, opened.slug))
        return
    if found.segments:
        rows = [(one.segment, one.computed_at) for one in found.segments]
        print_table(["segment", "computed_at"], rows)
    else:
        note(f"User {found.user_id!r} is in no segment of {opened.slug}.")
    if found.never_computed:
        note(f"Never computed, so nobody knows: {', '.join(found.never_computed)}. Next: segops compute {opened.slug}")


def _document(found: UserSegments, tenant: str) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "user_id": found.user_id,
        "segments": [{"segment": one.segment, "computed_at": one.computed_at} for one in found.segments],
        "never_computed": list(found.never_computed),
    }
