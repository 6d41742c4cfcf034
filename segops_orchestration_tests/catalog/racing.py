"""Real processes that do the same thing to one catalogue at the same moment.

Run as a program, it becomes all of them: it imports once, forks before anything is opened, and each process says when
it is ready, waits for its byte, acts, and prints what happened.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.secret_box import SecretBox
from segops_orchestration.dsl.parse import parse_definition
from segops_orchestration.dsl.segment_file import SegmentDocument
from segops_orchestration.errors import Conflict, ConnectorBusy, TenantBusy
from segops_orchestration.settings import Settings


def race(settings: Settings, action: str, *, processes: int) -> list[str]:
    """Let ``processes`` do ``action`` at once; what each of them printed."""
    command = [sys.executable, "-m", __name__, action, str(settings.home), settings.database_url, str(processes)]
    racers = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert racers.stdout is not None
        assert [racers.stdout.readline() for _ in range(processes)] == [b"ready\n"] * processes
        said, _ = racers.communicate(b"g" * processes, timeout=60)
        assert racers.returncode == 0
        return said.decode().splitlines()
    finally:
        racers.kill()
        racers.wait()


def _act(action: str, settings: Settings) -> str:
    if action == "open":
        _ready()
        with Catalog.open(settings) as catalog:
            return f"{len(catalog.list_tenants())} tenants"
    with Catalog.open(settings) as catalog:
        _ready()
        if action == "lease":
            return _lease(catalog)
        if action == "create":
            return _create(catalog)
        if action == "connector lease":
            return _connector_lease(catalog)
        if action == "permits":
            return _permits(catalog)
        if action == "seal":
            return SecretBox(settings).seal("a secret text")
        return _save(catalog)


def _lease(catalog: Catalog) -> str:
    try:
        catalog.acquire_lease("acme", "racer")
    except TenantBusy:
        return "busy"
    return "held"


def _connector_lease(catalog: Catalog) -> str:
    try:
        catalog.connectors.acquire_lease("acme", "vip-klaviyo", "racer")
    except ConnectorBusy:
        return "busy"
    return "held"


def _permits(catalog: Catalog) -> str:
    """Twenty single permits, one every ten seconds: how long from now until the last of them."""
    return str(max(catalog.connectors.reserve_permits("klaviyo", 0.1, 1) for _ in range(20)))


def _create(catalog: Catalog) -> str:
    try:
        catalog.create_tenant("acme")
    except Conflict:
        return "conflict"
    return "created"


def _save(catalog: Catalog) -> str:
    """Twenty versions of one segment, each different from that of the other processes."""
    outcomes = []
    for number in range(20):
        condition = {
            "type": "event_count",
            "event_type": f"event_{number}",
            "operator": "gte",
            "value": os.getpid(),
        }
        definition = parse_definition({"logic": "AND", "conditions": [condition]})
        document = SegmentDocument(slug="vip", name="vip", description="", definition=definition)
        outcomes += [result.outcome for result in catalog.save_segments("acme", [document])]
    return ",".join(sorted(outcomes))


def _ready() -> None:
    _say("ready")
    os.read(sys.stdin.fileno(), 1)


def _say(line: str) -> None:
    # One write of less than a page, so that lines of different processes do not mix.
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


def _become(action: str, settings: Settings, processes: int) -> int:
    """Fork the processes; how many of them failed."""
    children = []
    for _ in range(processes):
        child = os.fork()
        if child == 0:
            _say(_act(action, settings))
            return 0
        children.append(child)
    return sum(os.waitpid(child, 0)[1] != 0 for child in children)


if __name__ == "__main__":
    sys.exit(_become(sys.argv[1], Settings(Path(sys.argv[2]), None, sys.argv[3]), int(sys.argv[4])))
