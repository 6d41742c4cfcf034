"""Real processes that do the same thing to one catalogue at the same moment.

Run as a program, it is one of them: it says when it is ready, waits for a line, acts, and prints what happened.
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
    command = [sys.executable, "-m", __name__, action, str(settings.home), settings.database_url]
    racers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(processes)
    ]
    try:
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        return [racer.communicate(timeout=60)[0].strip() for racer in racers]
    finally:
        for racer in racers:
            racer.kill()
            racer.wait()


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
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()


if __name__ == "__main__":
    said = _act(sys.argv[1], Settings(Path(sys.argv[2]), None, sys.argv[3]))
    sys.stdout.write(said + "\n")
