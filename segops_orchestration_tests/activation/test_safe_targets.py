"""Which addresses a request to somebody else's URL may go to."""

from __future__ import annotations

import pytest

from segops_orchestration.activation.safe_targets import (
    TargetNotFound,
    TargetRefused,
    parse_target,
    private_targets_allowed,
    resolve,
    why_refused,
)
from segops_orchestration.errors import SegOpsError

REFUSED = {
    "0.0.0.0": "this machine",
    "0.1.2.3": "private",
    "10.1.2.3": "private",
    "100.64.0.1": "not public",
    "127.0.0.1": "this machine",
    "127.255.255.254": "this machine",
    "169.254.169.254": "link-local",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.0.0.1": "private",
    "192.0.2.1": "private",
    "192.168.1.1": "private",
    "198.18.0.1": "private",
    "224.0.0.1": "multicast",
    "239.255.255.255": "multicast",
    "240.0.0.1": "private",
    "255.255.255.255": "private",
    "::": "this machine",
    "::1": "this machine",
    "::ffff:127.0.0.1": "127.0.0.1",
    "::ffff:10.0.0.1": "10.0.0.1",
    "::ffff:169.254.169.254": "169.254.169.254",
    "::7f00:1": "private",
    "64:ff9b::7f00:1": "127.0.0.1",
    "64:ff9b::a9fe:a9fe": "169.254.169.254",
    "64:ff9b:1::1": "not public",
    "2001:db8::1": "private",
    "2001::1": "private",
    "2002:7f00:1::": "not public",
    "2002:a00:1::1": "not public",
    "3fff::1": "not public",
    "fc00::1": "private",
    "fd12:3456::1": "private",
    "fe80::1": "link-local",
    "fe80::1%eth0": "link-local",
    "fec0::1": "private",
    "ff02::1": "multicast",
    "100::1": "private",
    "4000::1": "not public",
    "nonsense": "no address",
}
PUBLIC = (
    "1.1.1.1",
    "9.255.255.255",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.0.1",
    "172.32.0.1",
    "192.167.0.1",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001::1",
    "::ffff:1.1.1.1",
    "64:ff9b::101:101",
)


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_that_not_everyone_can_reach_is_refused(address: str) -> None:
    assert why_refused(address) is not None


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::1", "fe80::1", "ff02::1", "fd12:3456::1"])
def test_the_refusal_says_what_kind_of_address_it_is(address: str) -> None:
    assert why_refused(address) == REFUSED[address]


@pytest.mark.parametrize("address", ["::ffff:127.0.0.1", "64:ff9b::a9fe:a9fe"])
def test_an_address_within_an_address_is_named(address: str) -> None:
    assert f"another form of {REFUSED[address]}" in str(why_refused(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_not(address: str) -> None:
    assert why_refused(address) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://[::1]:8123/",
        "http://[::ffff:127.0.0.1]/",
        "http://localhost:8123/",
        "http://0/",
        "http://169.254.169.254/latest/meta-data/",
    ],
)
def test_this_machine_is_refused_however_it_is_spelled(url: str) -> None:
    with pytest.raises(TargetRefused, match="SEGOPS_ALLOW_PRIVATE_TARGETS=1 allows"):
        resolve(parse_target(url), allow_private=False)


def test_one_private_address_among_public_ones_is_enough() -> None:
    target = parse_target("https://example.com/hook")
    with pytest.raises(TargetRefused, match=r"example\.com: it has the address 10\.0\.0\.7, which is private"):
        resolve(target, allow_private=False, resolver=lambda host, port: ["1.1.1.1", "10.0.0.7"])


def test_addresses_keep_their_order() -> None:
    found = resolve(
        parse_target("https://example.com"), allow_private=False, resolver=lambda host, port: ["1.1.1.1", "2600::1"]
    )
    assert found == ["1.1.1.1", "2600::1"]


def test_the_setting_allows_private_addresses() -> None:
    assert resolve(parse_target("http://127.0.0.1:9/"), allow_private=True) == ["127.0.0.1"]


def test_a_name_without_an_address_is_told() -> None:
    with pytest.raises(TargetNotFound, match=r"'nowhere\.invalid' has no address"):
        resolve(parse_target("https://nowhere.invalid/"), allow_private=False)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        (None, "must be a URL"),
        ("", "must be a URL"),
        ("example.com/hook", "allowed: https://, http://"),
        ("ftp://example.com/", "allowed: https://, http://"),
        ("file:///etc/passwd", "allowed: https://, http://"),
        ("https://", "names no host"),
        ("https://example.com:port/", "is not a URL"),
        ("https://example.com:99999/", "is not a URL"),
        ("http://[::1/", "is not a URL"),
        ("https://ann:hunter2@example.com/", "user name or password"),
        ("https://example.com/#top", "fragment"),
        ("https://example.com/a b", "%XX"),
        ("https://example.com/\r\nX-Evil: 1", "%XX"),
        ("https://exämple.com/", "%XX"),
        ("https://example.com\\.evil.test/", "more than one way"),
        ("https://[fe80::1%25eth0]/", "more than one way"),
        ("https://example.com/" + "a" * 3000, "the most is 2048"),
    ],
)
def test_a_url_that_cannot_be_posted_to_is_refused(url: object, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as refused:
        parse_target(url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "port", "host_header", "path"),
    [
        ("https://example.com", 443, "example.com", "/"),
        ("http://example.com:8080/a?b=c", 8080, "example.com:8080", "/a?b=c"),
        ("https://[2600::1]:443/x", 443, "[2600::1]", "/x"),
        ("HTTPS://EXAMPLE.com./x", 443, "example.com", "/x"),
    ],
)
def test_the_parts_of_a_url(url: str, port: int, host_header: str, path: str) -> None:
    target = parse_target(url)
    assert (target.port, target.host_header, target.path) == (port, host_header, path)


@pytest.mark.parametrize(("value", "allowed"), [("1", True), ("true", True), ("", False), ("0", False), ("No", False)])
def test_the_setting_is_yes_or_no(value: str, allowed: bool) -> None:
    assert private_targets_allowed({"SEGOPS_ALLOW_PRIVATE_TARGETS": value}) is allowed


def test_the_setting_that_is_neither_is_told() -> None:
    with pytest.raises(SegOpsError, match="neither yes nor no"):
        private_targets_allowed({"SEGOPS_ALLOW_PRIVATE_TARGETS": "perhaps"})


def test_nothing_set_means_no() -> None:
    assert private_targets_allowed({}) is False
