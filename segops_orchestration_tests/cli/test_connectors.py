"""What a connector is to be: the commands that need only the catalogue."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import click
import pytest
from cryptography.fernet import Fernet

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.connector_records import SyncCounts
from segops_orchestration.catalog.holds import NewHold
from segops_orchestration.cli.connectors import command
from segops_orchestration.settings import Settings
from segops_orchestration_tests.catalog.helpers import document, save
from segops_orchestration_tests.cli.conftest import Answer, Segops

FILE = """\
slug: vip-klaviyo
segment: vip
type: klaviyo
config: {list_id: A}
secrets: {api_key: env:KLAVIYO_KEY}
"""


@pytest.fixture
def vip(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """The tenant acme with a segment, and a key in the environment."""
    catalog.create_tenant("acme")
    save(catalog, document("vip"))
    monkeypatch.setenv("KLAVIYO_KEY", "pk_123")
    return catalog


def _create(segops: Segops, *more: str, secret: str = "api_key=env:KLAVIYO_KEY") -> Answer:
    return segops(
        *("connectors", "create", "acme", "--segment", "vip", "--type", "klaviyo"),
        *("--config", "list_id=A", "--secret", secret, *more),
    )


# Types


def test_types_say_what_a_connector_to_each_platform_needs(segops: Segops) -> None:
    lines = [line.split()[:4] for line in segops("connectors", "types").out.splitlines()]

    assert ["klaviyo", "api_key", "secret", "required"] in lines
    assert ["klaviyo", "list_id", "config", "required"] in lines
    assert {line[0] for line in lines[1:]} == {"klaviyo", "braze", "talon_one", "webhook"}


def test_one_type_can_be_asked_for(segops: Segops) -> None:
    [braze] = segops("connectors", "types", "braze", "--json").json
    assert [one["name"] for one in braze["fields"] if one["required"]] == ["api_key", "rest_endpoint"]

    answer = segops("connectors", "types", "klavio")
    assert answer.exit_code == 2
    assert "found 'klavio'; allowed: klaviyo, braze, talon_one, webhook; did you mean 'klaviyo'?" in answer.err


# Create


def test_create_stores_a_connector_and_its_secret_from_the_environment(segops: Segops, vip: Catalog) -> None:
    answer = _create(segops)

    assert answer.exit_code == 0
    assert "Next: segops connectors test acme vip-klaviyo" in answer.out
    [connector] = vip.connectors.every("acme")
    assert (connector.slug, connector.segment, connector.config) == ("vip-klaviyo", "vip", {"list_id": "A"})
    assert vip.connectors.secrets(connector) == {"api_key": "pk_123"}


def test_create_takes_the_limits_of_the_breaker_and_another_name(segops: Segops, vip: Catalog) -> None:
    options = ("--slug", "list-a", "--hold-share", "0.5", "--hold-users", "7", "--when-archived", "empty")

    made = _create(segops, *options, "--json").json

    assert (made["slug"], made["hold_share"], made["hold_users"], made["when_archived"]) == ("list-a", 0.5, 7, "empty")
    assert made["secrets"] == {"api_key": "***"}


@pytest.mark.usefixtures("vip")
def test_a_secret_that_is_not_given_is_asked_for_unseen(segops: Segops, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, bool]] = []

    def answer(text: str, hide_input: bool, err: bool) -> str:
        asked.append((text, hide_input))
        return "pk_typed"

    monkeypatch.setattr(click, "prompt", answer)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)

    done = segops("connectors", "create", "acme", "--segment", "vip", "--type", "klaviyo", "--config", "list_id=A")

    assert done.exit_code == 0
    [(text, hidden)] = asked
    assert text.startswith("api_key (private API key")
    assert hidden
    assert "pk_typed" not in done.out + done.err


@pytest.mark.usefixtures("vip")
def test_without_a_terminal_nobody_is_asked(segops: Segops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))

    answer = segops("connectors", "create", "acme", "--segment", "vip", "--type", "klaviyo", "--config", "list_id=A")

    assert answer.exit_code == 1
    assert answer.err.startswith("Error: secret api_key: missing; give it as api_key=env:VARIABLE")


@pytest.mark.parametrize(
    ("secret", "code", "said"),
    [
        ("api_key=pk_123", 2, "--secret takes NAME=env:VARIABLE"),
        ("pk_123", 2, "--secret takes NAME=env:VARIABLE"),
        ("api_key=env:NOT_SET", 1, "secret api_key: the environment variable NOT_SET is not set"),
        ("apikey=env:KLAVIYO_KEY", 1, "secret apikey: klaviyo has no such secret; allowed: api_key; did you mean"),
        ("api_key=env:BLANK", 1, "secret api_key: found an empty text"),
        ("api_key=env:TWO_LINES", 1, "secret api_key: found a line break or another control character in it"),
    ],
)
def test_a_secret_that_cannot_be_used_is_refused_and_not_repeated(
    segops: Segops, vip: Catalog, monkeypatch: pytest.MonkeyPatch, secret: str, code: int, said: str
) -> None:
    monkeypatch.setenv("BLANK", " ")
    monkeypatch.setenv("TWO_LINES", "pk_123\n")

    answer = _create(segops, secret=secret)

    assert answer.exit_code == code
    assert said in answer.err
    assert "pk_123" not in answer.err
    assert vip.connectors.every("acme") == []


@pytest.mark.usefixtures("vip")
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--config", "lst_id=A"], "config.lst_id: unknown field of klaviyo; allowed: list_id, "),
        (["--config", "api_key=pk_123"], "config.api_key: api_key is a secret, which is never part of the config"),
        (["--config", "list_id"], "--config takes NAME=VALUE; found 'list_id'"),
        (["--type", "klavio"], "found 'klavio'; allowed: klaviyo, braze, talon_one, webhook; did you mean 'klaviyo'?"),
        (["--segment", "vpi"], "no segment 'vpi' in tenant 'acme'; did you mean 'vip'?"),
        (["--hold-share", "30"], "30.0 is not in the range 0<=x<=1"),
    ],
)
def test_a_mistake_is_told_with_what_is_allowed(segops: Segops, wrong: list[str], said: str) -> None:
    answer = _create(segops, *wrong)

    assert answer.exit_code in (1, 2)
    assert said in answer.err
    assert "pk_123" not in answer.err


@pytest.mark.usefixtures("vip")
def test_creating_a_connector_again_is_an_error(segops: Segops) -> None:
    _create(segops)

    answer = _create(segops)

    assert answer.exit_code == 1
    assert "connector 'vip-klaviyo' of tenant 'acme' exists already" in answer.err


# Update


def test_update_changes_what_is_named_and_keeps_the_rest(
    segops: Segops, vip: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    _create(segops)
    monkeypatch.setenv("KLAVIYO_KEY", "pk_new")

    answer = segops("connectors", "update", "acme", "vip-klaviyo", "--secret", "api_key=env:KLAVIYO_KEY")
    segops("connectors", "update", "acme", "vip-klaviyo", "--config", "revision=2026-10-15", "--hold-users", "7")

    assert "is updated" in answer.out
    connector = vip.connectors.get("acme", "vip-klaviyo")
    assert (connector.config, connector.hold_users) == ({"list_id": "A", "revision": "2026-10-15"}, 7)
    assert vip.connectors.secrets(connector) == {"api_key": "pk_new"}


@pytest.mark.usefixtures("vip")
def test_updating_to_what_is_so_already_changes_nothing(segops: Segops) -> None:
    _create(segops)

    answer = segops(
        *("connectors", "update", "acme", "vip-klaviyo", "--config", "list_id=A"),
        *("--secret", "api_key=env:KLAVIYO_KEY", "--json"),
    )

    assert answer.json["outcome"] == "unchanged"


def test_a_connector_whose_audience_is_not_empty_keeps_its_target(segops: Segops, vip: Catalog) -> None:
    _create(segops)
    sync = vip.connectors.begin_sync("acme", "vip-klaviyo", "sync")
    vip.connectors.finish_sync(sync.id, "succeeded", SyncCounts(added=3, audience=3))

    answer = segops("connectors", "update", "acme", "vip-klaviyo", "--config", "list_id=B")

    assert answer.exit_code == 1
    assert "has delivered to list_id 'A'; it cannot be pointed at 'B'" in answer.err
    vip.connectors.finish_sync(
        vip.connectors.begin_sync("acme", "vip-klaviyo", "empty").id, "succeeded", SyncCounts(audience=0)
    )
    assert segops("connectors", "update", "acme", "vip-klaviyo", "--config", "list_id=B").exit_code == 0


# Apply


def test_apply_makes_connectors_as_files_say_and_again_changes_nothing(
    segops: Segops, vip: Catalog, tmp_path: Path
) -> None:
    (tmp_path / "vip.connector.yaml").write_text(FILE)
    (tmp_path / "vip.yaml").write_text("slug: vip")

    first = segops("connectors", "apply", "acme", tmp_path, "--json").json
    second = segops("connectors", "apply", "acme", tmp_path)

    assert [(one["slug"], one["outcome"]) for one in first] == [("vip-klaviyo", "created")]
    assert "1 unchanged." in second.out
    assert vip.connectors.secrets(vip.connectors.get("acme", "vip-klaviyo")) == {"api_key": "pk_123"}


def test_apply_updates_what_a_file_changes(segops: Segops, vip: Catalog, tmp_path: Path) -> None:
    file = tmp_path / "vip.connector.yaml"
    file.write_text(FILE)
    segops("connectors", "apply", "acme", file)
    file.write_text(FILE + "hold: {share: 0.5}\n")

    assert "1 updated." in segops("connectors", "apply", "acme", file).out
    assert vip.connectors.get("acme", "vip-klaviyo").hold_share == 0.5


def test_a_variable_that_is_not_set_leaves_the_stored_secret(
    segops: Segops, vip: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "vip.connector.yaml"
    file.write_text(FILE)
    segops("connectors", "apply", "acme", file)
    monkeypatch.delenv("KLAVIYO_KEY")

    answer = segops("connectors", "apply", "acme", file)

    assert answer.exit_code == 0
    assert "the variable KLAVIYO_KEY is not set: the stored api_key stays" in answer.err
    assert vip.connectors.secrets(vip.connectors.get("acme", "vip-klaviyo")) == {"api_key": "pk_123"}


def test_with_any_problem_no_file_is_applied_and_all_problems_are_told(
    segops: Segops, vip: Catalog, tmp_path: Path
) -> None:
    (tmp_path / "a.connector.yaml").write_text(FILE)
    (tmp_path / "b.connector.yaml").write_text(FILE.replace("klaviyo\n", "klavio\n"))
    (tmp_path / "c.connector.json").write_text("[]")

    answer = segops("connectors", "apply", "acme", tmp_path)

    assert answer.exit_code == 1
    assert f"{tmp_path}/b.connector.yaml: type: found 'klavio'" in answer.err
    assert f"{tmp_path}/c.connector.json: found an array of 0" in answer.err
    assert vip.connectors.every("acme") == []


@pytest.mark.usefixtures("vip")
def test_segment_and_connector_files_leave_each_other_alone(segops: Segops, tmp_path: Path) -> None:
    (tmp_path / "vip.connector.yaml").write_text(FILE)

    assert (
        "no segment file (*.yaml, *.yml, *.json) in this directory" in segops("segments", "apply", "acme", tmp_path).err
    )
    wrong = segops("segments", "validate", tmp_path / "vip.connector.yaml").err
    assert "a connector file by its name, not a segment file; segops connectors apply reads it" in wrong
    (tmp_path / "vip.connector.yaml").rename(tmp_path / "vip.yaml")
    assert "no connector file (*.connector.yaml" in segops("connectors", "apply", "acme", tmp_path).err


# List, show the log, pause, resume, approve


def test_list_says_how_each_connector_stands_and_what_to_do_without_any(segops: Segops, vip: Catalog) -> None:
    assert "segops connectors create acme --segment SEGMENT" in segops("connectors", "list", "acme").out
    _create(segops)
    sync = vip.connectors.begin_sync("acme", "vip-klaviyo", "sync")
    vip.connectors.finish_sync(sync.id, "failed", SyncCounts(pending=4, audience=30), "503: not now")

    [row] = [line for line in segops("connectors", "list", "acme").out.splitlines() if line.startswith("vip-klaviyo")]
    assert row.split()[:6] == ["vip-klaviyo", "vip", "klaviyo", "active", "30", "4"]
    assert row.rstrip().endswith("failed   503: not now")
    [one] = segops("connectors", "list", "acme", "--segment", "vip", "--json").json
    assert (one["secrets"], one["last_sync"]["pending"]) == ({"api_key": "***"}, 4)


def test_the_query_of_a_url_is_not_shown_as_it_may_hold_a_token(
    segops: Segops, vip: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_SECRET", "a secret of enough characters")
    made = segops(
        *(
            "connectors",
            "create",
            "acme",
            "--segment",
            "vip",
            "--type",
            "webhook",
            "--secret",
            "secret=env:HOOK_SECRET",
        ),
        *("--config", "url=https://example.com/hook?token=hush", "--json"),
    ).json

    assert made["config"] == {"url": "https://example.com/hook?***"}
    assert vip.connectors.get("acme", "vip-webhook").config["url"] == "https://example.com/hook?token=hush"


def test_log_shows_the_newest_sync_first(segops: Segops, vip: Catalog) -> None:
    _create(segops)
    assert "No sync yet" in segops("connectors", "log", "acme", "vip-klaviyo").out
    for added in (1, 2):
        sync = vip.connectors.begin_sync("acme", "vip-klaviyo", "sync", run_id="abc")
        vip.connectors.finish_sync(sync.id, "succeeded", SyncCounts(added=added))

    log = segops("connectors", "log", "acme", "--json").json

    assert [(one["connector"], one["added"], one["run_id"]) for one in log] == [
        ("vip-klaviyo", 2, "abc"),
        ("vip-klaviyo", 1, "abc"),
    ]
    assert len(segops("connectors", "log", "acme", "vip-klaviyo", "--limit", "1").out.splitlines()) == 2


@pytest.mark.usefixtures("vip")
def test_pause_and_resume(segops: Segops) -> None:
    _create(segops)

    paused = segops("connectors", "pause", "acme", "vip-klaviyo", "--reason", "holiday", "--json").json
    resumed = segops("connectors", "resume", "acme", "vip-klaviyo")

    assert (paused["status"], paused["status_reason"]) == ("paused", "holiday")
    assert "is active" in resumed.out


def test_approve_lets_a_held_change_go_and_says_who_did(segops: Segops, vip: Catalog) -> None:
    _create(segops)
    assert "holds nothing back" in segops("connectors", "approve", "acme", "vip-klaviyo").err
    lease = vip.connectors.acquire_lease("acme", "vip-klaviyo", "host:1")
    sync = vip.connectors.begin_sync("acme", "vip-klaviyo", "sync", lease=lease)
    vip.connectors.hold(NewHold(sync.id, 10, 400, 1000, "edited"), lease=lease)
    assert "is held, not paused" in segops("connectors", "resume", "acme", "vip-klaviyo").err

    answer = segops("connectors", "approve", "acme", "vip-klaviyo", "--adds-only")

    assert "Approved: 10 to add.\n" in answer.out
    approved = segops("connectors", "approve", "acme", "vip-klaviyo", "--json").json
    assert (approved["status"], approved["connector_status"]) == ("approved", "active")
    assert approved["decided_by"]


# Keys


def test_rotating_encrypts_secrets_with_the_newest_key(
    segops: Segops, vip: Catalog, own_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    monkeypatch.setenv("SEGOPS_SECRET_KEY", old)
    _create(segops)
    monkeypatch.setenv("SEGOPS_SECRET_KEY", f"{new},{old}")

    assert segops("connectors", "rotate-secrets", "--json").json == {"secrets": 1}

    monkeypatch.setenv("SEGOPS_SECRET_KEY", old)
    answer = segops("connectors", "test", "acme", "vip-klaviyo")
    assert answer.exit_code == 1
    assert "the secret api_key of connector 'vip-klaviyo' of tenant 'acme' was encrypted with a key that" in answer.err
    assert old not in answer.err
    with Catalog.open(Settings.from_env()) as opened:
        assert opened.connectors.every("acme")[0].secrets == ("api_key",)


# Archiving a segment


@pytest.mark.usefixtures("vip")
def test_archiving_a_segment_says_what_becomes_of_its_audiences(segops: Segops) -> None:
    _create(segops, "--when-archived", "empty")
    _create(segops, "--slug", "stays")

    answer = segops("segments", "archive", "acme", "vip")

    assert "vip-klaviyo: the next sync empties its audience: segops connectors sync acme vip-klaviyo" in answer.out
    assert "stays: its audience stays as it is; segops connectors delete acme stays --empty" in answer.out
    assert segops("segments", "archive", "acme", "vip", "--json").json["connectors"] == {
        "vip-klaviyo": "empty",
        "stays": "leave",
    }


@pytest.mark.usefixtures("vip")
def test_so_does_an_apply_that_prunes_segments(segops: Segops, tmp_path: Path) -> None:
    _create(segops, "--when-archived", "empty")
    (tmp_path / "new.yaml").write_text(
        "slug: new\nname: New\ndefinition:\n  logic: AND\n  conditions:\n"
        "    - {type: event_count, event_type: order_placed, operator: gte, value: 1}\n"
    )

    answer = segops("segments", "apply", "acme", tmp_path, "--prune")

    assert "vip-klaviyo: the next sync empties its audience" in answer.out


@pytest.mark.parametrize("name", command.commands)
def test_every_command_teaches_by_an_example_and_speaks_json(name: str) -> None:
    one = command.commands[name]

    assert f"segops connectors {name}" in (one.help or "")
    assert "--json" in {option for parameter in one.params for option in parameter.opts}
