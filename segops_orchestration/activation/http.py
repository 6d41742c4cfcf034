"""HTTP as every platform needs it: paced, retried within bounds, answers turned into what the delivery understands."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import BaseAdapter, HTTPAdapter

from segops_orchestration.activation.limiter import Limiter
from segops_orchestration.activation.platform import BatchRefused, PlatformRefused, PlatformUnavailable

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
# All tries of one call together, pauses included.
PATIENCE_SECONDS = 120.0
# The first pause is up to this long, each further one up to twice the one before.
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
# A platform that asks for more is asked again after this: such a figure is a mistake, milliseconds for seconds, say.
LONGEST_WAIT_SECONDS = 3_600.0
# An answer larger or slower than this is given up.
MOST_ANSWER_BYTES = 64 << 20
MOST_WORDS = 500

# Beside 5xx: request timeout, too early, too many requests.
_PASSING = (408, 425, 429)
_BATCH_REFUSED = (400, 413, 422)
_EPOCH_FLOOR = 1_000_000_000
# Made once: ten thousand profiles are encoded one by one.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True)
class Reply:
    """A platform's answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """The body as JSON; None when it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def words_of_body(reply: Reply) -> str:
    """What the answer says, for a person: ``message`` or ``error`` of a JSON object, else the text."""
    document = reply.json()
    if isinstance(document, dict):
        for name in ("message", "error", "detail", "title"):
            if isinstance(document.get(name), str):
                return str(document[name])
    return reply.body.decode("utf-8", "replace").strip()


