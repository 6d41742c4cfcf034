"""Calls of many clients written together: one group a tenant is on its way while the next one gathers.

A call waits until its group is written. What waits is bounded in events and bytes, for each tenant and in all; beyond
that a call is refused at once, never taken and lost.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from segops_orchestration.api.errors import ApiError


class Sized(Protocol):
    """What can be gathered: ``events`` and ``bytes`` are its weight."""

    @property
    def weight(self) -> int:
        """Events."""

    @property
    def bytes(self) -> int:
        """Bytes that it holds on to."""


C = TypeVar("C", bound=Sized)
R = TypeVar("R")


@dataclass(frozen=True)
class Bounds:
    """How much may wait, and how it is grouped.

    Attributes:
        tenant_events, tenant_bytes: waiting or being written, for one tenant.
        all_bytes: the same for all tenants together.
        group_events, group_bytes: a group is closed when it reaches one of these.
        pace_seconds: a group that is not full begins no sooner than this after the one before it. Every INSERT makes
            parts for ClickHouse to merge, and small ones cost as much as large ones.
        threads: groups that are written at the same time, of different tenants.
    """

    tenant_events: int = 20_000
    tenant_bytes: int = 64 << 20
    all_bytes: int = 256 << 20
    group_events: int = 5_000
    group_bytes: int = 16 << 20
    pace_seconds: float = 0.1
    threads: int = 8


class GroupWriter(Generic[C, R]):
    """Gathers the calls of each tenant and hands them over in groups. Belongs to one event loop.

    Args:
        write: writes a group of one tenant, in a thread; answers each call, in order, with a result or the error that
            the call is to raise. When it raises, every call of the group does.
    """

    def __init__(self, write: Callable[[str, Sequence[C]], Sequence[R | Exception]], bounds: Bounds) -> None:
        self._write = write
        self.bounds = bounds
        self._tenants: dict[str, _Queue[C, R]] = {}
        self._bytes = 0
        self._threads = ThreadPoolExecutor(bounds.threads, thread_name_prefix="ingest")
        self._closed = False

    def check_room(self, tenant: str, events: int = 1, size: int = 0) -> None:
        """Whether a call of this weight would be taken now.

        Raises:
            ApiError: 429, too much waits already; or 503, the service is shutting down.
        """
        if self._closed:
            raise ApiError(503, "the service is shutting down; try again", headers={"Retry-After": "5"})
        queue = self._tenants.get(tenant)
        if queue is not None and (
            queue.events + events > self.bounds.tenant_events or queue.bytes + size > self.bounds.tenant_bytes
        ):
            detail = "too many events of this tenant are waiting to be written; nothing of this call was taken"
            raise ApiError(429, detail, headers={"Retry-After": "1"})
        if self._bytes + size > self.bounds.all_bytes:
            detail = "too many events are waiting to be written; nothing of this call was taken"
            raise ApiError(429, detail, headers={"Retry-After": "1"})

    def waiting_events(self) -> int:
        """Events that wait or are on their way."""
        return sum(queue.events for queue in list(self._tenants.values()))

    def waiting_bytes(self) -> int:
        """What these hold on to."""
        return self._bytes

    async def submit(self, tenant: str, call: C) -> R:
        """Wait until the call's group is written; what became of the call.

        Raises:
            ApiError: see ``check_room``.
            Exception: what ``write`` answered or raised.
        """
        self.check_room(tenant, call.weight, call.bytes)
        queue = self._tenants.get(tenant)
        if queue is None:
            queue = self._tenants[tenant] = _Queue()
            queue.task = asyncio.create_task(self._work(tenant, queue))
        waiting = _Waiting[C, R](call, asyncio.get_running_loop().create_future())
        queue.add(waiting, self.bounds)
        self._bytes += call.bytes
        # A caller who hangs up does not take the call out of its group.
        return await asyncio.shield(waiting.result)

    async def close(self) -> None:
        """Take no more calls, and write what waits."""
        self._closed = True
        tasks = [queue.task for queue in self._tenants.values() if queue.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self._threads.shutdown)

    async def _work(self, tenant: str, queue: _Queue[C, R]) -> None:
        """Write groups until nothing waits. Nothing is awaited between finding that and ending."""
        loop = asyncio.get_running_loop()
        while queue.waiting:
            began = loop.time()
            group = queue.take(self.bounds)
            try:
                answers = await loop.run_in_executor(self._threads, self._write, tenant, [each.call for each in group])
            except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to those who wait
                answers = [error] * len(group)
            for each, answer in zip(group, answers, strict=True):
                self._settle(queue, each, answer)
            await queue.gather(began + self.bounds.pace_seconds - loop.time())
        del self._tenants[tenant]

    def _settle(self, queue: _Queue[C, R], waiting: _Waiting[C, R], answer: R | Exception) -> None:
        queue.events -= waiting.call.weight
        queue.bytes -= waiting.call.bytes
        self._bytes -= waiting.call.bytes
        if waiting.result.cancelled():
            return
        if isinstance(answer, Exception):
            waiting.result.set_exception(answer)
            # Asked for, so that a caller who hung up leaves no warning behind.
            waiting.result.exception()
        else:
            waiting.result.set_result(answer)


@dataclass(frozen=True)
class _Waiting(Generic[C, R]):
    call: C
    result: asyncio.Future[R]


class _Queue(Generic[C, R]):
    """The calls of one tenant. ``events`` and ``bytes`` count those on their way, too."""

    def __init__(self) -> None:
        self.waiting: deque[_Waiting[C, R]] = deque()
        self.events = 0
        self.bytes = 0
        self.task: asyncio.Task[None] | None = None
        self._waiting_events = 0
        self._waiting_bytes = 0
        self._full = asyncio.Event()

    def add(self, waiting: _Waiting[C, R], bounds: Bounds) -> None:
        self.waiting.append(waiting)
        self.events += waiting.call.weight
        self.bytes += waiting.call.bytes
        self._waiting_events += waiting.call.weight
        self._waiting_bytes += waiting.call.bytes
        if self._waiting_events >= bounds.group_events or self._waiting_bytes >= bounds.group_bytes:
            self._full.set()

    def take(self, bounds: Bounds) -> list[_Waiting[C, R]]:
        """The next group: at least one call, and no more than fits."""
        group: list[_Waiting[C, R]] = []
        events = size = 0
        while self.waiting:
            call = self.waiting[0].call
            if group and (events + call.weight > bounds.group_events or size + call.bytes > bounds.group_bytes):
                break
            group.append(self.waiting.popleft())
            events += call.weight
            size += call.bytes
        self._waiting_events -= events
        self._waiting_bytes -= size
        if self._waiting_events < bounds.group_events and self._waiting_bytes < bounds.group_bytes:
            self._full.clear()
        return group

    async def gather(self, seconds: float) -> None:
        """Let calls come in, for so long or until they fill a group."""
        if seconds <= 0:
            return
        try:
            await asyncio.wait_for(self._full.wait(), seconds)
        except TimeoutError:
            return
