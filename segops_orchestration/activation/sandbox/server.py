"""A sandbox on a port.

Beside the vendor's paths it answers ``GET /_sandbox/state``, ``GET /_sandbox/members``, ``GET /_sandbox/violations``,
``POST /_sandbox/misbehave`` (an instruction or a list of them) and ``POST /_sandbox/behave``.
"""

from __future__ import annotations

import json
import random
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs, urlsplit

from segops_orchestration.activation.http import encode
from segops_orchestration.activation.sandbox.sandbox import Delivery, Request, Response, Sandbox

_MOST_BODY_BYTES = 64 << 20


class SandboxServer:
    """Serves one sandbox; a context manager that stops it.

    ``latency`` is the least and the most seconds that an answer takes, the network's way there and back included.
    """

    def __init__(
        self, sandbox: Sandbox, *, host: str = "127.0.0.1", port: int = 0, latency: tuple[float, float] = (0.0, 0.0)
    ) -> None:
        self.sandbox = sandbox
        self.latency = latency
        self.stopping = threading.Event()
        self._server = _Server((host, port), self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Its address."""
        host, port = self._server.server_address[:2]
        return f"http://{host if isinstance(host, str) else host.decode()}:{port}"

    def start(self) -> Self:
        """Serve in the background."""
        self._thread.start()
        return self

    def wait(self) -> None:
        """Until it is stopped."""
        self._thread.join()

    def stop(self) -> None:
        """Stop serving; calls that hang end."""
        self.stopping.set()
        self._server.shutdown()
        self._server.close_connections()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], served: SandboxServer) -> None:
        self.served = served
        self._open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # HTTPServer's own asks the resolver for the host's full name, which can take seconds.
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """Connections kept alive do not outlive the server."""
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # It is closed already.


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):
            self.close_connection = True  # The caller has gone.

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: what matters is counted."""

    def _serve(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > _MOST_BODY_BYTES:
            self.close_connection = True
            self._send(Response(413))
            return
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True  # The caller has died in the middle of it: no request.
            return
        parts = urlsplit(self.path)
        request = Request(
            self.command,
            parts.path,
            parse_qs(parts.query, keep_blank_values=True),
            {name.lower(): value for name, value in self.headers.items()},
            body,
        )
        if parts.path.startswith("/_sandbox/"):
            self._send(self._administer(request))
            return
        self._deliver(request)

    def _deliver(self, request: Request) -> None:
        served = self.server.served
        way = random.uniform(*served.latency) / 2
        self._sleep(way)
        delivery: Delivery = served.sandbox.answer(request)
        self._sleep(way + delivery.delay)
        if delivery.response is None:
            self.close_connection = True
            return
        self._send(delivery.response)

    def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            self.server.served.stopping.wait(seconds)

    def _send(self, response: Response) -> None:
        body = b"" if response.body is None else encode(response.body)
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if response.body is not None and "Content-Type" not in response.headers:
            self.send_header("Content-Type", "application/json")
        if response.status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def _administer(self, request: Request) -> Response:
        sandbox = self.server.served.sandbox
        action = self._ACTIONS.get(request.call)
        if action is None:
            return Response(404, {"error": f"{request.call}: there are {', '.join(self._ACTIONS)}"})
        try:
            return Response(200, action(sandbox, request))
        except (ValueError, TypeError) as error:
            return Response(400, {"error": str(error)})

    _ACTIONS: ClassVar[dict[str, Callable[[Sandbox, Request], Any]]] = {
        "GET /_sandbox/state": lambda sandbox, _: sandbox.overview(),
        "GET /_sandbox/members": lambda sandbox, _: _members(sandbox),
        "GET /_sandbox/violations": lambda sandbox, _: _violations(sandbox),
        "POST /_sandbox/misbehave": lambda sandbox, request: _misbehave(sandbox, request),
        "POST /_sandbox/behave": lambda sandbox, _: _behave(sandbox),
    }

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve


def _members(sandbox: Sandbox) -> dict[str, Any]:
    with sandbox.lock:
        return {"members": sorted(sandbox.members())}


def _violations(sandbox: Sandbox) -> dict[str, Any]:
    with sandbox.lock:
        return {"count": sandbox.violation_count, "violations": list(sandbox.violations)}


def _misbehave(sandbox: Sandbox, request: Request) -> dict[str, Any]:
    told = json.loads(request.body)
    for document in told if isinstance(told, list) else [told]:
        sandbox.misbehave(**document)
    return sandbox.overview()


def _behave(sandbox: Sandbox) -> dict[str, Any]:
    sandbox.behave()
    return sandbox.overview()
