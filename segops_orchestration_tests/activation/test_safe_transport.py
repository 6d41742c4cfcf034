"""A request to somebody else's URL: where it goes, and how it ends."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from segops_orchestration.activation import safe_transport
from segops_orchestration.activation.safe_targets import Target, TargetRefused, parse_target
from segops_orchestration.activation.safe_transport import GuardedAdapter, NoAnswer, NoConnection, request

Handler = Callable[[socket.socket, bytes], None]


class Listener:
    """Accepts connections, keeps what each sent, and lets ``handler`` answer."""

    def __init__(self, handler: Handler, *, read: bool) -> None:
        self._handler = handler
        self._read = read
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self.received: list[bytes] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                head = _read_request(connection) if self._read else b""
                self.received.append(head)
                self._handler(connection, head)

    def close(self) -> None:
        self._socket.close()


def _read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data or not data.endswith(b"{}"):
        part = connection.recv(65536)
        if not part:
            break
        data += part
    return data


def answering(*parts: bytes, pause: float = 0) -> Handler:
    def handler(connection: socket.socket, head: bytes) -> None:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)

    return handler


@contextmanager
def listening(handler: Handler, *, read: bool = True) -> Iterator[Listener]:
    with closing(Listener(handler, read=read)) as listener:
        yield listener


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def post(target: Target, *, seconds: float = 5, **options: object) -> tuple[int, bytes]:
    answer = request("POST", target, {"A": "b"}, b"{}", seconds=seconds, **{"allow_private": True, **options})  # type: ignore[arg-type]
    return answer.status, answer.body


def test_it_sends_the_body_and_reads_the_answer() -> None:
    with listening(answering(OK)) as listener:
        assert post(parse_target(f"http://127.0.0.1:{listener.port}/hook?x=1")) == (200, b"hi")
    head = listener.received[0].decode()
    assert head.startswith("POST /hook?x=1 HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{listener.port}\r\n" in head
    assert head.endswith("\r\n\r\n{}")


def test_a_private_target_is_not_even_connected_to() -> None:
    with listening(answering(OK)) as listener, pytest.raises(TargetRefused):
        post(parse_target(f"http://127.0.0.1:{listener.port}/"), allow_private=False)
    assert listener.received == []


def test_the_connection_goes_to_the_address_that_was_checked_and_not_to_the_name() -> None:
    # The name server answers once; asked again, which is what rebinding waits for, it would answer otherwise.
    answers = iter([["127.0.0.1"]])
    with listening(answering(OK)) as listener:
        target = parse_target(f"http://rebind.invalid:{listener.port}/")
        assert post(target, resolver=lambda host, port: next(answers)) == (200, b"hi")
    assert f"Host: rebind.invalid:{listener.port}" in listener.received[0].decode()


def test_every_request_is_checked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([["1.1.1.1"], ["127.0.0.1"]])
    connected: list[str] = []
    session = requests.Session()
    adapter = GuardedAdapter(allow_private=False, seconds=5, resolver=lambda host, port: next(answers))
    session.mount("http://", adapter)
    with listening(answering(OK)) as listener:
        here = socket.create_connection(("127.0.0.1", listener.port))

        def instead(address: tuple[str, int], timeout: float) -> socket.socket:
            connected.append(address[0])
            return here

        monkeypatch.setattr(socket, "create_connection", instead)
        assert session.post("http://rebind.invalid/", data=b"{}").text == "hi"
        with pytest.raises(TargetRefused):
            session.post("http://rebind.invalid/", data=b"{}")
    assert connected == ["1.1.1.1"]


def test_the_next_address_is_tried_when_one_takes_no_connection() -> None:
    with listening(answering(OK)) as listener:
        target = parse_target(f"http://two.invalid:{listener.port}/")
        assert post(target, resolver=lambda host, port: ["127.0.0.2", "127.0.0.1"]) == (200, b"hi")


def test_a_redirect_is_an_answer_and_leads_nowhere() -> None:
    redirect = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    with listening(answering(redirect)) as listener:
        assert post(parse_target(f"http://127.0.0.1:{listener.port}/")) == (302, b"")
    assert len(listener.received) == 1


def test_nobody_listening_is_told_apart_from_no_answer() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(NoConnection):
        post(parse_target(f"http://127.0.0.1:{port}/"))
    with listening(answering()) as listener, pytest.raises(NoAnswer):
        post(parse_target(f"http://127.0.0.1:{listener.port}/"))


@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(answering(*[b"H"] * 100, pause=0.1), id="status"),
        pytest.param(answering(b"HTTP/1.1 200 OK\r\n", *[b"A: b\r\n"] * 90, pause=0.1), id="headers"),
        pytest.param(answering(OK.replace(b"2\r", b"99\r"), *[b"x"] * 90, pause=0.1), id="body"),
        pytest.param(answering(*[b"HTTP/1.1 100 Continue\r\n\r\n"] * 90, pause=0.1), id="continue"),
    ],
)
def test_an_answer_that_drips_ends_at_the_deadline(handler: Handler) -> None:
    began = time.monotonic()
    with listening(handler) as listener, pytest.raises(NoAnswer):
        post(parse_target(f"http://127.0.0.1:{listener.port}/"), seconds=0.5)
    assert time.monotonic() - began < 2


def test_an_answer_without_end_is_given_up() -> None:
    flood = answering(b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * (1 << 20)] * 8)
    with listening(flood) as listener, pytest.raises(NoAnswer, match="more than"):
        post(parse_target(f"http://127.0.0.1:{listener.port}/"))


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 two OK\r\n\r\n", b"\r\n" * 9])
def test_what_is_not_http_is_no_answer(answer: bytes) -> None:
    with listening(answering(answer)) as listener, pytest.raises(NoAnswer):
        post(parse_target(f"http://127.0.0.1:{listener.port}/"))


def test_the_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    session = requests.Session()
    session.mount("http://", GuardedAdapter(allow_private=True, seconds=5))
    with listening(answering(OK)) as listener:
        assert session.post(f"http://127.0.0.1:{listener.port}/", data=b"{}").text == "hi"


def test_https_asks_for_a_certificate_of_the_name_and_not_of_the_address(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificate = self_signed("hooks.example", tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    safe_transport._tls.cache_clear()

    def encrypted(connection: socket.socket, head: bytes) -> None:
        with server.wrap_socket(connection, server_side=True) as secure:
            _read_request(secure)
            secure.sendall(OK)

    with listening(encrypted, read=False) as listener:
        assert post(parse_target(f"https://hooks.example:{listener.port}/"), resolver=at_home) == (200, b"hi")
        with pytest.raises(NoConnection, match=r"other\.example"):
            post(parse_target(f"https://other.example:{listener.port}/"), resolver=at_home)
    safe_transport._tls.cache_clear()


def at_home(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


def self_signed(name: str, directory: Path) -> Path:
    """A file with a certificate of ``name`` and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = directory / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return file
