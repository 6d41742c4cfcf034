"""What callers authenticate with is shown once and kept nowhere: answers, logs and the database are searched."""

from __future__ import annotations

import io
import logging
import secrets
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, MetaData, select
from sqlalchemy.orm import Session

from segops_orchestration.api.logs import _Lines
from segops_orchestration_tests.api.calling import Api, Caller, Tenant
from segops_orchestration_tests.api.people import account, bare_tenant, bearer, stranger

WRONG = "a wrong phrase to look for"


@pytest.fixture
def tenant(api: Api) -> Tenant:
    return bare_tenant(api)


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """All that any logger says meanwhile, as the service writes it."""
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    handler.setFormatter(_Lines())
    loggers = [logging.getLogger(name) for name in ("", "segops", "uvicorn", "sqlalchemy")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG if logger.name != "sqlalchemy" else logging.WARNING)
    yield said
    for logger, level in zip(loggers, before, strict=True):
        logger.removeHandler(handler)
        logger.setLevel(level)


def dump(engine: Engine) -> str:
    """Everything that is in the database, as text."""
    metadata = MetaData()
    metadata.reflect(engine)
    with Session(engine) as session:
        rows = [tuple(row) for table in metadata.tables.values() for row in session.execute(select(table))]
    return "\n".join(map(repr, rows))


def test_no_password_key_token_or_secret_is_found_anywhere(api: Api, tenant: Tenant, logged: io.StringIO) -> None:
    owner = account(api, tenant, "owner")
    first_password = f"first phrase {secrets.token_hex(8)}"
    new_password = f"new phrase {secrets.token_hex(8)}"
    shown: list[str] = []  # bodies of answers that are not the one place where a secret is shown
    hidden = [WRONG, first_password, new_password]

    caller = owner.caller()
    added = caller.post("team/", {"email": f"n-{secrets.token_hex(6)}@example.com", "role": "admin"}, status=201)
    hidden.append(added["invitation"]["token"])
    chosen = stranger(api).post("auth/password/", {"token": hidden[-1], "password": first_password})
    hidden += chosen.values()
    refreshed = stranger(api).post("auth/token/refresh/", {"refresh": chosen["refresh"]})
    hidden += refreshed.values()
    admin = bearer(api, refreshed["access"])
    for kind in ("secret", "public"):
        made = admin.post("auth/api-keys/", {"name": kind, "kind": kind}, status=201)
        hidden += [made["key"], *([made["hmac_secret"]] if kind == "public" else [])]
    public = Caller(api.url, {"Authorization": f"ApiKey {made['key']}"})
    hidden.append(public.post("auth/session/", {"anonymous_id": "a-1"})["token"])
    changed = admin.post("auth/password/change/", {"current_password": first_password, "password": new_password})
    hidden += changed.values()

    admin = bearer(api, changed["access"])
    email = added["email"]
    for method, path, body in (
        ("GET", "auth/api-keys/", None),
        ("GET", "auth/me/", None),
        ("GET", "team/", None),
        ("GET", "audit/", None),
        ("POST", "auth/password/change/", {"current_password": WRONG, "password": WRONG}),
        ("POST", "auth/password/change/", {"current_password": new_password, "password": [first_password]}),
        ("POST", "auth/token/", {"email": email, "password": WRONG}),
        ("POST", "auth/token/", {"email": [email], "password": first_password}),
        ("POST", "auth/token/refresh/", {"refresh": chosen["refresh"]}),
        ("POST", "auth/token/refresh/", [chosen["refresh"]]),
        ("POST", "auth/password/", {"token": hidden[3], "password": new_password}),
        ("POST", "auth/password/", {"token": hidden[3], "password": {"is": new_password}, "more": WRONG}),
    ):
        response = admin.send(method, path, body)
        assert response.status_code < 500
        shown.append(f"{response.text} {response.headers}")
    for header in (f"ApiKey {made['key']}", f"ApiKey {made['key']}x", f"Bearer {hidden[-2]}x"):
        shown.append(Caller(api.url, {"Authorization": header}).send("GET", "team/").text)

    assert logged.getvalue().count("milliseconds") > 15
    places = {"answers": "\n".join(shown), "logs": logged.getvalue(), "database": dump(api.catalog._readers)}
    assert email in places["answers"]
    assert email in places["database"]
    found = {(place, secret) for place, text in places.items() for secret in hidden if secret in text}
    assert found == set()
