"""Notices of a tenant: ``segment.recomputed``, to whoever asked for it, until it has arrived.

A message that does not arrive is tried again after growing pauses, for most of a day, then it is dead until somebody
redelivers it. An endpoint that does not answer gets one attempt a round, so it holds up nobody else's messages.
"""

from __future__ import annotations

import json
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_hex
from time import time as wall_clock

from segops_orchestration.activation.http import wait_asked
from segops_orchestration.activation.safe_targets import (
    Resolver,
    TargetNotFound,
    TargetRefused,
    parse_target,
    private_targets_allowed,
)
from segops_orchestration.activation.safe_transport import Answer, NoAnswer, NoConnection, request
from segops_orchestration.activation.signing import signed_headers
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.webhook_records import ClaimedMessage

ANSWER_SECONDS = 10.0
# After each attempt that failed; together 16 hours. After the last there are no more.
PAUSES = tuple(timedelta(seconds=seconds) for seconds in (10, 60, 300, 1_800, 3_600, 7_200, 14_400, 28_800))
# A pause is up to so much longer, lest all messages of an outage come back at once.
_JITTER = 0.1
_LANES = 8
_MESSAGES_A_ROUND = 100
_CLAIM_SECONDS = 120.0
_MOST_WORDS = 300
_GONE = 410


@dataclass(frozen=True)
class NoticeResult:
    """What a piece of work came to: messages written anew, and attempts by their outcome."""

    written: int = 0
    delivered: int = 0
    failed: int = 0
    dead: int = 0
    disabled: int = 0


@dataclass(frozen=True)
class Attempt:
    """What came of one request. ``status`` is None when there was no answer; ``error`` is empty for a success."""

    status: int | None
    error: str
    wait_seconds: float | None = None

    @property
    def arrived(self) -> bool:
        return not self.error


def announce(
    catalog: Catalog,
    tenant: str,
    *,
    seconds: float = 60.0,
    resolver: Resolver | None = None,
) -> NoticeResult:
    """Write the messages that committed computations call for, and send what is due, for up to ``seconds``.

    What does not get its turn is due still. Costs one short query for a tenant that told nobody to listen.

    Raises:
        NotFound: no such tenant.
        SecretKeyError: a secret cannot be decrypted.
    """
    written = catalog.webhooks.write(tenant)
    return _Round(catalog, tenant, seconds, resolver).send(written)


def try_endpoint(catalog: Catalog, tenant: str, endpoint_id: int, *, resolver: Resolver | None = None) -> Attempt:
    """Post a message that means nothing, once.

    Raises:
        NotFound: no such tenant or endpoint.
        SecretKeyError: the secret cannot be decrypted.
    """
    endpoint = catalog.webhooks.get(tenant, endpoint_id)
    body = json.dumps({"event": "webhook.test", "tenant_slug": tenant})
    secret = catalog.webhooks.secret(tenant, endpoint_id)
    return _attempt(endpoint.url, secret, f"test_{token_hex(8)}", body, private_targets_allowed(), resolver)


class _Round:
    """The sending of what is due, until nothing is or the time is over."""

    def __init__(self, catalog: Catalog, tenant: str, seconds: float, resolver: Resolver | None) -> None:
        self._door = catalog.webhooks
        self._tenant = tenant
        self._end = time.monotonic() + seconds
        self._allow_private = private_targets_allowed()
        self._resolver = resolver

    def send(self, written: int) -> NoticeResult:
        counts: defaultdict[str, int] = defaultdict(int)
        resting: set[int] = set()
        with ThreadPoolExecutor(_LANES) as lanes:
            while time.monotonic() < self._end:
                due = self._door.claim(self._tenant, seconds=_CLAIM_SECONDS, limit=_MESSAGES_A_ROUND, but=resting)
                if not due:
                    break
                for endpoint, outcomes in lanes.map(self._lane, _by_endpoint(due)):
                    for outcome in outcomes:
                        counts[outcome] += 1
                    if outcomes[-1:] != ["delivered"]:
                        resting.add(endpoint)
        return NoticeResult(written, counts["delivered"], counts["failed"], counts["dead"], counts["disabled"])

    def _lane(self, messages: Sequence[ClaimedMessage]) -> tuple[int, list[str]]:
        """Send one endpoint's messages in turn, up to the first that does not arrive; the rest is given back."""
        outcomes: list[str] = []
        # The claim is over some time after the last attempt that may begin.
        end = min(self._end, time.monotonic() + _CLAIM_SECONDS / 2)
        while len(outcomes) < len(messages) and time.monotonic() < end:
            outcomes.append(self._send(messages[len(outcomes)]))
            if outcomes[-1] != "delivered":
                break
        self._door.release(messages[len(outcomes) :])
        return messages[0].endpoint_id, outcomes

    def _send(self, message: ClaimedMessage) -> str:
        attempt = _attempt(
            message.url, message.secret, message.message_id, message.body, self._allow_private, self._resolver
        )
        if attempt.arrived:
            self._door.delivered(message, attempt.status or 0)
            return "delivered"
        if attempt.status == _GONE:
            self._door.gone(message, _GONE, "the receiver answered 410: it wants no more messages")
            return "disabled"
        again = next_attempt(self._door.now(), message.attempts + 1, attempt.wait_seconds)
        self._door.failed(message, attempt.status, attempt.error, again)
        return "dead" if again is None else "failed"


def next_attempt(now: datetime, attempts: int, wait_seconds: float | None) -> datetime | None:
    """When to try again after so many attempts; None after the last. A wait that was asked for is heeded, to a day."""
    if attempts > len(PAUSES):
        return None
    pause = PAUSES[attempts - 1] * (1 + random.uniform(0, _JITTER))
    asked = timedelta(seconds=min(wait_seconds or 0.0, 86_400.0))
    return now + max(pause, asked)


def _by_endpoint(messages: Sequence[ClaimedMessage]) -> list[list[ClaimedMessage]]:
    grouped: dict[int, list[ClaimedMessage]] = {}
    for message in messages:
        grouped.setdefault(message.endpoint_id, []).append(message)
    return list(grouped.values())


def _attempt(
    url: str, secret: str, message_id: str, body: str, allow_private: bool, resolver: Resolver | None
) -> Attempt:
    content = body.encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "SegOps-Webhook/1",
        **signed_headers(secret, message_id, int(wall_clock()), content),
    }
    try:
        answer = request(
            "POST",
            parse_target(url),
            headers,
            content,
            allow_private=allow_private,
            seconds=ANSWER_SECONDS,
            resolver=resolver,
        )
    except (TargetRefused, TargetNotFound) as error:
        return Attempt(None, str(error))
    except NoConnection as error:
        return Attempt(None, f"no connection: {error}")
    except NoAnswer as error:
        return Attempt(None, f"no answer: {error}")
    if 200 <= answer.status < 300:
        return Attempt(answer.status, "")
    return Attempt(answer.status, _refusal(answer, secret), wait_asked(answer.status, answer.headers, wall_clock()))


def _refusal(answer: Answer, secret: str) -> str:
    if 300 <= answer.status < 400:
        where = answer.headers.get("Location", "nowhere")
        return _words(f"answered {answer.status}, a redirect to {where}, which is not followed", secret)
    said = answer.body.decode("utf-8", "replace").strip()
    return _words(f"answered {answer.status}{': ' if said else ''}{said}", secret)


def _words(text: str, secret: str) -> str:
    return text.replace(secret, "***")[:_MOST_WORDS]