class PlatformHttp:
    """The HTTP session of one connector. Threads may share it."""

    def __init__(
        self,
        platform: str,
        base_url: str,
        headers: Mapping[str, str],
        *,
        secrets: Sequence[str] = (),
        limiter: Limiter | None = None,
        before_request: Callable[[], None] | None = None,
        words: Callable[[Reply], str] = words_of_body,
        connections: int = 1,
        read_seconds: float | None = None,
        patience_seconds: float | None = None,
        adapter: BaseAdapter | None = None,
    ) -> None:
        """``platform`` is its name in messages; ``secrets`` never appear there; ``words`` reads an answer's message."""
        self.platform = platform
        self.base_url = base_url.rstrip("/")
        self._secrets = sorted((secret for secret in secrets if secret), key=len, reverse=True)
        self._limiter = limiter
        self._before_request = before_request
        self._words = words
        self._timeout = (CONNECT_SECONDS, READ_SECONDS if read_seconds is None else read_seconds)
        self._patience = PATIENCE_SECONDS if patience_seconds is None else patience_seconds
        self._lock = threading.Lock()
        self._requests = 0
        self._retries = 0
        self._lost = threading.local()
        self._session = requests.Session()
        self._session.headers.update(headers)
        # Without it, requests would put a password of ~/.netrc in place of the key.
        self._session.auth = _as_it_is
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, adapter or HTTPAdapter(pool_connections=1, pool_maxsize=connections))

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        limiter: Limiter | None = None,
    ) -> Reply:
        """Send, and give back an answer of success.

        Raises:
            PlatformRefused: 401, 403, 404, a redirect, and whatever else cannot succeed by trying again.
            BatchRefused: 400, 413, 422.
            PlatformUnavailable: 408, 425, 429, 5xx or no answer, after all tries.
        """
        reply = self.send(method, path, params=params, body=body, headers=headers, limiter=limiter)
        if 200 <= reply.status < 300:
            return reply
        raise self.refusal(method, path, reply)

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        limiter: Limiter | None = None,
    ) -> Reply:
        """Send, try again what may pass, and give back the answer, whatever else its status is.

        ``body`` is sent as it is when it is bytes, else as JSON.

        Raises:
            PlatformUnavailable: 408, 425, 429, 5xx or no answer, after all tries.
        """
        data = body if body is None or isinstance(body, bytes) else encode(body)
        give_up_at = time.monotonic() + self._patience
        may_have_applied = False
        limiter = limiter or self._limiter
        tries = 0
        while True:
            self._wait_for_turn(limiter, give_up_at, may_have_applied=may_have_applied)
            outcome = self._once(method, path, params, data, headers, retry=tries > 0)
            if isinstance(outcome, Reply) and outcome.status not in _PASSING and outcome.status < 500:
                return outcome
            if _may_have_applied(outcome):
                may_have_applied = True
                self._count_lost(method)
            asked = wait_asked(outcome.status, outcome.headers, time.time()) if isinstance(outcome, Reply) else 0.0
            tries += 1
            # No wait, or one that is over already, is no leave to come back at once.
            pause = max(_pause(tries), asked + random.uniform(0, 0.1 * asked))
            if asked and limiter is not None:
                limiter.hold_off(asked)
            if time.monotonic() + pause > give_up_at:
                words = self._no_success(method, path, outcome, tries, asked)
                raise PlatformUnavailable(words, may_have_applied=may_have_applied) from None
            time.sleep(pause)

    def refusal(self, method: str, path: str, reply: Reply) -> PlatformRefused | BatchRefused:
        """The error that stands for an answer that is no success, in the platform's own words."""
        said = self.mask(self._words(reply))[:MOST_WORDS]
        where = f"{self.platform} answered {method} {_shown(path)} with {reply.status}"
        if reply.status in _BATCH_REFUSED:
            return BatchRefused(f"{where}: {said}")
        if 300 <= reply.status < 400:
            target = self.mask(_shown(reply.headers.get("Location", "nowhere")))
            said = f"a redirect to {target}, which is not followed; is the address {self.base_url} right?"
        return PlatformRefused(f"{where}: {said}", reply.status)

    def traffic(self) -> tuple[int, int]:
        """Requests and retries so far."""
        with self._lock:
            return self._requests, self._retries

    def lost(self) -> int:
        """Requests of this thread so far that may have been carried out, or may be yet, although no answer came."""
        return getattr(self._lost, "requests", 0)

    def mask(self, text: str) -> str:
        """The text with every secret as ``***``."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _count_lost(self, method: str) -> None:
        if method != "GET":
            self._lost.requests = self.lost() + 1

    def _wait_for_turn(self, limiter: Limiter | None, give_up_at: float, *, may_have_applied: bool) -> None:
        left = limiter.wait(most=max(0.0, give_up_at - time.monotonic())) if limiter is not None else 0.0
        if left:
            raise PlatformUnavailable(
                f"{self.platform} asked for a pause, or its rate is used up: {left:.0f} s are left of it",
                may_have_applied=may_have_applied,
            )

    def _once(
        self,
        method: str,
        path: str,
        params: Any,
        data: bytes | None,
        headers: Mapping[str, str] | None,
        *,
        retry: bool,
    ) -> Reply | requests.RequestException:
        if self._before_request is not None:
            self._before_request()
        with self._lock:
            self._requests += 1
            self._retries += retry
        try:
            with self._session.request(
                method,
                self.base_url + path,
                params=params,
                data=data,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as response:
                return Reply(response.status_code, response.headers, self._read(response))
        except (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema) as error:
            raise PlatformRefused(f"{self.platform}: {self.mask(str(error))}") from None
        except requests.RequestException as error:
            return error

    def _read(self, response: requests.Response) -> bytes:
        """The body; an answer that drips or floods counts as no answer."""
        end = time.monotonic() + self._timeout[1] * 2
        parts: list[bytes] = []
        size = 0
        for part in response.iter_content(1 << 16):
            parts.append(part)
            size += len(part)
            if size > MOST_ANSWER_BYTES or time.monotonic() > end:
                raise requests.exceptions.ChunkedEncodingError(f"the answer did not end after {size:,} bytes")
        return b"".join(parts)

    def _no_success(
        self, method: str, path: str, outcome: Reply | requests.RequestException, tries: int, asked: float
    ) -> str:
        if isinstance(outcome, Reply):
            said = f"{outcome.status} {self._words(outcome)}".strip()
        else:
            said = f"no answer ({_cause(outcome)})"
        times = "once" if tries == 1 else f"{tries} times"
        # Masked before it is cut: half a secret would not be found.
        words = self.mask(said)[:MOST_WORDS]
        wait = f"; it asks to be left alone for {asked:.0f} s" if asked else ""
        return f"{self.platform} is unavailable: {method} {_shown(path)}, tried {times}: {words}{wait}"


def encode(document: Any) -> bytes:
    """Compact JSON in UTF-8."""
    return _ENCODER.encode(document).encode("utf-8", "surrogatepass")


def wait_asked(status: int, headers: Mapping[str, str], now: float) -> float:
    """Seconds that an answer asks to be left alone, at most LONGEST_WAIT_SECONDS; 0 when it does not.

    That is Retry-After (seconds or a date), else X-RateLimit-Reset of an answer that says that the rate is used up: it
    stands in every answer of some platforms.
    """
    return max(0.0, min(_asked(status, headers, now), LONGEST_WAIT_SECONDS))


def _asked(status: int, headers: Mapping[str, str], now: float) -> float:
    after = headers.get("Retry-After", "").strip()
    if after:
        seconds = _number(after)
        if seconds is not None:
            return seconds
        try:
            return parsedate_to_datetime(after).timestamp() - now
        except (ValueError, OverflowError):
            pass  # Neither form: as if it was not there.
    reset = _number(headers.get("X-RateLimit-Reset", "").strip())
    used_up = status == 429 or _number(headers.get("X-RateLimit-Remaining", "").strip()) == 0
    if reset is None or not used_up:
        return 0.0
    # An epoch; some answer the seconds that are left.
    return reset - now if reset > _EPOCH_FLOOR else reset


def _shown(address: str) -> str:
    """What a message says of an address: what follows the ``?`` may be a secret."""
    path, mark, _ = address.partition("?")
    return f"{path}?..." if mark else path


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number == number and abs(number) != float("inf") else None


def _pause(tries: int) -> float:
    """Jittered over its upper half: never none, and never in step with another connector."""
    longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(tries - 1, 16))
    return random.uniform(longest / 2, longest)


def _may_have_applied(outcome: Reply | requests.RequestException) -> bool:
    if isinstance(outcome, Reply):
        return outcome.status != 429
    return not isinstance(outcome, requests.exceptions.ConnectTimeout) and not _never_connected(outcome)


def _never_connected(error: requests.RequestException) -> bool:
    return "NewConnectionError" in repr(error) or "NameResolutionError" in repr(error)


def _cause(error: requests.RequestException) -> str:
    if isinstance(error, requests.exceptions.Timeout):
        return "no connection in time" if isinstance(error, requests.exceptions.ConnectTimeout) else "timed out"
    return "no connection" if _never_connected(error) else type(error).__name__


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
