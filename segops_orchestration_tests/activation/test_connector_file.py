from __future__ import annotations

import pytest

from segops_orchestration.activation.connector_file import parse_connector_text
from segops_orchestration.activation.fields import changed_config, checked_config
from segops_orchestration.catalog.connector_records import ConnectorSpec
from segops_orchestration.errors import InvalidDocument

WHOLE = """\
slug: vip-klaviyo
segment: vip
type: klaviyo
config: {list_id: Y6nRLr}
secrets: {api_key: env:KLAVIYO_KEY}
hold: {share: 0.5, users: 10}
when_archived: empty
"""


def _problems(text: str) -> list[str]:
    with pytest.raises(InvalidDocument) as failure:
        parse_connector_text(text, format="yaml")
    return str(failure.value).splitlines()


def test_a_connector_file_says_everything_but_the_secrets() -> None:
    document = parse_connector_text(WHOLE, format="yaml")

    assert document.spec == ConnectorSpec(
        "vip-klaviyo", "vip", "klaviyo", {"list_id": "Y6nRLr"}, hold_share=0.5, hold_users=10, when_archived="empty"
    )
    assert document.variables == {"api_key": "KLAVIYO_KEY"}


def test_what_a_file_leaves_out_has_its_default() -> None:
    document = parse_connector_text(
        '{"slug": "a", "segment": "vip", "type": "klaviyo", "config": {"list_id": "A"}}', format="json"
    )

    assert document.spec == ConnectorSpec("a", "vip", "klaviyo", {"list_id": "A"})
    assert document.variables == {}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("slug: VIP", "slug: found 'VIP'; allowed: 1 to 63 lower case letters, digits, - and _"),
        ("segment: [vip]", "segment: found an array of 1; allowed: the slug of a segment"),
        ("type: klavio", "type: found 'klavio'; allowed: klaviyo, braze, talon_one, webhook; did you mean 'klaviyo'?"),
        ("config: Y6nRLr", "config: found 'Y6nRLr'; allowed: an object with the fields"),
        (
            "config: {lst_id: A}",
            "config.lst_id: unknown field of klaviyo; allowed: list_id, ",
        ),
        ("config: {list_id: [A]}", "config.list_id: found an array of 1; allowed: the list"),
        ("config: {list_id: a b}", "config.list_id: found 'a b'; allowed: letters, digits, - and _"),
        ("config: {}", "config.list_id: missing; required: the list"),
        ("secrets: {apikey: env:K}", "secrets.apikey: unknown secret of klaviyo; allowed: api_key; did you mean"),
        ("hold: 3", "hold: found 3; allowed: an object with share (0 to 1) and users (a number)"),
        ("hold: {share: 30}", "hold.share: found 30; allowed: a number from 0 to 1, as 0.3 for 30 % of the audience"),
        ("hold: {users: 0.5}", "hold.users: found 0.5; allowed: a whole number, 0 or more"),
        ("hold: {percent: 3}", "hold.percent: unknown field; allowed: share, users"),
        ("when_archived: keep", "when_archived: found 'keep'; allowed: empty, leave"),
        (
            "segmnt: vip",
            "segmnt: unknown field; allowed: slug, segment, type, config, secrets, hold, when_archived; did",
        ),
    ],
)
def test_each_problem_says_where_what_was_found_and_what_is_allowed(wrong: str, said: str) -> None:
    field = wrong.partition(":")[0]
    lines = [line for line in WHOLE.splitlines() if not line.startswith(f"{field}:")]

    [problem] = _problems("\n".join([*lines, wrong]))

    assert problem.startswith(said)


def test_every_problem_is_told_at_once() -> None:
    assert [one.partition(":")[0] for one in _problems("{slug: A, type: klaviyo, hold: 1, when_archived: 2}")] == [
        "slug",
        "hold",
        "when_archived",
        "segment",
        "config.list_id",
    ]


@pytest.mark.parametrize(
    "leak",
    [
        "secrets: {api_key: pk_live_123}",
        "secrets: pk_live_123",
        "secrets: [pk_live_123]",
        "config: {list_id: A, api_key: pk_live_123}",
        "api_key: pk_live_123",
    ],
)
def test_a_secret_in_a_file_is_refused_and_not_repeated(leak: str) -> None:
    field = leak.partition(":")[0]
    lines = [line for line in WHOLE.splitlines() if not line.startswith(f"{field}:")]

    problems = _problems("\n".join([*lines, leak]))

    assert problems
    assert "pk_live_123" not in " ".join(problems)


def test_a_config_is_stored_as_the_platform_writes_it() -> None:
    assert checked_config("talon_one", {"base_url": "https://a.example/", "audience_id": "12"}) == checked_config(
        "talon_one", {"base_url": "https://a.example", "audience_id": 12}
    )


def test_an_empty_text_takes_a_field_back_to_its_default() -> None:
    before = {"list_id": "A", "revision": "2026-10-15"}

    assert changed_config("klaviyo", before, {"revision": "", "list_id": "B"}) == {"list_id": "B"}
    with pytest.raises(InvalidDocument, match=r"config\.list_id: missing"):
        changed_config("klaviyo", before, {"list_id": ""})
    with pytest.raises(InvalidDocument, match=r"config\.revison: unknown field of klaviyo"):
        changed_config("klaviyo", before, {"revison": ""})


CONFIGS: dict[str, dict[str, object]] = {"klaviyo": {"list_id": "A"}, "braze": {}, "talon_one": {"audience_id": 1}}
ADDRESSES = [("klaviyo", "base_url"), ("braze", "rest_endpoint"), ("talon_one", "base_url")]


@pytest.mark.parametrize(("type_", "name"), ADDRESSES)
def test_a_key_is_not_sent_in_plain_text(type_: str, name: str) -> None:
    with pytest.raises(
        InvalidDocument, match=rf"config\.{name}: .*would send the key in plain text; allowed: https://"
    ):
        checked_config(type_, {**CONFIGS[type_], name: "http://api.example.com"})


@pytest.mark.parametrize(
    "address", ["https://api.example.com", "http://127.0.0.1:8080", "http://localhost", "http://[::1]"]
)
@pytest.mark.parametrize(("type_", "name"), ADDRESSES)
def test_unless_it_stays_on_this_machine(type_: str, name: str, address: str) -> None:
    assert checked_config(type_, {**CONFIGS[type_], name: address})[name] == address


def test_or_the_operator_allows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGOPS_ALLOW_PRIVATE_TARGETS", "1")

    assert checked_config("braze", {"rest_endpoint": "http://10.0.0.7"}) == {"rest_endpoint": "http://10.0.0.7"}
