"""Which addresses a request may go to, when somebody else has chosen the URL.

A tenant's webhook must not reach what only this machine can reach: its own services, the private network, the
metadata of a cloud. So a name is resolved here, every address it has is checked, and the connection goes to a checked
address, not to the name: a name server that answers differently the second time gains nothing by it.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from segops_orchestration.errors import SegOpsError

ALLOW_PRIVATE_VARIABLE = "SEGOPS_ALLOW_PRIVATE_TARGETS"
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"", "0", "false", "no", "off"})
_PORTS = {"http": 80, "https": 443}
_LONGEST_URL = 2048

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
# (host, port) -> the addresses it has, in order of preference.
Resolver = Callable[[str, int], list[str]]

# https://www.iana.org/assignments/iana-ipv4-special-registry and -ipv6-: what is not for everyone to reach. Spelled
# out, because what ``ipaddress`` calls global has changed between versions of Python.
_NOT_PUBLIC_V4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)
_PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
# The last four bytes are the IPv4 address that a translator connects to.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class TargetRefused(SegOpsError):
    """The URL leads, or may lead, to an address that requests of other people must not reach."""


class TargetNotFound(SegOpsError):
    """The host name has no address."""


@dataclass(frozen=True)
class Target:
    """A URL that is well formed; nothing is known of its addresses yet."""

    scheme: str
    host: str
    port: int
    # What the request line asks for: path and query.
    path: str

    @property
    def host_header(self) -> str:
        """The Host header: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def private_targets_allowed(environ: Mapping[str, str] | None = None) -> bool:
    """Whether SEGOPS_ALLOW_PRIVATE_TARGETS lets requests go anywhere.

    Raises:
        SegOpsError: it is set to something that is neither yes nor no.
    """
    value = (os.environ if environ is None else environ).get(ALLOW_PRIVATE_VARIABLE, "").strip().lower()
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise SegOpsError(f"{ALLOW_PRIVATE_VARIABLE}: {value!r} is neither yes nor no; write 1 or 0")


def parse_target(url: object) -> Target:
    """The parts of a URL to post to.

    Raises:
        ValueError: what is wrong with it and what is allowed; credentials in it are not repeated.
    """
    if not isinstance(url, str) or not url:
        raise ValueError("must be a URL such as https://example.com/hooks/segops")
    if len(url) > _LONGEST_URL:
        raise ValueError(f"has {len(url)} characters; the most is {_LONGEST_URL}")
    if any(not "!" <= character <= "~" for character in url):
        raise ValueError("has characters that a URL writes otherwise: %XX in the path, xn-- in the host")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("is not a URL; it looks like https://example.com/hooks/segops") from None
    _check_parts(parts)
    host = (parts.hostname or "").rstrip(".")
    if not host:
        raise ValueError("names no host; it looks like https://example.com/hooks/segops")
    path = parts.path or "/"
    return Target(
        scheme=parts.scheme,
        host=host,
        port=_PORTS[parts.scheme] if port is None else port,
        path=f"{path}?{parts.query}" if parts.query else path,
    )


def _check_parts(parts: SplitResult) -> None:
    if parts.scheme not in _PORTS:
        raise ValueError(f"begins with {parts.scheme or 'no scheme'!r}; allowed: https://, http://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("has a user name or password in it; requests are signed instead")
    if parts.fragment:
        raise ValueError("ends with a fragment (#...), which is never sent; leave it out")
    if "\\" in parts.netloc or "%" in parts.netloc:
        raise ValueError("has a host name that is read in more than one way")


def resolve(target: Target, *, allow_private: bool, resolver: Resolver | None = None) -> list[str]:
    """The checked addresses of a target, in order of preference; connect to these and to nothing else.

    Raises:
        TargetNotFound: the name has no address.
        TargetRefused: one of the addresses must not be reached. One is enough: which of them is connected to would
            be up to whoever runs the name server.
    """
    addresses = (resolver or _system_resolver)(target.host, target.port)
    if not allow_private:
        for address in addresses:
            kind = why_refused(address)
            if kind is not None:
                found = f"{address}," if address == target.host else f"{target.host}: it has the address {address},"
                raise TargetRefused(
                    f"requests must not go to {found} which is {kind}; {ALLOW_PRIVATE_VARIABLE}=1 allows such targets"
                )
    return addresses


def _system_resolver(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise TargetNotFound(f"the host {host!r} has no address: {error}") from None
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def why_refused(address: str) -> str | None:
    """What kind of address it is, for a message, if requests of other people must not reach it; else None."""
    try:
        parsed: IPAddress = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "no address"
    inner = _inner_v4(parsed)
    if inner is not None:
        kind = why_refused(str(inner))
        return None if kind is None else f"another form of {inner}, {kind}"
    return None if _is_public(parsed) else _kind(parsed)


def _inner_v4(address: IPAddress) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return None


def _is_public(address: IPAddress) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_V4)
    return address in _PUBLIC_V6 and not any(address in network for network in _NOT_PUBLIC_V6)


def _kind(address: IPAddress) -> str:
    kinds = (
        (address.is_unspecified, "this machine"),
        (address.is_loopback, "this machine"),
        (address.is_link_local, "link-local"),
        (address.is_multicast, "multicast"),
        (address.is_private, "private"),
    )
    return next((kind for holds, kind in kinds if holds), "not public")
