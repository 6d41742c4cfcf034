"""ClickHouse's HTTP interface over chdb, for one machine: cheroot does HTTP, this module the rest.

What it does: queries by GET and POST, bound parameters, settings, sessions, external tables, compressed bodies,
streaming both ways, ClickHouse's headers and errors. What it leaves out: users and roles, answers compressed,
progress headers.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
import secrets
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qs

from cheroot import server as http
from cheroot.workers.threadpool import ThreadPool

from segops_orchestration.warehouse.embedded.body import Body
from segops_orchestration.warehouse.embedded.errors import ClientGone, EngineError, WrongPassword
from segops_orchestration.warehouse.embedded.execute import Answer, execute
from segops_orchestration.warehouse.embedded.proof import ping_proof
from segops_orchestration.warehouse.embedded.request import Request, read_request
from segops_orchestration.warehouse.embedded.sessions import Sessions
from segops_orchestration.warehouse.embedded.watch import DisconnectWatch
from segops_orchestration.warehouse.sql import first_keyword

log = logging.getLogger(__name__)

USERNAME = "default"
# Queries running at the same time; more than that wait for a thread.
_THREADS = 64
# A connection may idle this long between requests, and a slow reader may take this long to accept a chunk.
_IDLE_SECONDS = 3600
_SLOW_SECONDS = 1.0
_SPOOL_BYTES = 8 << 20
_COPY_BYTES = 1 << 20
_CONTENT_TYPES = {
    "tabseparated": "text/tab-separated-values; charset=UTF-8",
    "csv": "text/csv; charset=UTF-8; header=absent",
    "csvwithnames": "text/csv; charset=UTF-8; header=present",
    "json": "application/json; charset=UTF-8",
    "jsoneachrow": "application/x-ndjson; charset=UTF-8",
}


class WarehouseServer:
    """The listening server.

    Args:
        sessions: the engine.
        password: what clients have to present.
        port: 0 lets the system choose.
        scratch: directory for temporary files.
    """

    def __init__(self, sessions: Sessions, password: str, port: int, scratch: Path) -> None:
        self.sessions = sessions
        self.scratch = scratch
        self.watch = DisconnectWatch(sessions.cancel)
        self._password = password
        self._running = 0
        self._idle = threading.Condition()
        self._http = _listen(port, _gateway_for(self))

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._http.bind_addr[1])

    def serve(self) -> None:
        """Answer requests until stop() is called."""
        self._http.serve()

    def stop(self, drain_seconds: float) -> bool:
        """Accept nothing new and let what runs finish; whether it finished within ``drain_seconds``."""
        self._http.shutdown_timeout = drain_seconds
        stopping = threading.Thread(target=self._http.stop, name="stop", daemon=True)
        stopping.start()
        deadline = time.monotonic() + drain_seconds
        with self._idle:
            drained = self._idle.wait_for(lambda: self._running == 0, timeout=drain_seconds)
        stopping.join(max(1.0, deadline - time.monotonic()) if drained else 0)
        return drained

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Holds off the end of the server while a request is answered."""
        with self._idle:
            self._running += 1
        try:
            yield
        finally:
            with self._idle:
                self._running -= 1
                self._idle.notify_all()

    def check_password(self, headers: Mapping[str, str], query_string: str) -> None:
        """Compare what the request presents, wherever ClickHouse lets it stand, in constant time.

        Raises:
            WrongPassword: user or password do not match.
        """
        user, password = _credentials(headers, query_string)
        right_user = hmac.compare_digest(user.encode(), USERNAME.encode())
        right_password = hmac.compare_digest(password.encode(), self._password.encode())
        if not (right_user and right_password):
            raise WrongPassword

    def proof(self, nonce: str) -> str:
        """The answer to a ping with this nonce."""
        return ping_proof(self._password, nonce)


