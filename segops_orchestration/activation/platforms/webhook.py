"""A webhook: the changes of a segment, posted to an address of the user's own, signed.

A batch is one message. Its id is the same however often it is sent, and another one as soon as it is about others: a
batch of which somebody has left meanwhile is not what the receiver has seen. The receiver may name users that it does
not take, and the rest counts as taken.
"""

from __future__ import annotations

import hashlib
import secrets as random
from collections.abc import Sequence
from time import time as clock
from typing import Any, ClassVar
from urllib.parse import parse_qsl

import requests

from segops_orchestration.activation.checks import requests_per_second, target_url, users_per_request
from segops_orchestration.activation.http import PlatformHttp, Reply, encode
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
from segops_orchestration.activation.rejections import LONGEST_REASON
from segops_orchestration.activation.safe_targets import TargetRefused, parse_target
from segops_orchestration.activation.safe_transport import GuardedAdapter
from segops_orchestration.activation.signing import check_secret, signed_headers

ANSWER_SECONDS = 10.0
USERS_PER_REQUEST = 1_000
REQUESTS_PER_SECOND = 10
_IN_FLIGHT = 4
# A value of the URL's query that is so long may be a token, and is masked like the secret.
_TOKEN_CHARACTERS = 6
_GONE = 410
_TOO_LARGE = 413
_NAMES_USERS = (400, 422)


class Webhook(Platform):
    """One address."""

    type = "webhook"
    title = "Signed webhook"
    fields: ClassVar[Sequence[ConfigField]] = (
        ConfigField(
            "secret",
            "what messages are signed with: whsec_ and base64, or another text of 16 characters or more",
            secret=True,
            check=check_secret,
        ),
        ConfigField("url", "where to post, such as https://example.com/hooks/segops", check=target_url),
        ConfigField(
            "batch_size",
            "users in one message at most",
            required=False,
            default=USERS_PER_REQUEST,
            check=users_per_request,
        ),
        ConfigField(
            "requests_per_second",
            "messages sent in a second at most",
            required=False,
            default=REQUESTS_PER_SECOND,
            check=requests_per_second,
        ),
    )

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        url, secret = str(connection.config["url"]), connection.secrets["secret"]
        try:
            check_secret(secret)
        except ValueError as error:
            raise PlatformRefused(f"the secret of the webhook {error}") from None
        target = parse_target(url)
        self._path = target.path
        account = connection.account(url, secret)
        # Two installations may number their batches alike and post to one receiver.
        self._prefix = connection.account(f"{connection.tenant} {connection.connector_id}", secret)[:12]
        self.http = PlatformHttp(
            "The webhook",
            f"{target.scheme}://{target.host_header}",
            {"Content-Type": "application/json", "User-Agent": "SegOps-Webhook/1"},
            secrets=[secret, *_tokens(target.path)],
            limiter=connection.limiter(f"webhook {account}", (Rate(connection.config["requests_per_second"], 1),)),
            before_request=connection.before_request,
            patience_seconds=connection.patience_seconds,
            read_seconds=ANSWER_SECONDS,
            adapter=_SigningAdapter(secret, allow_private=connection.allow_private_targets),
        )

    def batch_size(self, action: Action) -> int:
        return int(self.connection.config["batch_size"])

    def in_flight(self) -> int:
        return _IN_FLIGHT

    def add(self, users: Sequence[User], batch_id: str) -> Answer:
        entered = [{"user_id": user.user_id, "entered_at": user.entered_at} for user in users]
        return self._send("segment.entered", entered, batch_id)

    def remove(self, users: Sequence[User], batch_id: str) -> Answer:
        return self._send("segment.exited", [{"user_id": user.user_id} for user in users], batch_id)

    def test(self) -> list[Finding]:
        try:
            reply = self._post("webhook.test", [], f"test-{random.token_hex(6)}")
        except PlatformRefused as error:
            return [Finding("address", False, str(error))]
        if 200 <= reply.status < 300:
            return [Finding("address", True), Finding("answer", True)]
        return [Finding("address", True), Finding("answer", False, str(self._refusal(reply)))]

    def _send(self, kind: str, users: Sequence[dict[str, str]], batch_id: str) -> Answer:
        reply = self._post(kind, users, batch_id)
        named = self._rejected(reply, {user["user_id"] for user in users})
        if 200 <= reply.status < 300:
            return Answer(rejected=named)
        if reply.status == _TOO_LARGE or (named and reply.status in _NAMES_USERS):
            raise BatchRefused(str(self._refusal(reply)), named)
        raise self._refusal(reply)

    def _post(self, kind: str, users: Sequence[dict[str, str]], batch_id: str) -> Reply:
        message = f"{self._prefix}-{batch_id}-{_digest(kind, users)}"
        document = {
            "type": kind,
            "id": message,
            "tenant": self.connection.tenant,
            "segment": self.connection.segment,
            "segment_id": self.connection.segment_id,
            "connector": self.connection.connector,
            "users": users,
        }
        try:
            return self.http.send("POST", self._path, body=document, headers={"webhook-id": message})
        except TargetRefused as error:
            raise PlatformRefused(str(error)) from None

    def _rejected(self, reply: Reply, asked: set[str]) -> dict[str, str]:
        """User id -> reason, of those whom the answer names; an answer may be anything else, too."""
        document: Any = reply.json()
        named = document.get("rejected") if isinstance(document, dict) else None
        if not isinstance(named, dict):
            return {}
        return {user: self.http.mask(str(reason))[:LONGEST_REASON] for user, reason in named.items() if user in asked}

    def _refusal(self, reply: Reply) -> PlatformRefused:
        """A person must look: a receiver that takes nobody is told apart from one that does not take somebody."""
        if reply.status == _GONE:
            return PlatformRefused("The webhook answered with 410: its receiver wants no more messages", _GONE)
        return PlatformRefused(str(self.http.refusal("POST", self._path, reply)), reply.status)


def _digest(kind: str, users: Sequence[dict[str, str]]) -> str:
    """Tells apart what is said under one batch id."""
    return hashlib.sha256(encode([kind, *sorted(user["user_id"] for user in users)])).hexdigest()[:12]


def _tokens(path: str) -> list[str]:
    query = path.partition("?")[2]
    written = [part.partition("=")[2] for part in query.split("&")]
    values = [value for _, value in parse_qsl(query)] + written
    return [value for value in dict.fromkeys(values) if len(value) >= _TOKEN_CHARACTERS]


class _SigningAdapter(GuardedAdapter):
    """Signs each attempt at its own time; the id is that of the message."""

    def __init__(self, secret: str, *, allow_private: bool) -> None:
        super().__init__(allow_private=allow_private, seconds=ANSWER_SECONDS)
        self._secret = secret

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        body = request.body if isinstance(request.body, bytes) else str(request.body or "").encode()
        request.headers.update(signed_headers(self._secret, request.headers["webhook-id"], int(clock()), body))
        return super().send(request, *args, **kwargs)
