"""One HTTP request to a URL that somebody else has chosen.

It goes to an address that was checked, by no proxy, follows no redirect, ends at its deadline whatever the other side
does, and reads no more of the answer than is of use.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.connection import HTTPConnection
from urllib3.exceptions import NewConnectionError

from segops_orchestration.activation.safe_targets import Resolver, Target, TargetNotFound, parse_target, resolve

MOST_RECEIVED_BYTES = 4 << 20
_READ_BYTES = 1 << 16


class NoConnection(OSError):
    """No connection came about, so nothing was sent."""


class NoAnswer(OSError):
    """The connection broke, or its time was over, after something may have been sent."""


@dataclass(frozen=True)
class Answer:
    """A complete answer; names of headers are read in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


def request(
    method: str,
    target: Target,
    headers: Mapping[str, str],
    body: bytes,
    *,
    allow_private: bool,
    seconds: float,
    resolver: Resolver | None = None,
) -> Answer:
    """Send and read the answer, all of it within ``seconds``; asking the name server does not count.

    Raises:
        TargetRefused: the target has an address that must not be reached; nothing was sent.
        TargetNotFound: it has no address.
        NoConnection, NoAnswer: see there.
    """
    addresses = resolve(target, allow_private=allow_private, resolver=resolver)
    deadline = time.monotonic() + seconds
    try:
        connected = _connect(target, addresses, deadline)
    except OSError as error:
        raise NoConnection(_said(error)) from error
    with connected:
        connection = http.client.HTTPConnection(target.host, target.port)
        connection.sock = _TimedSocket(connected, deadline)
        try:
            connection.request(method, target.path, body, _complete(headers, target, body))
            return _read(connection.getresponse())
        except (OSError, http.client.HTTPException, ValueError) as error:
            # ValueError: what http.client makes of a malformed answer.
            raise NoAnswer(_said(error)) from error


class GuardedAdapter(BaseAdapter):
    """The same for a session of ``requests``."""

    def __init__(self, *, allow_private: bool, seconds: float, resolver: Resolver | None = None) -> None:
        super().__init__()
        self._allow_private = allow_private
        self._seconds = seconds
        self._resolver = resolver

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Raises TargetRefused, and otherwise what ``requests`` raises."""
        try:
            target = parse_target(request.url)
        except ValueError as error:
            raise requests.exceptions.InvalidURL(f"{request.url} {error}", request=request) from None
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        try:
            answer = self._answer(str(request.method), target, request.headers, body)
        except (TargetNotFound, NoConnection) as error:
            reason = NewConnectionError(HTTPConnection(target.host, target.port), str(error))
            raise requests.exceptions.ConnectionError(reason, request=request) from None
        except NoAnswer as error:
            kind = requests.exceptions.ReadTimeout if _timed_out(error) else requests.exceptions.ConnectionError
            raise kind(str(error), request=request) from None
        return _response(request, answer)

    def close(self) -> None:
        """Nothing is kept open."""

    def _answer(self, method: str, target: Target, headers: Mapping[str, str], body: bytes) -> Answer:
        return request(
            method,
            target,
            headers,
            body,
            allow_private=self._allow_private,
            seconds=self._seconds,
            resolver=self._resolver,
        )


class _Final(requests.Response):
    """An answer that leads nowhere: without this ``requests`` reads even a redirect that it is not to follow, and
    what stands there may be anything."""

    @property
    def is_redirect(self) -> bool:
        return False


def _response(sent: requests.PreparedRequest, answer: Answer) -> requests.Response:
    response = _Final()
    response.status_code = answer.status
    response.headers = CaseInsensitiveDict(answer.headers)
    response.raw = io.BytesIO(answer.body)
    response.request = sent
    response.url = sent.url or ""
    return response


def _connect(target: Target, addresses: list[str], deadline: float) -> socket.socket:
    """A connection to the first of the addresses that takes one."""
    failure: OSError = OSError("no address")
    for address in addresses:
        try:
            plain = socket.create_connection((address, target.port), timeout=_left(deadline))
        except OSError as error:
            failure = error
            continue
        if target.scheme == "http":
            return plain
        try:
            plain.settimeout(_left(deadline))
            return _tls().wrap_socket(plain, server_hostname=target.host)
        except BaseException:
            plain.close()
            raise
    raise failure


@cache
def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    # Those of requests too: not every Python has the system's.
    context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    return context


def _complete(headers: Mapping[str, str], target: Target, body: bytes) -> dict[str, str]:
    complete = {name: value for name, value in headers.items() if name.lower() not in ("host", "accept-encoding")}
    return complete | {
        "Host": target.host_header,
        "Accept-Encoding": "identity",
        "Connection": "close",
        "Content-Length": str(len(body)),
    }


def _read(response: http.client.HTTPResponse) -> Answer:
    body = b""
    while part := response.read(_READ_BYTES):
        body += part
        if len(body) > MOST_RECEIVED_BYTES:
            raise OSError(f"the answer has more than {MOST_RECEIVED_BYTES:,} bytes")
    return Answer(response.status, CaseInsensitiveDict(response.getheaders()), body)


class _TimedSocket:
    """A socket whose every operation ends at the deadline; as much of one as ``http.client`` uses."""

    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self._connected = connected
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        self._connected.settimeout(_left(self._deadline))
        self._connected.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._connected, self._deadline))

    def close(self) -> None:
        """Called before the answer is read; whoever connected closes."""


class _TimedReader(io.RawIOBase):
    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self._connected = connected
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connected.settimeout(_left(self._deadline))
        return self._connected.recv_into(buffer)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("no complete answer in time")
    return left


def _timed_out(error: BaseException) -> bool:
    return isinstance(error.__cause__, TimeoutError)


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
