"""A platform over a sandbox, as the delivery makes one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from segops_orchestration.activation import http
from segops_orchestration.activation.limiter import LocalBuckets, limiters
from segops_orchestration.activation.platform import Answer, Connection, Platform, User
from segops_orchestration.activation.platforms import PLATFORMS, make_platform
from segops_orchestration.activation.sandbox.sandbox import Sandbox
from segops_orchestration.activation.sandbox.server import SandboxServer

# Limits this many times the vendor's, on both sides: the tests need not wait, the shares stay.
SPEED = 60.0


def connection(
    type_: str,
    config: dict[str, Any],
    secrets: dict[str, str],
    *,
    speed: float = SPEED,
    before_request: Callable[[], None] | None = None,
    allow_private_targets: bool = True,
) -> Connection:
    """Of a connector that the catalogue would hold, its config completed as there."""
    given = {field.name: field.default for field in PLATFORMS[type_].fields if not field.secret}
    buckets = LocalBuckets()
    return Connection(
        tenant="acme",
        connector_id=3,
        connector="vip-list",
        segment_id=7,
        segment="vip",
        segment_name="VIP",
        type=type_,
        config={**given, **config},
        secrets=secrets,
        limiter=limiters(buckets.reserve, buckets.hold, speed),
        before_request=before_request or (lambda: None),
        allow_private_targets=allow_private_targets,
    )


@contextmanager
def serving(sandbox: Sandbox, address: str = "base_url", **config: Any) -> Iterator[tuple[SandboxServer, Platform]]:
    """The sandbox on a port, and the platform that calls it; ``address`` is the config entry of its address."""
    with SandboxServer(sandbox) as server:
        made = connection(
            sandbox.type, {**sandbox.config, address: server.url, **config}, dict(sandbox.secrets), speed=sandbox.speed
        )
        platform = make_platform(made)
        try:
            yield server, platform
        finally:
            platform.close()


def users(*names: str, **properties: Any) -> list[User]:
    """Users with these ids, all with the same properties."""
    return [User(name, properties) for name in names]


def numbered(count: int, start: int = 0) -> list[User]:
    """Users u000000, u000001 and so on, each with an address of their own."""
    return [User(f"u{n:06d}", {"email": f"u{n}@example.com"}) for n in range(start, start + count)]


def batches(platform: Platform, action: str, everyone: Sequence[User]) -> Iterator[Sequence[User]]:
    """The users in batches of the platform's size."""
    size = platform.batch_size("add" if action == "add" else "remove")
    for start in range(0, len(everyone), size):
        yield everyone[start : start + size]


def taken(answer: Answer, everyone: Sequence[User]) -> set[str]:
    """Who was taken for sure."""
    return {user.user_id for user in everyone} - set(answer.rejected) - set(answer.unknown)


def hasten(monkeypatch: pytest.MonkeyPatch, patience: float = 5.0) -> None:
    """Pauses between tries that a test can wait for."""
    monkeypatch.setattr(http, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(http, "LONGEST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(http, "PATIENCE_SECONDS", patience)
