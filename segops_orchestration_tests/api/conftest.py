"""A served API over the session's stores, and callers of every role, over real HTTP."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
import uvicorn

from segops_orchestration.api.app import make_app
from segops_orchestration.api.services import Services
from segops_orchestration.errors import SegOpsError
from segops_orchestration.settings import Settings
from segops_orchestration_tests.api.calling import Api, Tenant, new_tenant

_START_SECONDS = 60.0


@pytest.fixture(scope="session")
def api(settings: Settings, warehouse: object) -> Iterator[Api]:
    """The API of this session, served by a thread on a free port."""
    app = make_app(settings)
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False, timeout_keep_alive=75)
    )
    thread = threading.Thread(target=server.run, name="api")
    thread.start()
    deadline = time.monotonic() + _START_SECONDS
    while not server.started and thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.started, "the API did not start"
    services: Services = app.state.services
    yield Api(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/api", services)
    server.should_exit = True
    thread.join()


@pytest.fixture
def tenant(api: Api) -> Iterator[Tenant]:
    """A new tenant with a key of each role; its database is dropped after the test."""
    with _passing_tenant(api, "t") as made:
        yield made


@pytest.fixture
def other_tenant(api: Api) -> Iterator[Tenant]:
    """Another one."""
    with _passing_tenant(api, "o") as made:
        yield made


@contextmanager
def _passing_tenant(api: Api, letter: str) -> Iterator[Tenant]:
    made = new_tenant(api, f"{letter}_{secrets.token_hex(6)}")
    yield made
    with suppress(SegOpsError):
        api.services.warehouse.tenant(made.slug).drop()
