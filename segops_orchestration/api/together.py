"""Questions of many callers asked together.

A question to a store costs about as much as ten of the same kind in one query. So a question that comes while others
of its tenant are being asked waits, and is asked with all that came meanwhile: the more callers, the larger the groups.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from segops_orchestration.api.errors import ApiError

Q = TypeVar("Q")
A = TypeVar("A")

# Groups of one tenant that are asked at the same time: a second one need not wait for the slow end of the first.
_AT_ONCE = 2
# 100 user ids of the greatest length fit into a URL, which is where they go.
_GROUP = 100
_MOST_WAITING = 5_000
_THREADS = 8


class Together(Generic[Q, A]):
    """Asks in groups. Belongs to one event loop.

    Args:
        answer: answers the questions of one tenant, in a thread and in their order, with what is meant for each: an
            answer, or the error that its caller is to get. When it raises, every caller of the group gets that.
    """

    def __init__(self, answer: Callable[[str, Sequence[Q]], Sequence[A | Exception]]) -> None:
        self._answer = answer
        self._tenants: dict[str, _Tenant[Q, A]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="together")

    async def ask(self, tenant: str, question: Q) -> A:
        """The answer to one question.

        Raises:
            ApiError: 429, too many questions of the tenant wait.
            Exception: what ``answer`` gave or raised.
        """
        waiting = self._tenants.setdefault(tenant, _Tenant())
        if len(waiting.questions) >= _MOST_WAITING:
            raise ApiError(429, "too many requests of this tenant wait for an answer", headers={"Retry-After": "1"})
        result: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        waiting.questions.append((question, result))
        if waiting.groups < _AT_ONCE:
            waiting.groups += 1
            task = asyncio.create_task(self._work(tenant, waiting))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await result

    async def close(self) -> None:
        """Answer what waits, and end."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._threads.shutdown)

    async def _work(self, tenant: str, waiting: _Tenant[Q, A]) -> None:
        """Ask group after group until nothing waits. Nothing is awaited between finding that and ending."""
        loop = asyncio.get_running_loop()
        while waiting.questions:
            group = [waiting.questions.popleft() for _ in range(min(_GROUP, len(waiting.questions)))]
            answers: Sequence[A | Exception]
            try:
                answers = await loop.run_in_executor(self._threads, self._answer, tenant, [one for one, _ in group])
            except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to those who wait
                answers = [error] * len(group)
            for (_, result), answer in zip(group, answers, strict=True):
                _settle(result, answer)
        waiting.groups -= 1
        if not waiting.groups:
            del self._tenants[tenant]


@dataclass
class _Tenant(Generic[Q, A]):
    """What waits of one tenant, and how many groups of it are being asked."""

    questions: deque[tuple[Q, asyncio.Future[A]]] = field(default_factory=deque)
    groups: int = 0


def _settle(result: asyncio.Future[A], answer: A | Exception) -> None:
    # Whoever hung up has cancelled it.
    if result.done():
        return
    if isinstance(answer, Exception):
        result.set_exception(answer)
    else:
        result.set_result(answer)
