"""What every platform's calls share: bounded retries, waits that are honoured, secrets that are never said."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from segops_orchestration.activation.http import PlatformHttp, encode, wait_asked
from segops_orchestration.activation.limiter import Rate, local_limiters
from segops_orchestration.activation.platform import BatchRefused, PlatformRefused, PlatformUnavailable
from segops_orchestration.activation.sandbox.sandbox import Request, Response, Sandbox, Window
from segops_orchestration.activation.sandbox.server import SandboxServer
from segops_orchestration_tests.platforms.connecting import hasten

KEY = "key-that-nobody-may-see"


class Echo(Sandbox):
    """Answers with what it is told to; remembers what came."""

    type = "echo"

    def __init__(self) -> None:
        super().__init__(seed=1)
        self.came: list[Request] = []
        self.answers: Callable[[Request], Response] = lambda request: Response(200, {"ok": True})

    def handle(self, request: Request) -> Response:
        self.came.append(request)
        return self.answers(request)

    def call_name(self, request: Request) -> str:
        return request.call

    def limits(self, call: str) -> Sequence[Rate]:
        return ()

    def too_many(self, wait: float | None, window: Window | None) -> Response:
        return Response(429, {"message": "slow down"}, {} if wait is None else {"Retry-After": str(wait)})

    def failure(self, status: int, message: str) -> Response:
        return Response(status, {"message": message})

    def members(self) -> set[str]:
        return set()


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def http(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> Iterator[PlatformHttp]:
    hasten(monkeypatch, patience=1.0)
    with SandboxServer(echo) as server:
        made = PlatformHttp("Echo", server.url, {"Authorization": f"Bearer {KEY}"}, secrets=[KEY])
        yield made
        made.close()


class TestSending:
    def test_a_body_is_compact_json(self, http: PlatformHttp, echo: Echo) -> None:
        http.call("POST", "/x", body={"a": ["ä"]})
        assert echo.came[0].body == '{"a":["ä"]}'.encode()

    def test_bytes_go_as_they_are(self, http: PlatformHttp, echo: Echo) -> None:
        http.call("POST", "/x", body=b"raw")
        assert echo.came[0].body == b"raw"

    def test_a_text_that_is_no_unicode_is_left_for_the_platform_to_refuse(self) -> None:
        assert encode("\ud800") == b'"\xed\xa0\x80"'

    def test_a_password_file_does_not_replace_the_key(
        self, http: PlatformHttp, echo: Echo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login somebody password else\n")
        monkeypatch.setenv("NETRC", str(netrc))
        http.call("GET", "/x")
        assert echo.came[0].headers["authorization"] == f"Bearer {KEY}"

    def test_cookies_are_not_kept(self, http: PlatformHttp, echo: Echo) -> None:
        echo.answers = lambda request: Response(200, {}, {"Set-Cookie": "a=b"})
        http.call("GET", "/x")
        http.call("GET", "/x")
        assert "cookie" not in echo.came[1].headers

    def test_the_check_comes_before_every_try(self, echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
        hasten(monkeypatch)
        echo.misbehave("500", times=2)
        checks: list[int] = []
        with SandboxServer(echo) as server:
            PlatformHttp("Echo", server.url, {}, before_request=lambda: checks.append(1)).call("GET", "/x")
        assert len(checks) == 3

    def test_what_the_check_raises_stops_the_call(self, echo: Echo) -> None:
        def stop() -> None:
            raise RuntimeError("the lease is lost")

        with SandboxServer(echo) as server, pytest.raises(RuntimeError, match="the lease is lost"):
            PlatformHttp("Echo", server.url, {}, before_request=stop).call("GET", "/x")
        assert echo.came == []


class TestRefusals:
    @pytest.mark.parametrize("status", [401, 403, 404, 405, 409])
    def test_it_is_refused_in_the_platforms_words(self, http: PlatformHttp, echo: Echo, status: int) -> None:
        echo.answers = lambda request: Response(status, {"message": "no such thing"})
        with pytest.raises(PlatformRefused) as refused:
            http.call("GET", "/x")
        assert str(refused.value) == f"Echo answered GET /x with {status}: no such thing"
        assert refused.value.status == status

    @pytest.mark.parametrize("status", [400, 413, 422])
    def test_the_batch_is_refused(self, http: PlatformHttp, echo: Echo, status: int) -> None:
        echo.answers = lambda request: Response(status, {"message": "bad"})
        with pytest.raises(BatchRefused, match=f"with {status}: bad"):
            http.call("POST", "/x", body={})

    def test_a_redirect_is_not_followed(self, http: PlatformHttp, echo: Echo) -> None:
        echo.answers = lambda request: Response(302, None, {"Location": "http://elsewhere.example/x"})
        with pytest.raises(PlatformRefused, match=r"a redirect to .*, which is not followed"):
            http.call("GET", "/x")

    def test_secrets_are_masked_in_what_the_platform_says(self, http: PlatformHttp, echo: Echo) -> None:
        echo.answers = lambda request: Response(401, {"message": f"the key {KEY} is unknown"})
        with pytest.raises(PlatformRefused) as refused:
            http.call("GET", "/x")
        assert KEY not in str(refused.value)
        assert "the key *** is unknown" in str(refused.value)

    def test_long_words_are_cut(self, http: PlatformHttp, echo: Echo) -> None:
        echo.answers = lambda request: Response(404, {"message": "x" * 10_000})
        with pytest.raises(PlatformRefused) as refused:
            http.call("GET", "/x")
        assert len(str(refused.value)) < 600

    @pytest.mark.parametrize("status", [404, 500])
    @pytest.mark.parametrize("before", range(490, 500, 3))
    def test_no_part_of_a_secret_is_left_where_words_are_cut(
        self, echo: Echo, monkeypatch: pytest.MonkeyPatch, status: int, before: int
    ) -> None:
        hasten(monkeypatch, patience=0.0)
        echo.answers = lambda request: Response(status, {"message": "x" * before + KEY})
        with SandboxServer(echo) as server, pytest.raises((PlatformRefused, PlatformUnavailable)) as error:
            PlatformHttp("Echo", server.url, {}, secrets=[KEY]).call("GET", "/x")
        assert KEY[:4] not in str(error.value)

    @pytest.mark.parametrize("status", [302, 400, 404, 503])
    def test_what_follows_the_question_mark_of_an_address_is_not_told(
        self, echo: Echo, monkeypatch: pytest.MonkeyPatch, status: int
    ) -> None:
        hasten(monkeypatch, patience=0.0)
        echo.answers = lambda request: Response(status, {"message": "no"}, {"Location": "/y?token=hush"})
        with (
            SandboxServer(echo) as server,
            pytest.raises((PlatformRefused, BatchRefused, PlatformUnavailable), match=r"/x\?\.\.\.") as error,
        ):
            PlatformHttp("Echo", server.url, {}).call("POST", "/x?token=hush")
        assert "hush" not in str(error.value)


class TestTryingAgain:
    @pytest.mark.parametrize(
        "told", [{"kind": "500"}, {"kind": "500", "status": 502}, {"kind": "500", "status": 408}, {"kind": "drop"}]
    )
    def test_what_passes_is_tried_again(self, http: PlatformHttp, echo: Echo, told: dict[str, str]) -> None:
        echo.misbehave(**told)
        assert http.call("GET", "/x").status == 200
        assert http.traffic() == (2, 1)

    def test_it_ends_when_the_patience_is_over(self, http: PlatformHttp, echo: Echo) -> None:
        echo.misbehave("500", status=503, times=None)
        started = time.monotonic()
        with pytest.raises(PlatformUnavailable, match=r"GET /x, tried \d+ times: 503 internal error") as error:
            http.call("GET", "/x")
        assert 0.5 < time.monotonic() - started < 2.0
        assert error.value.may_have_applied

    def test_a_wait_is_waited_for(self, http: PlatformHttp, echo: Echo) -> None:
        echo.misbehave("429", wait=0.5)
        started = time.monotonic()
        http.call("GET", "/x")
        assert time.monotonic() - started >= 0.5

    def test_a_wait_beyond_the_patience_is_handed_on_at_once(self, http: PlatformHttp, echo: Echo) -> None:
        echo.misbehave("429", wait=30)
        with pytest.raises(
            PlatformUnavailable, match="tried once: 429 slow down; it asks to be left alone for 30 s"
        ) as error:
            http.call("GET", "/x")
        assert not error.value.may_have_applied

    def test_nobody_comes_back_before_a_wait_is_over(self, echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
        hasten(monkeypatch, patience=1.0)
        limiter = local_limiters(f"test {KEY}", [Rate(1_000, 1)])
        echo.misbehave("429", wait=30)
        with SandboxServer(echo) as server:
            http = PlatformHttp("Echo", server.url, {}, limiter=limiter)
            with pytest.raises(PlatformUnavailable, match="429"):
                http.call("GET", "/x")
            with pytest.raises(
                PlatformUnavailable, match=r"asked for a pause, .* (29|30|31) s are left of it"
            ) as error:
                http.call("GET", "/x")
        assert not error.value.may_have_applied
        assert echo.came == []
        assert http.traffic() == (1, 0)

    @pytest.mark.parametrize("headers", [{"Retry-After": "0"}, {"X-RateLimit-Reset": "1700000000"}])
    def test_a_wait_of_no_length_is_no_leave_to_come_back_at_once(
        self, http: PlatformHttp, echo: Echo, headers: dict[str, str]
    ) -> None:
        echo.answers = lambda request: Response(429, {"message": "slow down"}, headers)
        with pytest.raises(PlatformUnavailable, match="429"):
            http.call("GET", "/x")
        # 1 s of patience, pauses of up to 50 ms: ever more of half of them on average.
        assert 10 < len(echo.came) < 50

    def test_a_server_error_that_tells_when_the_rate_is_renewed_is_tried_again_before(
        self, http: PlatformHttp, echo: Echo
    ) -> None:
        failed = Response(500, {"message": "oops"}, {"X-RateLimit-Reset": "3000", "X-RateLimit-Remaining": "17"})
        echo.answers = lambda request: failed if len(echo.came) == 1 else Response(200, {})
        assert http.call("GET", "/x").status == 200

    def test_a_server_that_is_not_there_has_applied_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        hasten(monkeypatch, patience=0.2)
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        with pytest.raises(PlatformUnavailable, match="no connection") as error:
            PlatformHttp("Echo", f"http://127.0.0.1:{port}", {}).call("GET", "/x")
        assert not error.value.may_have_applied

    def test_a_lost_answer_may_have_applied(self, http: PlatformHttp, echo: Echo) -> None:
        echo.misbehave("drop", times=None)
        with pytest.raises(PlatformUnavailable, match="no answer") as error:
            http.call("GET", "/x")
        assert error.value.may_have_applied

    def test_an_answer_that_never_ends_is_no_answer(
        self, http: PlatformHttp, echo: Echo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("segops_orchestration.activation.http.MOST_ANSWER_BYTES", 1_000)
        echo.answers = lambda request: Response(200, "x" * 200_000)
        with pytest.raises(PlatformUnavailable, match="no answer"):
            http.call("GET", "/x")


class TestTheWaitAskedFor:
    NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({"Retry-After": "7"}, 7),
            ({"Retry-After": "0.5"}, 0.5),
            ({"Retry-After": "-3"}, 0),
            ({"Retry-After": format_datetime(NOW + timedelta(seconds=90), usegmt=True)}, 90),
            ({"Retry-After": format_datetime(NOW - timedelta(seconds=90), usegmt=True)}, 0),
            ({"X-RateLimit-Reset": str(NOW.timestamp() + 12)}, 12),
            ({"X-RateLimit-Reset": "20"}, 20),
            ({"Retry-After": "3", "X-RateLimit-Reset": "20"}, 3),
            ({"Retry-After": "soon", "X-RateLimit-Reset": "20"}, 20),
            ({"Retry-After": "nan"}, 0),
            ({"Retry-After": "soon"}, 0),
            ({"X-RateLimit-Reset": str(NOW.timestamp() - 12)}, 0),
            # Milliseconds, and whatever else is no wait: asked again after an hour.
            ({"X-RateLimit-Reset": str(NOW.timestamp() * 1_000)}, 3_600),
            ({"Retry-After": "1e14"}, 3_600),
            ({}, 0),
        ],
    )
    def test_it_is_read(self, headers: dict[str, str], seconds: float) -> None:
        assert wait_asked(429, headers, self.NOW.timestamp()) == pytest.approx(seconds)

    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({"Retry-After": "7", "X-RateLimit-Reset": "20"}, 7),
            ({"X-RateLimit-Reset": "20"}, 0),
            ({"X-RateLimit-Reset": "20", "X-RateLimit-Remaining": "5"}, 0),
            ({"X-RateLimit-Reset": "20", "X-RateLimit-Remaining": "0"}, 20),
        ],
    )
    def test_of_a_server_error_the_renewal_of_the_rate_says_nothing_unless_it_is_used_up(
        self, headers: dict[str, str], seconds: float
    ) -> None:
        assert wait_asked(500, headers, self.NOW.timestamp()) == seconds
