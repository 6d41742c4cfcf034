"""A receiver of webhooks, as somebody would write it who has read nothing but the documentation.

It verifies both signatures with the standard library, refuses what is too old, takes every id once, and keeps who is in
by the messages alone.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from segops_orchestration.activation.limiter import Rate
from segops_orchestration.activation.sandbox.sandbox import Refusal, Request, Response, Sandbox, Window

SECRET = "whsec_" + base64.b64encode(b"a secret of the sandbox, 32 bytes").decode()
TOLERANCE_SECONDS = 300
MOST_USERS = 10_000

_MEMBERS = {"type", "id", "tenant", "segment", "segment_id", "connector", "users"}
_NOTICE = {"event", "tenant_slug", "segment_id", "segment_name", "member_count", "computed_at"}
_KINDS = ("segment.entered", "segment.exited", "webhook.test")


class WebhookSandbox(Sandbox):
    """See the module. ``notices`` are the ``segment.recomputed`` messages taken, each once, in order."""

    type = "webhook"
    own_kinds: ClassVar[Mapping[str, str]] = {
        "reject_users": "the answer names those of `users` as rejected, with `reason`; the rest is taken",
        "refuse_users": "422 that names those of `users`; nobody is taken",
        "refuse": "`status` (400) for the whole message",
        "too_large": "413 for a message of more than `users` users (100)",
        "redirect": "302 to `location`",
        "gone": "410, until it is called off",
        "unsure": "200 with a body that is no JSON",
    }

    def __init__(
        self,
        *,
        secret: str = SECRET,
        path: str = "/hook",
        per_second: int = 10,
        now: Callable[[], float] = time.time,
        **options: Any,
    ):
        super().__init__(**options)
        self._secret = secret
        self._path = path
        # Over ten seconds: which span a limit that nobody publishes is about, nobody knows.
        self._rates = (Rate(per_second * 10, 10),)
        self._now = now
        self._members: set[str] = set()
        self._seen: dict[str, Response] = {}
        self.duplicates = 0
        self.notices: list[dict[str, Any]] = []
        self.secrets = {"secret": secret}

    def members(self) -> set[str]:
        return set(self._members)

    def connector_config(self, url: str) -> dict[str, Any]:
        return {**self.config, "url": url + self._path}

    def state(self) -> dict[str, Any]:
        return {"messages": len(self._seen), "duplicates": self.duplicates, "notices": len(self.notices)}

    def call_name(self, request: Request) -> str:
        return "message"

    def limits(self, call: str) -> Sequence[Rate]:
        return self._rates

    def too_many(self, wait: float | None, window: Window | None) -> Response:
        headers = {} if wait is None else {"Retry-After": str(max(1, math.ceil(wait)))}
        return Response(429, {"message": "too many requests"}, headers)

    def failure(self, status: int, message: str) -> Response:
        return Response(status, {"message": message})

    def handle(self, request: Request) -> Response:
        if request.call != f"POST {self._path}":
            raise _breach(404, f"only POST {self._path} is known here")
        self._verify(request)
        document = _document(request)
        self._refuse_as_told(request, document)
        message = request.headers["webhook-id"]
        if message in self._seen:
            self.duplicates += 1
            return self._seen[message]
        self._seen[message] = self._take(request, document)
        return self._seen[message]

    def _verify(self, request: Request) -> None:
        message, at = (request.headers.get(name, "") for name in ("webhook-id", "webhook-timestamp"))
        if not message or not at.isdigit():
            raise _breach(400, "webhook-id or webhook-timestamp is missing")
        if abs(self._now() - int(at)) > TOLERANCE_SECONDS:
            raise _breach(400, "webhook-timestamp is too far from now")
        secret = self._secret
        key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
        signed = f"{message}.{at}.".encode() + request.body
        expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        if not hmac.compare_digest(expected, request.headers.get("webhook-signature", "")):
            raise _breach(401, "webhook-signature does not verify")
        ours = "sha256=" + hmac.new(secret.encode(), request.body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(ours, request.headers.get("x-segops-signature", "")):
            raise _breach(401, "X-SegOps-Signature does not verify")

    def _refuse_as_told(self, request: Request, document: Mapping[str, Any]) -> None:
        if self.told("gone", request):
            raise Refusal(Response(410))
        if told := self.told("redirect", request):
            raise Refusal(Response(302, None, {"Location": str(told.option("location", "http://127.0.0.1:1/"))}))
        if told := self.told("refuse", request):
            raise Refusal(Response(int(told.option("status", 400)), {"message": "this message is not wanted"}))
        users = [user["user_id"] for user in document.get("users", ())]
        if self._pending("too_large", lambda told: len(users) > told.option("users", 100)):
            self.told("too_large", request)
            raise Refusal(Response(413, {"message": "too many users in one message"}))
        if faulty := self._pending("refuse_users", lambda told: bool(set(users) & set(told.option("users", ())))):
            named = {user: faulty.option("reason", "unknown") for user in users if user in faulty.option("users", ())}
            self.told("refuse_users", request)
            raise Refusal(Response(422, {"message": "some users are not known here", "rejected": named}))

    def _pending(self, kind: str, strikes: Callable[[Any], bool]) -> Any:
        return next((told for told in self._misbehaviours if told.kind == kind and strikes(told)), None)

    def _take(self, request: Request, document: Mapping[str, Any]) -> Response:
        if "event" in document:
            if document["event"] == "segment.recomputed":
                self.notices.append(dict(document))
            return Response(200)
        users = {user["user_id"] for user in document["users"]}
        named: dict[str, str] = {}
        if (
            told := self._pending("reject_users", lambda told: bool(users & set(told.option("users", ()))))
        ) is not None:
            self.told("reject_users", request)
            named = dict.fromkeys(users & set(told.option("users", ())), told.option("reason", "not known here"))
        if document["type"] == "segment.entered":
            self._members |= users - named.keys()
        elif document["type"] == "segment.exited":
            self._members -= users - named.keys()
        if self.told("unsure", request):
            return Response(200, "ok", {"Content-Type": "text/plain"})
        return Response(200, {"rejected": named})


def _document(request: Request) -> dict[str, Any]:
    """The message, checked."""
    if request.headers.get("content-type") != "application/json":
        raise _breach(415, "Content-Type is not application/json")
    try:
        document = request.json()
    except ValueError:
        raise _breach(400, "the body is not JSON") from None
    if not isinstance(document, dict):
        raise _breach(400, "the body is not an object")
    if "event" in document:
        wanted = _NOTICE if document["event"] == "segment.recomputed" else {"tenant_slug"}
        if not wanted <= set(document) or document["event"] not in ("segment.recomputed", "webhook.test"):
            raise _breach(400, f"a notice has the fields {', '.join(sorted(_NOTICE))}")
        return document
    if set(document) != _MEMBERS or document["type"] not in _KINDS:
        raise _breach(400, f"a message has the fields {', '.join(sorted(_MEMBERS))} and a known type")
    if document["id"] != request.headers["webhook-id"]:
        raise _breach(400, "the id of the body is not that of the header")
    _check_users(document)
    return document


def _check_users(document: Mapping[str, Any]) -> None:
    users = document["users"]
    wanted = {"user_id", "entered_at"} if document["type"] == "segment.entered" else {"user_id"}
    if not isinstance(users, list) or len(users) > MOST_USERS:
        raise _breach(400, f"users is not a list of at most {MOST_USERS}")
    for user in users:
        if (
            not isinstance(user, dict)
            or set(user) != wanted
            or not all(isinstance(text, str) for text in user.values())
        ):
            raise _breach(400, f"a user has the fields {', '.join(sorted(wanted))}, texts, and no others")
    if len({user["user_id"] for user in users}) < len(users):
        raise _breach(400, "a user is in the message twice")


def _breach(status: int, what: str) -> Refusal:
    return Refusal(Response(status, {"message": what}), what)
