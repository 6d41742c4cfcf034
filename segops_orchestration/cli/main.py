"""The ``segops`` command: a table of contents. Each subcommand lives in the module that bears its name."""

from __future__ import annotations

import importlib
import sys

import click

from segops_orchestration.cli.output import fail, fail_usage
from segops_orchestration.errors import SegOpsError

# name -> (module, one line of help). Modules load when called, so `segops --help` stays fast.
COMMANDS: dict[str, str] = {
    "demo": "Run the whole job on bundled real data: ingest, full, delta, exports.",
    "dev": "Start the warehouse and Dagster together; Ctrl-C stops all of it.",
    "serve": "Serve the REST API; programs and people use SegOps through it.",
    "tenants": "Create, list and archive tenants.",
    "users": "Create people who log in, let them in and lock them out.",
    "team": "Say who may do what in a tenant.",
    "keys": "Create, list and revoke the API keys of a tenant.",
    "audit": "List who changed people, teams and keys.",
    "ingest": "Load events from CSV, Parquet or JSON lines files.",
    "segments": "Validate, test, apply, list and show segments written as files.",
    "plan": "Show what segment files would change, and who would enter and leave.",
    "schema": "Print the JSON Schema of segment files, for editors.",
    "compute": "Compute memberships, in full or by delta.",
    "members": "List the members of a segment, now or at an earlier instant.",
    "changes": "List who entered and left, computation by computation.",
    "check": "Say whether a user is in a segment, or list a user's segments.",
    "explain": "Say why a user is in a segment or not, and until when.",
    "status": "Show what each segment of a tenant holds and when it was computed.",
    "connectors": "Send members to Klaviyo, Braze, Talon.One and webhooks, and take out those who left.",
    "webhooks": "Tell your own systems when a segment has been recomputed.",
    "export": "Write members to CSV or Parquet files.",
    "identity": "Say which ids are one person's, and show it.",
    "erase": "Delete a person's data for good, platforms included, with a certificate.",
    "platform-sandbox": "Serve a stand-in for Klaviyo, Braze, Talon.One or a webhook, to try connectors with.",
    "warehouse": "Start, stop and inspect the embedded ClickHouse.",
}


class LazyGroup(click.Group):
    """A group whose commands are ``segops_orchestration.cli.<name>:command``, imported on use; - is _ there."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(
            f"segops_orchestration.cli.{cmd_name.replace('-', '_')}"
        ).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="segops-orchestration", prog_name="segops")
def cli() -> None:
    """Audience segmentation over ClickHouse, orchestrated by Dagster.

    State lives under SEGOPS_HOME (default: .segops in the working directory). SEGOPS_CLICKHOUSE_URL points at a
    ClickHouse server instead of the embedded one.

    \b
    First steps:
      segops demo                 the whole job on real purchases
      segops tenants create acme  your own tenant
      segops ingest acme events.csv
      segops dev                  the Dagster UI
    """


def main() -> None:
    """Entry point. A SegOpsError becomes one message and exit code 1; anything else is a bug and shows itself.

    With --json errors are JSON too, on stderr; so are mistakes in what was typed, which exit with 2.
    """
    as_json = "--json" in sys.argv[1:]
    try:
        # Not standalone, click leaves its errors to us, and gives back the exit code of --help.
        code = cli.main(prog_name="segops", standalone_mode=not as_json)
    except SegOpsError as error:
        fail(error, as_json=as_json)
        sys.exit(1)
    except click.ClickException as error:
        fail_usage(error)
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)
