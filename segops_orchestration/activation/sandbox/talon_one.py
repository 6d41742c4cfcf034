"""A Talon.One deployment: audiences and the profiles in them.

Strict where the contract is known. No rate is published; the limit here is what a connector assumes by default.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from segops_orchestration.activation.limiter import Rate
from segops_orchestration.activation.sandbox.sandbox import Refusal, Request, Response, Sandbox, Window

MOST_ACTIONS = 1_000
MOST_ID_CHARACTERS = 1_000
MOST_PAGE = 1_000

_ACTIONS = "change members"
_READ = "list members"
_EMPTY = "empty audience"
# call -> method, path, scheme of the key
_CALLS: Mapping[str, tuple[str, str, str]] = {
    _ACTIONS: ("POST", r"/v2/customer_audiences", "ApiKey-v1"),
    _READ: ("GET", r"/v1/audiences/(\d+)/memberships", "ManagementKey-v1"),
    _EMPTY: ("DELETE", r"/v2/audiences/(\d+)/memberships", "ApiKey-v1"),
}
_ITEM = {"action": str, "profileIntegrationId": str, "audienceId": int}


class TalonOneSandbox(Sandbox):
    """See the module."""

    type = "talon_one"
    own_kinds: ClassVar[Mapping[str, str]] = {
        "refuse_users": "400 for a request with one of `users` in it; nobody is named",
        "refuse_batch": "400 for the whole request",
        "audience_deleted": "404 for the audience, until it is called off",
    }

    def __init__(
        self,
        *,
        audience_id: int = 748,
        api_key: str = "sandbox-integration-key",
        management_key: str = "sandbox-management-key",
        per_second: int = 10,
        **options: Any,
    ):
        super().__init__(**options)
        self._keys = {"ApiKey-v1": api_key, "ManagementKey-v1": management_key}
        # Over ten seconds: which span a limit that nobody publishes is about, nobody knows.
        self._rates = (Rate(per_second * 10, 10),)
        self.audience_id = audience_id
        # In the order of their entering, as a page shows them.
        self.audiences: dict[int, dict[str, int]] = {audience_id: {}}
        self._profiles: dict[str, int] = {}
        self.config = {"audience_id": audience_id}
        self.secrets = {"api_key": api_key, "management_key": management_key}

    def members(self) -> set[str]:
        return set(self.audiences[self.audience_id])

    def state(self) -> dict[str, Any]:
        return {
            "profiles": len(self._profiles),
            "audiences": {str(audience): len(profiles) for audience, profiles in self.audiences.items()},
        }

    def call_name(self, request: Request) -> str:
        for name, (method, path, _) in _CALLS.items():
            if request.method == method and re.fullmatch(path, request.path):
                return name
        return "unknown call"

    def limits(self, call: str) -> Sequence[Rate]:
        return self._rates

    def too_many(self, wait: float | None, window: Window | None) -> Response:
        headers = {} if wait is None else {"Retry-After": str(max(1, math.ceil(wait)))}
        return Response(429, _error(429, "Too many requests").body, headers)

    def failure(self, status: int, message: str) -> Response:
        return _error(status, message)

    def handle(self, request: Request) -> Response:
        call = self.call_name(request)
        if call == "unknown call":
            raise _breach(404, "there is no such call")
        self._check_key(request, _CALLS[call][2])
        if call == _ACTIONS:
            return self._change(request)
        audience = self._audience(int(request.path.split("/")[3]), request)
        if call == _READ:
            return self._page(request, audience)
        self.breach(f"{request.call}: a sync must never empty an audience")
        audience.clear()
        return Response(204)

    def _check_key(self, request: Request, scheme: str) -> None:
        found, _, key = request.headers.get("authorization", "").partition(" ")
        if found != scheme:
            raise _breach(401, f"Authorization is not of the form {scheme} <key>")
        if key != self._keys[scheme]:
            raise Refusal(_error(401, "Invalid API key"))

    def _change(self, request: Request) -> Response:
        items = _items(request)
        if self.told("refuse_batch", request):
            raise Refusal(_error(400, "Bad request", ("Validation failed", "the request could not be processed")))
        for told in list(self._misbehaviours):
            faulty = set(told.option("users", ()))
            asked = any(item["profileIntegrationId"] in faulty for item in items)
            if told.kind == "refuse_users" and asked and self.told("refuse_users", request):
                raise Refusal(_error(400, "Bad request", ("Validation failed", "a profile could not be processed")))
        # All or none: what is wrong is found before anything is done.
        audiences = [self._audience(item["audienceId"], request) for item in items]
        for item, audience in zip(items, audiences, strict=True):
            profile = item["profileIntegrationId"]
            if item["action"] == "add":
                audience[profile] = self._profiles.setdefault(profile, len(self._profiles) + 1)
            else:
                audience.pop(profile, None)
        return Response(204)

    def _audience(self, audience: int, request: Request) -> dict[str, int]:
        if audience not in self.audiences or self.told("audience_deleted", request):
            raise Refusal(_error(404, "Audience not found"))
        return self.audiences[audience]

    def _page(self, request: Request, audience: Mapping[str, int]) -> Response:
        size = _number(request, "pageSize", MOST_PAGE)
        skip = _number(request, "skip", 0)
        if not 1 <= size <= MOST_PAGE:
            raise _breach(400, f"pageSize {size} is not 1 to {MOST_PAGE}")
        profiles = list(audience.items())[skip : skip + size]
        data = [{"id": number, "integrationId": profile, "accountId": 1} for profile, number in profiles]
        return Response(200, {"hasMore": skip + size < len(audience), "data": data})


def _items(request: Request) -> list[dict[str, Any]]:
    """The actions of a request, checked one by one."""
    if request.headers.get("content-type") != "application/json":
        raise _breach(415, "Content-Type is not application/json")
    try:
        document = request.json()
    except ValueError:
        raise _breach(400, "the body is not JSON") from None
    items = document.get("data") if isinstance(document, dict) else None
    if not isinstance(items, list) or set(document) != {"data"}:
        raise _breach(400, "the body is not an object with data, a list, alone")
    if len(items) > MOST_ACTIONS:
        raise _breach(400, f"{len(items)} actions in a request; the most is {MOST_ACTIONS}")
    actions: dict[tuple[str, int], str] = {}
    for item in items:
        _check_item(item)
        key = (item["profileIntegrationId"], item["audienceId"])
        if actions.setdefault(key, item["action"]) != item["action"]:
            raise _breach(400, f"add and delete of one profile, {key[0]!r}, in one request")
    return items


def _check_item(item: Any) -> None:
    if not isinstance(item, dict) or set(item) != set(_ITEM):
        raise _breach(400, f"an action has the fields {', '.join(_ITEM)} and no others")
    for name, kind in _ITEM.items():
        if not isinstance(item[name], kind) or isinstance(item[name], bool):
            raise _breach(400, f"{name} is not a {kind.__name__}")
    if item["action"] not in ("add", "delete"):
        raise _breach(400, f"action {item['action']!r} is neither add nor delete")
    if not 1 <= len(item["profileIntegrationId"]) <= MOST_ID_CHARACTERS:
        raise _breach(400, f"profileIntegrationId has not 1 to {MOST_ID_CHARACTERS} characters")


def _number(request: Request, name: str, default: int) -> int:
    text = request.query.get(name, [str(default)])[0]
    if not text.isdigit():
        raise _breach(400, f"{name} {text!r} is not a number")
    return int(text)


def _breach(status: int, what: str) -> Refusal:
    return Refusal(_error(status, what), what)


def _error(status: int, message: str, *problems: tuple[str, str]) -> Response:
    body: dict[str, Any] = {"message": message, "StatusCode": status}
    if problems:
        body["errors"] = [{"title": title, "details": details} for title, details in problems]
    return Response(status, body)
