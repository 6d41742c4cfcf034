"""``segops platform-sandbox``, as another process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import requests

SEGOPS = [sys.executable, "-c", "from segops_orchestration.cli.main import main; main()", "platform-sandbox"]


@pytest.fixture
def sandbox() -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    process = subprocess.Popen(
        [*SEGOPS, "klaviyo", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield process, json.loads(process.stdout.readline())
    process.kill()
    process.communicate()


def test_it_says_what_a_connector_needs_and_serves(sandbox: tuple[subprocess.Popen[str], dict[str, Any]]) -> None:
    _, said = sandbox
    assert said["config"] == {"list_id": "SANDBX", "base_url": said["url"]}
    assert said["secrets"] == {"api_key": "pk_sandbox"}
    assert requests.get(f"{said['url']}/_sandbox/state", timeout=5).json()["members"] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_asked_to(sandbox: tuple[subprocess.Popen[str], dict[str, Any]], number: signal.Signals) -> None:
    process, _ = sandbox
    process.send_signal(number)
    assert process.wait(5) == 0


def test_a_port_in_use_is_one_sentence(sandbox: tuple[subprocess.Popen[str], dict[str, Any]]) -> None:
    port = sandbox[1]["url"].rpartition(":")[2]
    ran = subprocess.run([*SEGOPS, "braze", "--port", port], capture_output=True, text=True, timeout=20, check=False)
    assert ran.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in ran.stderr


def test_a_type_that_is_none() -> None:
    ran = subprocess.run([*SEGOPS, "hubspot"], capture_output=True, text=True, timeout=20, check=False)
    assert ran.returncode == 2
    assert "'hubspot' is not one of 'klaviyo', 'braze'" in ran.stderr
