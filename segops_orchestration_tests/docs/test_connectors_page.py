"""The page about connectors: its example is a connector, its commands and words are those of the program."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from segops_orchestration.activation.connector_file import parse_connector_text
from segops_orchestration.activation.rejections import RETRY_AFTER
from segops_orchestration.catalog.connector_records import ConnectorStatus
from segops_orchestration.cli.connectors import command
from segops_orchestration.warehouse.client import TenantWarehouse

PAGE = (Path(__file__).parents[2] / "docs" / "connectors.md").read_text(encoding="utf-8")


def test_the_example_is_a_connector() -> None:
    [text] = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

    document = parse_connector_text(text, format="yaml")

    assert (document.spec.slug, document.variables) == ("vip-klaviyo", {"api_key": "KLAVIYO_KEY"})


def test_the_commands_and_their_options_exist() -> None:
    [block] = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    spans = [f"segops connectors {span}" for span in re.findall(r"`([a-z]+ --[a-z-]+.*?)`", PAGE)]
    lines = [*block.splitlines(), *spans]

    assert len(lines) > 8
    for words in map(str.split, lines):
        named = command.commands[words[2]]
        options = {option for parameter in named.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, words


def test_every_status_is_explained() -> None:
    assert re.findall(r"^\| `([a-z]+)` \|", PAGE, re.MULTILINE) == list(get_args(ConnectorStatus))


def test_the_times_of_the_next_tries_are_those_of_the_program() -> None:
    minutes = [int(wait.total_seconds() // 60) for wait in RETRY_AFTER]

    assert minutes == [10, 60, 6 * 60, 24 * 60]
    assert "10 minutes, 1, 6 and 24 hours" in " ".join(PAGE.split())


def test_the_query_finds_users_who_go_in_and_out_all_the_time(tenant_warehouse: TenantWarehouse) -> None:
    [sql] = re.findall(r"^```sql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    happened = [("ann", change) for change in ("added", "removed") * 3] + [("ben", "added"), ("ben", "removed")]
    rows = ", ".join(f"(7, {sync}, '{user}', '{change}', '', now64(3))" for sync, (user, change) in enumerate(happened))
    tenant_warehouse.command(f"INSERT INTO activation_changes VALUES {rows}")

    found = tenant_warehouse.query(sql.replace("segops_acme.", ""))

    assert found.result_rows == [(7, "ann", 3, 3)]
