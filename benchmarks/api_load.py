"""Load on an HTTP service at a fixed rate: requests begin when they are due, whether earlier ones are answered or not.

A latency counts from the instant when the request was due. A generator that waits for answers would ask a slow server
less often, and find it fast.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import httptools


@dataclass
class Load:
    """What became of the requests.

    Attributes:
        latencies: milliseconds of each answered request, from when it was due.
        statuses: how many answers had which status; 0: the connection broke.
        accepted: numbers of the requests that were answered with 2xx.
        late: requests that began more than 50 ms after they were due, because no connection was free.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    accepted: list[int] = field(default_factory=list)
    late: int = 0

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0

    @property
    def rate(self) -> float:
        """Accepted requests a second."""
        return len(self.accepted) / self.seconds if self.seconds else 0.0


def run(port: int, rate: float, seconds: float, connections: int, request: Callable[[int], bytes]) -> Load:
    """Send ``request(0)``, ``request(1)`` ... to a port of this machine."""
    import uvloop

    gc.freeze()
    return uvloop.run(_run(port, rate, seconds, connections, request))


async def _run(port: int, rate: float, seconds: float, connections: int, request: Callable[[int], bytes]) -> Load:
    load = Load()
    loop = asyncio.get_running_loop()
    free: asyncio.Queue[_Connection] = asyncio.Queue()
    for _ in range(connections):
        free.put_nowait(await _connected(loop, port))
    began = time.perf_counter()
    running: set[asyncio.Task[None]] = set()
    for number in range(int(rate * seconds)):
        due = began + number / rate
        wait = due - time.perf_counter()
        if wait > 0.001:
            await asyncio.sleep(wait)
        connection = await free.get()
        load.late += time.perf_counter() - due > 0.05
        task = loop.create_task(_one(load, free, connection, number, request(number), due, port))
        running.add(task)
        task.add_done_callback(running.discard)
    if running:
        await asyncio.wait(running, timeout=60)
    load.seconds = time.perf_counter() - began
    while not free.empty():
        free.get_nowait().close()
    return load


async def _one(
    load: Load,
    free: asyncio.Queue[_Connection],
    connection: _Connection,
    number: int,
    data: bytes,
    due: float,
    port: int,
) -> None:
    status = await connection.ask(data)
    load.latencies.append((time.perf_counter() - due) * 1000)
    load.statuses[status] += 1
    if 200 <= status < 300:
        load.accepted.append(number)
    if status == 0:
        connection.close()
        connection = await _patiently_connected(port)
    free.put_nowait(connection)


async def _connected(loop: asyncio.AbstractEventLoop, port: int) -> _Connection:
    _, connection = await loop.create_connection(_Connection, "127.0.0.1", port)
    return connection


async def _patiently_connected(port: int) -> _Connection:
    """A connection, once somebody listens again."""
    while True:
        try:
            return await _connected(asyncio.get_running_loop(), port)
        except OSError:
            await asyncio.sleep(0.1)


class _Connection(asyncio.Protocol):
    """One request at a time over one kept-alive connection."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are none by inheritance.
        self._transport = cast(asyncio.Transport, transport)

    def ask(self, data: bytes) -> asyncio.Future[int]:
        """The status of the answer; 0 when the connection breaks."""
        self._answer = asyncio.get_running_loop().create_future()
        if self._transport is None:
            self._settle(0)
        else:
            self._transport.write(data)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        self._parser = httptools.HttpResponseParser(self)
        self._settle(status)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._settle(0)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _settle(self, status: int) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(status)
