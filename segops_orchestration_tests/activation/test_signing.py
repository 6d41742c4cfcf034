"""Signatures: what a receiver who knows only the published rules computes."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from segops_orchestration.activation.signing import check_secret, new_secret, signed_headers

BODY = '{"users": ["ada", "bén"]}'.encode()


def test_standard_webhooks_signs_the_id_the_time_and_the_body_with_the_bytes_behind_the_prefix() -> None:
    secret = new_secret()
    headers = signed_headers(secret, "msg_1", 1_767_225_600, BODY)

    key = base64.b64decode(secret[len("whsec_") :])
    expected = base64.b64encode(hmac.new(key, b"msg_1.1767225600." + BODY, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("msg_1", "1767225600")


def test_the_standards_own_example_verifies() -> None:
    # The values of the specification's test vector.
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = signed_headers(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}')

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_our_own_header_signs_the_raw_body_with_the_secret_as_it_is_written() -> None:
    secret = new_secret()
    headers = signed_headers(secret, "msg_1", 0, BODY)

    expected = hmac.new(secret.encode(), BODY, hashlib.sha256).hexdigest()
    assert headers["X-SegOps-Signature"] == f"sha256={expected}"


def test_a_secret_without_the_prefix_is_its_own_key() -> None:
    secret = "correct horse battery staple"
    headers = signed_headers(secret, "a", 1, b"{}")

    expected = base64.b64encode(hmac.new(secret.encode(), b"a.1.{}", hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


def test_new_secrets_differ_and_pass_the_check() -> None:
    first, second = new_secret(), new_secret()
    assert first != second
    assert check_secret(first) == first


@pytest.mark.parametrize("secret", ["", "short", "whsec_not base64!", "whsec_c2hvcnQgb25l", 5, None])
def test_a_weak_or_malformed_secret_is_refused_and_not_repeated(secret: object) -> None:
    with pytest.raises(ValueError, match=r"must be") as refused:
        check_secret(secret)
    assert len(str(secret)) < 6 or str(secret) not in str(refused.value)
