"""A Braze workspace: users, subscription groups, custom attributes.

Strict where the contract is known. Whether setting a status makes an unknown user is not; here it does not, and the
answer is success, the harder case.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from segops_orchestration.activation.limiter import Rate
from segops_orchestration.activation.sandbox.misbehaviour import Misbehaviour
from segops_orchestration.activation.sandbox.sandbox import Refusal, Request, Response, Sandbox, Window

MOST_USERS = 50
MOST_BODY_BYTES = 4_000_000
SET_RATE = Rate(5_000, 60)
TRACK_RATE = Rate(3_000, 3)
READ_RATE = Rate(250_000, 3_600)

_CALLS: Mapping[str, tuple[str, Rate]] = {
    "POST /v2/subscription/status/set": ("subscription.status.set", SET_RATE),
    "POST /users/track": ("users.track", TRACK_RATE),
    "GET /subscription/status/get": ("subscription.status.get", READ_RATE),
}
_STATES = ("subscribed", "unsubscribed")


class BrazeSandbox(Sandbox):
    """See the module. ``known_users``: whether a user exists in Braze before anything was sent; all do by default.

    With a ``group_id`` the audience is that group's, without one it is who has ``attribute`` true.
    """

    type = "braze"
    own_kinds: ClassVar[Mapping[str, str]] = {
        "reject_rows": "201 with errors that name rows: of `users`, else a `share` of them (0.1); with `reason`",
        "errors_unreadable": "201 with errors that name no row; a `share` of the rows (0.5) is not taken",
        "refuse_batch": "400 for the whole request; with `users` only if one of them is in it",
        "group_deleted": "400 for the group, until it is called off",
        "permission_missing": "401 for calls that need `permission`, until it is called off",
    }
    address = "rest_endpoint"
    secrets: Mapping[str, str] = {"api_key": "sandbox-key"}

    def __init__(
        self,
        *,
        group_id: str | None = "sandbox-group",
        attribute: str = "segops_segment_7",
        api_key: str = "sandbox-key",
        known_users: Callable[[str], bool] = lambda user: True,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.group_id = group_id
        self.attribute = attribute
        self.api_key = api_key
        self.config = {"subscription_group_id": group_id} if group_id else {}
        self._known = known_users
        self.created: set[str] = set()
        self.subscribed: dict[str, dict[str, str]] = defaultdict(dict)
        self.attributes: dict[str, dict[str, Any]] = defaultdict(dict)
        # Every change of a user is a data point; what was true already costs as well.
        self.data_points = 0

    def members(self) -> set[str]:
        if self.group_id:
            return {user for user, state in self.subscribed[self.group_id].items() if state == "subscribed"}
        return {user for user, attributes in self.attributes.items() if attributes.get(self.attribute) is True}

    def state(self) -> dict[str, Any]:
        groups = {
            name: sum(state == "subscribed" for state in users.values()) for name, users in self.subscribed.items()
        }
        attributes = Counter(name for user in self.attributes.values() for name, value in user.items() if value is True)
        return {
            "groups": groups,
            "attributes": dict(sorted(attributes.items())),
            "created": len(self.created),
            "data_points": self.data_points,
        }

    def call_name(self, request: Request) -> str:
        return request.call if request.call in _CALLS else "unknown call"

    def limits(self, call: str) -> Sequence[Rate]:
        return (_CALLS[call][1],) if call in _CALLS else ()

    def too_many(self, wait: float | None, window: Window | None) -> Response:
        headers = {} if wait is None else {"X-RateLimit-Reset": f"{time.time() + wait:.3f}"}
        if wait is not None:
            headers |= {"X-RateLimit-Limit": str(window.rate.requests if window else 0), "X-RateLimit-Remaining": "0"}
        return Response(429, {"message": "Rate limit exceeded"}, headers)

    def failure(self, status: int, message: str) -> Response:
        return Response(status, {"message": message})

    def handle(self, request: Request) -> Response:
        if request.call not in _CALLS:
            raise _breach(404, "there is no such call")
        self._check_head(request)
        if request.method == "GET":
            return self._read(request)
        if len(request.body) > MOST_BODY_BYTES:
            raise _breach(413, f"{len(request.body)} bytes, the most is {MOST_BODY_BYTES}")
        try:
            document = request.json()
        except ValueError:
            raise _breach(400, "the body is not JSON") from None
        return self._set(request, document) if request.path.endswith("/set") else self._track(request, document)

    def _check_head(self, request: Request) -> None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer":
            raise _breach(401, "Authorization is not of the form Bearer <key>")
        if key != self.api_key:
            raise Refusal(Response(401, {"message": "Invalid API key"}))
        for missing in self.matching("permission_missing", request):
            if missing.option("permission", "") != _CALLS[request.call][0]:
                continue
            self.use_up(missing)
            raise Refusal(Response(401, {"message": "This API key does not have permission for this endpoint"}))
        if request.method == "POST" and request.headers.get("content-type") != "application/json":
            raise _breach(415, "Content-Type is not application/json")
        if request.query and request.method == "POST":
            raise _breach(400, "a query where there is none")

    def _set(self, request: Request, document: Any) -> Response:
        groups = document.get("subscription_groups") if isinstance(document, dict) else None
        if not isinstance(groups, list) or set(document) != {"subscription_groups"} or len(groups) != 1:
            raise _breach(400, "the body is not one subscription group")
        group = groups[0]
        if set(group) != {"subscription_group_id", "subscription_state", "external_ids"}:
            raise _breach(400, "a group is not an id, a state and external ids")
        users = _users(group["external_ids"])
        self._check_group(request, group)
        if not users:
            raise Refusal(Response(400, {"message": "external_ids must not be empty"}))
        self._refuse(request, users)
        spoiled, errors = self._spoil(request, users, None)
        for user in users:
            if user not in spoiled and self._exists(user):
                self.subscribed[group["subscription_group_id"]][user] = group["subscription_state"]
        return Response(201, {"message": "success", **errors})

    def _track(self, request: Request, document: Any) -> Response:
        objects = document.get("attributes") if isinstance(document, dict) else None
        if not isinstance(objects, list) or set(document) != {"attributes"}:
            raise _breach(400, "the body is not a list of attributes")
        if not objects:
            raise Refusal(Response(400, {"message": "attributes must not be empty"}))
        users = _users([each.get("external_id") if isinstance(each, dict) else None for each in objects])
        for each in objects:
            for group in each.get("subscription_groups", ()):
                self._check_group(request, group)
        self._refuse(request, users)
        spoiled, errors = self._spoil(request, users, "attributes")
        for each in objects:
            if each["external_id"] not in spoiled:
                self._apply(each)
        return Response(201, {"message": "success", "attributes_processed": len(users) - len(spoiled), **errors})

    def _apply(self, each: Mapping[str, Any]) -> None:
        user = each["external_id"]
        if not self._exists(user):
            if each.get("_update_existing_only"):
                return
            self.created.add(user)
        self.data_points += 1
        for group in each.get("subscription_groups", ()):
            self.subscribed[group["subscription_group_id"]][user] = group["subscription_state"]
        own = ("external_id", "subscription_groups", "_update_existing_only")
        self.attributes[user] |= {name: value for name, value in each.items() if name not in own}

    def _read(self, request: Request) -> Response:
        if not set(request.query) <= {"subscription_group_id", "external_id[]", "external_id"}:
            raise _breach(400, f"unknown parameters {', '.join(sorted(request.query))}")
        group = {"subscription_group_id": request.query.get("subscription_group_id", [""])[0]}
        self._check_group(request, {**group, "subscription_state": "subscribed"})
        users = [*request.query.get("external_id[]", ()), *request.query.get("external_id", ())]
        if not 1 <= len(users) <= MOST_USERS:
            raise _breach(400, f"{len(users)} external ids, allowed are 1 to {MOST_USERS}")
        states = self.subscribed[group["subscription_group_id"]]
        return Response(
            200, {"message": "success", "status": {user: states.get(user, "unknown").title() for user in users}}
        )

    def _check_group(self, request: Request, group: Mapping[str, Any]) -> None:
        if group.get("subscription_state") not in _STATES:
            raise _breach(
                400, f"subscription_state {group.get('subscription_state')!r} is none of {', '.join(_STATES)}"
            )
        name = group.get("subscription_group_id")
        if name != self.group_id or self.told("group_deleted", request):
            raise Refusal(Response(400, {"message": f"No subscription group exists with id {name}"}))

    def _refuse(self, request: Request, users: Sequence[str]) -> None:
        for told in self.matching("refuse_batch", request):
            named = told.option("users", None)
            if named is None or set(named) & set(users):
                self.use_up(told)
                raise Refusal(Response(400, {"message": "Invalid request: an external id is not valid"}))

    def _spoil(self, request: Request, users: Sequence[str], array: str | None) -> tuple[set[str], dict[str, Any]]:
        """Who is not taken, and the answer's errors."""
        if told := self.told("reject_rows", request):
            spoiled = self._chosen(told, users, 0.1)
            where = {"input_array": array} if array else {}
            reason = str(told.option("reason", "The external id is not valid"))
            errors = [{"type": reason, **where, "index": at} for at, user in enumerate(users) if user in spoiled]
            return spoiled, {"errors": errors} if errors else {}
        if told := self.told("errors_unreadable", request):
            return self._chosen(told, users, 0.5), {"errors": ["some users could not be updated"]}
        return set(), {}

    def _chosen(self, told: Misbehaviour, users: Sequence[str], share: float) -> set[str]:
        named = told.option("users", None)
        if named is not None:
            return set(named) & set(users)
        share = float(told.option("share", share))
        return {user for user in users if self.random.random() < share}

    def _exists(self, user: str) -> bool:
        return user in self.created or self._known(user)


def _users(ids: Any) -> Sequence[str]:
    if not isinstance(ids, list) or not all(isinstance(one, str) and one for one in ids):
        raise _breach(400, "external ids are not texts")
    if len(ids) > MOST_USERS:
        raise _breach(400, f"{len(ids)} users, the most is {MOST_USERS}")
    if len(set(ids)) < len(ids):
        raise _breach(400, "a user twice in one request")
    return ids


def _breach(status: int, what: str) -> Refusal:
    return Refusal(Response(status, {"message": what}), what)
