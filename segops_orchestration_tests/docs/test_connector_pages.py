"""The pages about connectors: the receiver's code verifies what is sent; commands and figures are the program's."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from segops_orchestration.activation import notices
from segops_orchestration.activation.platforms import PLATFORMS
from segops_orchestration.activation.signing import new_secret, signed_headers
from segops_orchestration.cli.main import cli

PAGES = Path(__file__).parents[2] / "docs" / "connectors"
NAMES = ("klaviyo", "braze", "talon-one", "webhook")
WEBHOOK = (PAGES / "webhook.md").read_text(encoding="utf-8")
BODY = b'{"users": []}'
NOW = 1_767_225_600

Verify = Callable[[str, dict[str, str], bytes], bool]


@pytest.fixture
def verify(monkeypatch: pytest.MonkeyPatch) -> Verify:
    """The function on the page, at ``NOW``."""
    [code] = re.findall(r"^```python\n(.*?)^```$", WEBHOOK, re.MULTILINE | re.DOTALL)
    page: dict[str, Any] = {}
    exec(compile(code, "webhook.md", "exec"), page)
    monkeypatch.setattr(page["time"], "time", lambda: NOW)
    found: Verify = page["verify"]
    return found


@pytest.mark.parametrize("secret", [new_secret(), "correct horse battery staple"], ids=["made here", "own words"])
def test_the_code_on_the_page_verifies_what_is_sent(verify: Verify, secret: str) -> None:
    headers = signed_headers(secret, "m-1", NOW, BODY)

    assert verify(secret, headers, BODY)


@pytest.mark.parametrize(
    ("change", "body"),
    [
        ({}, BODY + b" "),
        ({"webhook-id": "m-2"}, BODY),
        ({"webhook-timestamp": str(NOW + 1)}, BODY),
        ({"webhook-signature": "v1,"}, BODY),
    ],
)
def test_it_refuses_what_was_changed(verify: Verify, change: dict[str, str], body: bytes) -> None:
    secret = new_secret()
    headers = {**signed_headers(secret, "m-1", NOW, BODY), **change}

    assert not verify(secret, headers, body)


def test_it_refuses_another_secret_and_an_old_message(verify: Verify) -> None:
    secret = new_secret()

    assert not verify(secret, signed_headers(new_secret(), "m-1", NOW, BODY), BODY)
    assert not verify(secret, signed_headers(secret, "m-1", NOW - 301, BODY), BODY)


def test_the_pauses_are_those_of_the_program() -> None:
    assert "after 10 seconds, 1, 5 and 30 minutes, 1, 2, 4 and 8 hours" in WEBHOOK
    assert [pause.total_seconds() for pause in notices.PAUSES] == [10, 60, 300, 1800, 3600, 7200, 14400, 28800]


def test_the_messages_on_the_page_are_json() -> None:
    examples = re.findall(r"^```json\n(.*?)^```$", WEBHOOK, re.MULTILINE | re.DOTALL)

    assert [json.loads(example).get("type", "notice") for example in examples] == ["segment.entered", "notice"]


@pytest.mark.parametrize(("page", "type_"), [(page, page.replace("-", "_")) for page in NAMES])
def test_every_field_of_the_config_is_on_its_page_and_no_other(page: str, type_: str) -> None:
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    [table] = re.findall(r"^\| config \| \|\n\|---\|---\|\n((?:\|.*\n)+)", text, re.MULTILINE)

    fields = [field.name for field in PLATFORMS[type_].fields if not field.secret]
    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == fields
    assert set(re.findall(r"--config (\w+)=|--secret (\w+)=", text)) <= {
        (field.name, "") if not field.secret else ("", field.name) for field in PLATFORMS[type_].fields
    }


@pytest.mark.parametrize("page", NAMES)
def test_the_commands_on_the_page_exist(page: str) -> None:
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    inline = [" ".join(one.split()) for one in re.findall(r"`(segops [^`]+)`", text)]
    for line in [*lines, *inline]:
        if line.startswith("segops "):
            words = shlex.split(line)
            options = {option for parameter in _command(words[1:]).params for option in parameter.opts}
            assert {word for word in words if word.startswith("--")} <= options, line


def _command(words: list[str]) -> click.Command:
    """The command that the first words name."""
    found: click.Command = cli
    for word in words:
        if not isinstance(found, click.Group):
            break
        inner = found.get_command(click.Context(found), word)
        assert inner is not None, words
        found = inner
    return found