def _log_error(msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
    log.log(level, "http: %s", msg, exc_info=traceback)


def _listen(port: int, gateway: type[http.Gateway]) -> Any:
    """A cheroot server, bound and with its threads running."""
    # Any, because cheroot's type stubs know the defaults of its attributes and not what else they may hold.
    listener: Any = http.HTTPServer
    server = listener(("127.0.0.1", port), gateway=gateway)
    server.server_name = "SegOps"
    server.timeout = _IDLE_SECONDS
    server.keep_alive_conn_limit = None
    server.request_queue_size = 128
    server.error_log = _log_error
    server.requests = ThreadPool(server, min=_THREADS, max=_THREADS)
    server.prepare()
    return server


def _credentials(headers: Mapping[str, str], query_string: str) -> tuple[str, str]:
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return user, password
    if "x-clickhouse-user" in headers or "x-clickhouse-key" in headers:
        return headers.get("x-clickhouse-user", USERNAME), headers.get("x-clickhouse-key", "")
    url = parse_qs(query_string)
    return url.get("user", [USERNAME])[0], url.get("password", [""])[0]


def _gateway_for(warehouse: WarehouseServer) -> type[http.Gateway]:
    class Gateway(http.Gateway):
        def respond(self) -> None:
            with warehouse.counted():
                _Exchange(warehouse, self.req).run()

    return Gateway


class _Exchange:
    """One HTTP request and its answer."""

    def __init__(self, warehouse: WarehouseServer, req: Any) -> None:
        self._warehouse = warehouse
        self._req = req
        self._headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in req.inheaders.items()
        }
        self._query_string = req.qs.decode("latin-1")
        self._id = str(uuid.uuid4())
        self._tag = secrets.token_hex(8)

    def run(self) -> None:
        if self._req.path in (b"/ping", b"/ping/"):
            nonce = parse_qs(self._query_string).get("nonce", [""])[0]
            self._send_all("200 OK", b"Ok.\n", {"X-SegOps-Proof": self._warehouse.proof(nonce)})
            return
        body: Body | None = None
        try:
            body = self._body()
            self._warehouse.check_password(self._headers, self._query_string)
            self._answer(read_request(self._query_string, self._headers, body))
        except ClientGone:
            log.info("query %s: the client left", self._id)
            self._break_off()
        except EngineError as error:
            # The message may quote values, so the log gets the code alone.
            log.warning("query %s: refused, code %d %s", self._id, error.code, error.name)
            if self._req.sent_headers:
                self._break_off(error)
            else:
                self._refuse(error, body)

    def _body(self) -> Body:
        chunked = bool(self._req.chunked_read)
        length = None if chunked else int(self._headers.get("content-length", "0") or 0)
        return Body(self._req.rfile, length, self._headers.get("content-encoding", "").lower())

    def _answer(self, request: Request) -> None:
        self._id = request.query_id or self._id
        marker = f"/* {uuid.uuid4()} */"
        warehouse = self._warehouse
        cancel = request.cancel_when_left and request.is_read
        with (
            warehouse.sessions.connection(request) as connection,
            warehouse.watch.watching(self._req.conn.socket if cancel else None, marker),
        ):
            answer = execute(connection, request, marker, warehouse.scratch)
            with closing(answer.chunks) as chunks:
                first = next(chunks, b"")
                if request.wait or not first:
                    self._send_spooled(answer, first, chunks)
                else:
                    self._send_stream(answer, first, chunks)
        self._log(request, answer)

    def _log(self, request: Request, answer: Answer) -> None:
        """Slow queries by their first word: the text may hold values."""
        counts = answer.counts
        seconds = time.perf_counter() - counts.started
        log.log(
            logging.INFO if seconds >= _SLOW_SECONDS else logging.DEBUG,
            "query %s: %s took %.1f s, read %d rows, wrote %d rows",
            self._id,
            first_keyword(request.sql).decode(),
            seconds,
            counts.read_rows,
            counts.written_rows,
        )

    def _send_spooled(self, answer: Answer, first: bytes, rest: Iterator[bytes]) -> None:
        """Send only when all is there: errors still get their status, and the summary is complete."""
        with tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES, dir=str(self._warehouse.scratch)) as spool:
            spool.write(first)
            for chunk in rest:
                spool.write(chunk)
            answer.counts.result_bytes = spool.tell()
            spool.seek(0)
            headers = self._result_headers(answer) | {"X-ClickHouse-Summary": answer.counts.summary()}
            self._start("200 OK", headers | {"Content-Length": str(answer.counts.result_bytes)})
            self._copy(spool)

    def _copy(self, spool: IO[bytes]) -> None:
        while chunk := spool.read(_COPY_BYTES):
            self._write(chunk)

    def _send_stream(self, answer: Answer, first: bytes, rest: Iterator[bytes]) -> None:
        headers = self._result_headers(answer) | {"X-ClickHouse-Summary": answer.counts.summary()}
        self._start("200 OK", headers | {"X-ClickHouse-Exception-Tag": self._tag})
        self._write(first)
        for chunk in rest:
            self._write(chunk)

    def _result_headers(self, answer: Answer) -> dict[str, str]:
        headers = {"Content-Type": _CONTENT_TYPES.get(answer.format.lower(), "application/octet-stream")}
        if answer.has_result:
            headers["X-ClickHouse-Format"] = answer.format
        return headers

    def _break_off(self, error: EngineError | None = None) -> None:
        """End the connection without ending the answer, so that nobody takes it for whole.

        The error goes out as the last chunk, marked with the tag of the headers, as ClickHouse does since 25.11.
        """
        if error is not None:
            message = str(error).encode()
            text = b"__exception__\r\n%b\r\n%b\n%d %b\r\n__exception__\r\n"
            tag = self._tag.encode()
            with suppress(ClientGone):
                self._write(text % (tag, message, len(message), tag))
        self._req.sent_headers = True
        self._req.chunked_write = False
        self._req.close_connection = True

    def _refuse(self, error: EngineError, body: Body | None) -> None:
        if body is not None and not body.drain():
            self._req.close_connection = True
        headers = {"X-ClickHouse-Exception-Code": str(error.code), "Content-Type": "text/plain; charset=UTF-8"}
        if error.status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="ClickHouse server HTTP API"'
        reasons = {400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 408: "Request Timeout"}
        status = f"{error.status} {reasons.get(error.status, 'Internal Server Error')}"
        self._send_all(status, f"{error}\n".encode(), headers)

    def _send_all(self, status: str, content: bytes, headers: Mapping[str, str]) -> None:
        self._start(status, {**headers, "Content-Length": str(len(content))})
        self._write(content)

    def _start(self, status: str, headers: Mapping[str, str]) -> None:
        common = {"X-ClickHouse-Query-Id": self._id, "X-ClickHouse-Timezone": "UTC", **headers}
        self._req.status = status.encode("latin-1")
        self._req.outheaders.extend((name.encode("latin-1"), value.encode("latin-1")) for name, value in common.items())
        self._req.ensure_headers_sent()

    def _write(self, data: bytes) -> None:
        if not data:
            return
        try:
            self._req.write(data)
        except OSError as error:
            raise ClientGone("the client closed the connection") from error
