"""The connector of the pretended platform. ``register`` is the one line that a platform takes beside its file."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from segops_orchestration.activation import platforms
from segops_orchestration.activation.http import PlatformHttp
from segops_orchestration.activation.platform import (
    Action,
    Answer,
    BatchRefused,
    ConfigField,
    Connection,
    Finding,
    Platform,
    User,
)


class Roster(Platform):
    """Members are user ids. ``email`` says whether a user must have one."""

    type = "roster"
    title = "Roster"
    fields: ClassVar[Sequence[ConfigField]] = (
        ConfigField("base_url", "address"),
        ConfigField("batch", "users in a batch", required=False, default=10),
        ConfigField("lanes", "batches under way at once", required=False, default=1),
        ConfigField("email", "whether a user must have an email", required=False, default=False),
        ConfigField("patience", "seconds that a call is tried", required=False, default=0.0),
        ConfigField("key", "what it checks", secret=True, required=False),
    )
    reads_properties = True
    reads_back = True
    settle_seconds = 60.0

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._config = connection.config
        self.http = PlatformHttp(
            "Roster",
            self._config["base_url"],
            {},
            before_request=connection.before_request,
            connections=self.in_flight(),
            read_seconds=1.0,
            patience_seconds=self._config["patience"],
        )

    def batch_size(self, action: Action) -> int:
        return int(self._config["batch"])

    def in_flight(self) -> int:
        return int(self._config["lanes"])

    def lacks(self, user: User) -> str | None:
        return "no email" if self._config["email"] and not user.properties.get("email") else None

    def add(self, users: Sequence[User], batch_id: str) -> Answer:
        return self._change("add", users, batch_id)

    def remove(self, users: Sequence[User], batch_id: str) -> Answer:
        return self._change("remove", users, batch_id)

    def follow(self, job: str, users: Sequence[User]) -> Answer | None:
        document = self.http.call("GET", f"/jobs/{job}").json()
        return Answer(rejected=document["rejected"]) if document["done"] else None

    def test(self) -> list[Finding]:
        return [Finding("address", True)]

    def read_back(self, users: Iterator[User]) -> Iterator[str]:
        yield from self.http.call("GET", "/members").json()["members"]

    def close(self) -> None:
        self.http.close()

    def _change(self, action: str, users: Sequence[User], batch_id: str) -> Answer:
        body = {"batch": batch_id, "users": [user.user_id for user in users]}
        reply = self.http.send("POST", f"/{action}", body=body)
        document: Any = reply.json()
        if reply.status >= 300:
            error = self.http.refusal("POST", f"/{action}", reply)
            raise BatchRefused(str(error), document.get("users")) if isinstance(error, BatchRefused) else error
        return Answer(
            rejected=document.get("rejected", {}),
            unknown=document.get("unknown", ()),
            platform_ids={user.user_id: f"id of {user.user_id}" for user in users},
            job=document.get("job"),
        )


def register() -> None:
    """Make it a type of connector."""
    sys.modules[f"{platforms.__name__}.roster"] = sys.modules[__name__]
    platforms._CLASSES["roster"] = ("roster", "Roster", "Roster")


@contextmanager
def registered() -> Iterator[None]:
    """It is a type of connector meanwhile; afterwards it is what it was."""
    before = platforms._CLASSES.get("roster")
    register()
    try:
        yield
    finally:
        if before is None:
            platforms._CLASSES.pop("roster")
