"""Talon.One: the members of an audience.

One call adds and takes out, 1,000 profiles at a time. It names nobody when it refuses, so a refused batch is halved
until the faulty user is alone. The call that empties an audience is never used.

Limits and shapes: talon_one_sdk 26.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from segops_orchestration.activation.checks import http_address, positive_id, requests_per_second
from segops_orchestration.activation.http import PlatformHttp, Reply, words_of_body
from segops_orchestration.activation.limiter import Rate
from segops_orchestration.activation.platform import (
    Action,
    Answer,
    ConfigField,
    Connection,
    Finding,
    Platform,
    PlatformRefused,
    User,
)

MOST_ACTIONS = 1_000
MOST_ID_CHARACTERS = 1_000
PAGE = 1_000
# Talon.One publishes no rate: this is an assumption, and config says otherwise where an account has agreed on another.
ASSUMED_REQUESTS_PER_SECOND = 10
# Ours: enough for the assumed rate while answers take up to 400 ms.
_IN_FLIGHT = 4

_ACTIONS = "/v2/customer_audiences"


class TalonOne(Platform):
    """One audience of one deployment."""

    type = "talon_one"
    title = "Talon.One audience"
    fields: ClassVar[Sequence[ConfigField]] = (
        ConfigField("api_key", "API key of the Integration API", secret=True),
        ConfigField(
            "management_key",
            "key of the Management API that may read audiences; without it, verify cannot read the audience",
            secret=True,
            required=False,
        ),
        ConfigField(
            "base_url",
            "address of the deployment, such as https://acme.europe-west1.talon.one",
            target=True,
            check=http_address,
        ),
        ConfigField(
            "audience_id", "the audience's number, the last part of its address", target=True, check=positive_id
        ),
        ConfigField(
            "requests_per_second",
            "requests sent in a second at most; Talon.One publishes no limit, so the default is an assumption",
            required=False,
            default=ASSUMED_REQUESTS_PER_SECOND,
            check=requests_per_second,
        ),
    )

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        key = connection.secrets["api_key"]
        self._management_key = connection.secrets.get("management_key", "")
        self._audience = int(connection.config["audience_id"])
        self.reads_back = bool(self._management_key)
        base_url = str(connection.config["base_url"])
        rates = (Rate(connection.config["requests_per_second"], 1),)
        self.http = PlatformHttp(
            "Talon.One",
            base_url,
            {"Authorization": f"ApiKey-v1 {key}", "Content-Type": "application/json", "Accept": "application/json"},
            secrets=[key, self._management_key],
            limiter=connection.limiter(f"talon_one {connection.account(base_url, key)}", rates),
            before_request=connection.before_request,
            patience_seconds=connection.patience_seconds,
            words=_words,
            connections=_IN_FLIGHT,
        )

    def batch_size(self, action: Action) -> int:
        return MOST_ACTIONS

    def in_flight(self) -> int:
        return _IN_FLIGHT

    def lacks(self, user: User) -> str | None:
        if len(user.user_id) > MOST_ID_CHARACTERS:
            return f"its user id has {len(user.user_id):,} characters; Talon.One takes {MOST_ID_CHARACTERS:,}"
        return None

    def add(self, users: Sequence[User], batch_id: str) -> Answer:
        return self._change("add", users)

    def remove(self, users: Sequence[User], batch_id: str) -> Answer:
        return self._change("delete", users)

    def test(self) -> list[Finding]:
        reply = self.http.send("POST", _ACTIONS, body={"data": []})
        # A request about nobody: whether it is taken or called empty, the key was looked at first.
        if reply.status >= 300 and reply.status not in (400, 422):
            return [Finding("key", False, self._refused(_ACTIONS, reply, "the API key"))]
        if not self._management_key:
            return [
                Finding("key", True),
                Finding(
                    "audience",
                    True,
                    f"audience {self._audience} was not looked for: that takes a management_key",
                ),
            ]
        return [Finding("key", True), *self._test_audience()]

    def read_back(self, users: Iterator[User]) -> Iterator[str]:
        read = 0
        while True:
            path = self._memberships
            params = {"pageSize": str(PAGE), "skip": str(read)}
            page = self.http.call("GET", path, params=params, headers=self._management()).json()
            profiles = page.get("data") if isinstance(page, dict) else None
            if not isinstance(profiles, list):
                raise PlatformRefused(f"Talon.One answered GET {path} with something that is no page of an audience")
            yield from (str(profile["integrationId"]) for profile in profiles)
            read += len(profiles)
            if not profiles or not page.get("hasMore", len(profiles) == PAGE):
                return

    def _change(self, action: str, users: Sequence[User]) -> Answer:
        data = [
            {"action": action, "profileIntegrationId": user.user_id, "audienceId": self._audience} for user in users
        ]
        self.http.call("POST", _ACTIONS, body={"data": data})
        return Answer()

    @property
    def _memberships(self) -> str:
        return f"/v1/audiences/{self._audience}/memberships"

    def _management(self) -> dict[str, str]:
        return {"Authorization": f"ManagementKey-v1 {self._management_key}"}

    def _test_audience(self) -> list[Finding]:
        path = self._memberships
        reply = self.http.send("GET", path, params={"pageSize": "1"}, headers=self._management())
        if reply.status in (401, 403):
            return [Finding("management key", False, self._refused(path, reply, "the management key"))]
        if reply.status == 404:
            said = self.http.mask(_words(reply))
            return [
                Finding("management key", True),
                Finding("audience", False, f"there is no audience {self._audience}: {said}"),
            ]
        if reply.status >= 300:
            return [Finding("audience", False, str(self.http.refusal("GET", path, reply)))]
        return [Finding("management key", True), Finding("audience", True)]

    def _refused(self, path: str, reply: Reply, key: str) -> str:
        if reply.status in (401, 403):
            return f"Talon.One does not accept {key}: {self.http.mask(_words(reply))}"
        return str(self.http.refusal("test", path, reply))


def _words(reply: Reply) -> str:
    """The message, and the problems one by one."""
    document = reply.json()
    if not isinstance(document, dict) or not isinstance(document.get("message"), str):
        return words_of_body(reply)
    errors = document.get("errors")
    problems = [_problem(error) for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    return "; ".join([document["message"], *filter(None, problems)])


def _problem(error: dict[str, Any]) -> str:
    return ": ".join(str(error[name]) for name in ("title", "details") if error.get(name))
