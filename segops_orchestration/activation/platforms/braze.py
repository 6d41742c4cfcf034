"""Braze: a subscription group, or a boolean custom attribute of the user.

With a group id, members are subscribed and those who leave unsubscribed, by external id: by email it would change
everybody who shares the address. Without one, ``segops_segment_<id>`` is true or false. Only changes are sent, for data
points cost money.

Limits and shapes: Braze's public documentation, api/api_limits and api/endpoints, read in November 2026.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

from segops_orchestration.activation.checks import http_address, plain_id, yes_or_no
from segops_orchestration.activation.http import PlatformHttp, Reply
from segops_orchestration.activation.limiter import Rate
from segops_orchestration.activation.platform import (
    Action,
    Answer,
    BatchRefused,
    ConfigField,
    Connection,
    Finding,
    Platform,
    PlatformRefused,
    User,
)

# Of status/set; and of users/track on plans by monthly active users (75 on others).
MOST_USERS = 50
MOST_USERS_READ = 50
# Shared by the first and second version of the call.
SET_RATE = Rate(5_000, 60)
# 3,000 in 3 s are published, but plans by monthly active users have lower limits of their own. Ours is that of the
# subscription groups, 4,000 users a second.
TRACK_RATE = Rate(250, 3)
READ_RATE = Rate(250_000, 3_600)
# Enough to reach the rate although an answer takes 50 to 150 ms and storing it as long again.
IN_FLIGHT = 32
# Ours: an address stays below what proxies and servers take.
MOST_QUERY_BYTES = 6_000

SET_PATH = "/v2/subscription/status/set"
GET_PATH = "/subscription/status/get"
TRACK_PATH = "/users/track"
PERMISSIONS = {SET_PATH: "subscription.status.set", GET_PATH: "subscription.status.get", TRACK_PATH: "users.track"}
_NOBODY = "segops-connection-test"


class Braze(Platform):
    """One subscription group, or one attribute."""

    type = "braze"
    title = "Braze subscription group or custom attribute"
    fields: ClassVar[Sequence[ConfigField]] = (
        ConfigField("api_key", f"REST API key with the permissions {' '.join(PERMISSIONS.values())}", secret=True),
        ConfigField("rest_endpoint", "REST endpoint, such as https://rest.iad-01.braze.com", check=http_address),
        ConfigField(
            "subscription_group_id",
            "the group; without it members have the custom attribute segops_segment_<segment id>",
            required=False,
            target=True,
            check=plain_id,
        ),
        ConfigField(
            "create_users",
            "make users whom Braze does not know; otherwise nothing happens for them",
            required=False,
            default=False,
            check=yes_or_no,
        ),
    )

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        key = connection.secrets["api_key"]
        base_url = str(connection.config["rest_endpoint"])
        self._group: str | None = connection.config.get("subscription_group_id") or None
        self._creates = bool(connection.config.get("create_users"))
        self._attribute = f"segops_segment_{connection.segment_id}"
        # Nothing tells whether a user has an attribute without exporting the user.
        self.reads_back = self._group is not None
        self.http = PlatformHttp(
            "Braze",
            base_url,
            {"Authorization": f"Bearer {key}", "Accept": "application/json", "Content-Type": "application/json"},
            secrets=[key],
            before_request=connection.before_request,
            patience_seconds=connection.patience_seconds,
            connections=IN_FLIGHT,
        )
        account = connection.account(base_url, key)
        self._limiters = {
            SET_PATH: connection.limiter(f"braze set {account}", [SET_RATE]),
            TRACK_PATH: connection.limiter(f"braze track {account}", [TRACK_RATE]),
            GET_PATH: connection.limiter(f"braze get {account}", [READ_RATE]),
        }

    def batch_size(self, action: Action) -> int:
        return MOST_USERS

    def in_flight(self) -> int:
        return IN_FLIGHT

    def add(self, users: Sequence[User], batch_id: str) -> Answer:
        return self._send(users, entering=True)

    def remove(self, users: Sequence[User], batch_id: str) -> Answer:
        return self._send(users, entering=False)

    def read_back(self, users: Iterator[User]) -> Iterator[str]:
        for ids in _pages(users):
            params = [("subscription_group_id", str(self._group)), *(("external_id[]", one) for one in ids)]
            document = self.http.call("GET", GET_PATH, params=params, limiter=self._limiters[GET_PATH]).json()
            status = document.get("status") if isinstance(document, dict) else None
            if not isinstance(status, dict):
                raise PlatformRefused(f"Braze answered GET {GET_PATH} without a status of the users")
            yield from (one for one in ids if str(status.get(one)).lower() == "subscribed")

    def test(self) -> list[Finding]:
        findings = []
        for method, path, params, body in self._harmless_calls():
            reply = self.http.send(method, path, params=params, body=body, limiter=self._limiters[path])
            findings.append(self._finding(method, path, reply))
        return findings

    def _send(self, users: Sequence[User], *, entering: bool) -> Answer:
        path, body = self._request([user.user_id for user in users], entering=entering)
        try:
            reply = self.http.call("POST", path, body=body, limiter=self._limiters[path])
        except BatchRefused as refused:
            self._require_group(str(refused))
            raise
        return self._read(users, reply)

    def _require_group(self, refused: str) -> None:
        """Tell a batch that is refused from a group that is gone, which Braze answers with 400 as well.

        Raises:
            PlatformRefused: there is no such group, so no smaller batch will do.
        """
        if not self._group:
            return
        params = [("subscription_group_id", self._group), ("external_id[]", _NOBODY)]
        reply = self.http.send("GET", GET_PATH, params=params, limiter=self._limiters[GET_PATH])
        if reply.status in (400, 404):
            raise PlatformRefused(f"there is no subscription group {self._group}: {refused}", reply.status) from None

    def _request(self, ids: Sequence[str], *, entering: bool) -> tuple[str, Any]:
        state = "subscribed" if entering else "unsubscribed"
        if self._group and not (self._creates and entering):
            group = {"subscription_group_id": self._group, "subscription_state": state, "external_ids": list(ids)}
            return SET_PATH, {"subscription_groups": [group]}
        change: dict[str, Any] = {self._attribute: entering}
        if self._group:
            change = {"subscription_groups": [{"subscription_group_id": self._group, "subscription_state": state}]}
        # Whoever leaves is never made by it.
        if not (self._creates and entering):
            change["_update_existing_only"] = True
        return TRACK_PATH, {"attributes": [{"external_id": one, **change} for one in ids]}

    def _read(self, users: Sequence[User], reply: Reply) -> Answer:
        """201 can say that some were not taken. What cannot be read is not taken for success."""
        document = reply.json()
        everybody = [user.user_id for user in users]
        errors = document.get("errors") or [] if isinstance(document, dict) else None
        if not isinstance(errors, list):
            return Answer(unknown=everybody)
        rejected: dict[str, str] = {}
        readable = True
        for error in errors:
            at = error.get("index") if isinstance(error, dict) else None
            if isinstance(at, int) and not isinstance(at, bool) and 0 <= at < len(everybody):
                rejected[everybody[at]] = self.http.mask(str(error.get("type") or error.get("message") or error))
            else:
                readable = False
        return Answer(rejected=rejected, unknown=() if readable else [one for one in everybody if one not in rejected])

    def _harmless_calls(self) -> Iterator[tuple[str, str, Any, Any]]:
        """Reading somebody who does not exist; writing about nobody."""
        if self._group:
            params = [("subscription_group_id", self._group), ("external_id[]", _NOBODY)]
            yield "GET", GET_PATH, params, None
        for path, body in dict(self._request([], entering=entering) for entering in (True, False)).items():
            yield "POST", path, None, body

    def _finding(self, method: str, path: str, reply: Reply) -> Finding:
        permission = PERMISSIONS[path]
        refused = self.http.refusal(method, path, reply)
        if reply.status in (401, 403):
            return Finding(
                f"permission {permission}", False, f"Braze refuses the API key, or it lacks {permission}: {refused}"
            )
        if path == GET_PATH and reply.status in (400, 404):
            return Finding("subscription group", False, f"there is no subscription group {self._group}: {refused}")
        # Braze looks at the key first; that it then finds nobody to write about is what was expected.
        if reply.status < 300 or (reply.status == 400 and method == "POST"):
            return Finding(f"permission {permission}", True)
        return Finding(f"permission {permission}", False, str(refused))


def _pages(users: Iterator[User]) -> Iterator[list[str]]:
    """Ids, as many as Braze answers for at once and a URL bears."""
    ids: list[str] = []
    size = 0
    for user in users:
        length = len(quote(user.user_id)) + len("&external_id%5B%5D=")
        if ids and (len(ids) == MOST_USERS_READ or size + length > MOST_QUERY_BYTES):
            yield ids
            ids, size = [], 0
        ids.append(user.user_id)
        size += length
    if ids:
        yield ids
