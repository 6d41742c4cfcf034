"""Ports that servers are to listen on."""

from __future__ import annotations

import errno
import socket

from segops_orchestration.errors import SegOpsError

_PORTS_TRIED = 50


def free_port(host: str, port: int, given_by: str) -> int:
    """The port, if it can be listened on; any free one for 0. ``given_by`` is the command and option that gave it.

    Raises:
        SegOpsError: it is taken (the message names one that is free), or the host is none of this machine's.
    """
    refused = _refusal(host, port)
    if refused is None:
        return port or _any_port(host)
    if refused.errno != errno.EADDRINUSE:
        raise SegOpsError(f"cannot listen on {host}:{port}: {refused.strerror or refused}")
    candidates = range(port + 1, min(port + _PORTS_TRIED, 65535) + 1)
    free = next((candidate for candidate in candidates if _refusal(host, candidate) is None), 0)
    raise SegOpsError(f"port {port} is in use by another program; try `{given_by} {free}`")


def _refusal(host: str, port: int) -> OSError | None:
    try:
        with _listening(host, port):
            return None
    except OSError as error:
        return error


def _any_port(host: str) -> int:
    with _listening(host, 0) as listener:
        number: int = listener.getsockname()[1]
    return number


def _listening(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1)
    except BaseException:
        listener.close()
        raise
    return listener
