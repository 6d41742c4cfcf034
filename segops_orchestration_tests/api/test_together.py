"""Questions asked together: who waits for whom, how many may wait, and whose a failure is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from segops_orchestration.api import together
from segops_orchestration.api.errors import ApiError
from segops_orchestration.api.together import Together


@dataclass
class Store:
    """Keeps the groups that it was asked; while it is held, it does not answer."""

    groups: list[tuple[str, list[str]]] = field(default_factory=list)
    free: threading.Event = field(default_factory=threading.Event)

    def answer(self, tenant: str, questions: Sequence[str]) -> list[str | Exception]:
        self.groups.append((tenant, list(questions)))
        assert self.free.wait(30)
        if "broken" in questions:
            raise OSError("no answer")
        return [ValueError(one) if one == "bad" else f"{one}!" for one in questions]


@pytest.fixture
def store() -> Store:
    return Store()


async def asked(asking: Together[str, str], *questions: str, tenant: str = "a") -> list[asyncio.Task[str]]:
    """Tasks that have asked, one after another."""
    tasks = []
    for question in questions:
        tasks.append(asyncio.create_task(asking.ask(tenant, question)))
        await asyncio.sleep(0.02)
    return tasks


def test_what_is_asked_while_two_groups_are_under_way_is_one_group(store: Store) -> None:
    async def scenario() -> list[str]:
        asking = Together(store.answer)
        tasks = await asked(asking, "1", "2", "3", "4", "5")
        store.free.set()
        answers = await asyncio.gather(*tasks)
        await asking.close()
        return answers

    assert asyncio.run(scenario()) == ["1!", "2!", "3!", "4!", "5!"]
    assert store.groups == [("a", ["1"]), ("a", ["2"]), ("a", ["3", "4", "5"])]


def test_tenants_do_not_wait_for_one_another(store: Store) -> None:
    async def scenario() -> None:
        asking = Together(store.answer)
        tasks = [*await asked(asking, "1", "2", "3"), *await asked(asking, "4", tenant="b")]
        assert ("b", ["4"]) in store.groups
        store.free.set()
        await asyncio.gather(*tasks)
        await asking.close()

    asyncio.run(scenario())


def test_an_error_is_its_own_callers_and_a_failure_the_whole_groups(store: Store) -> None:
    async def scenario() -> list[str | BaseException]:
        asking = Together(store.answer)
        tasks = await asked(asking, "1", "2", "bad", "3")
        store.free.set()
        first = await asyncio.gather(*tasks, return_exceptions=True)
        store.free.clear()
        tasks = await asked(asking, "4", "5", "broken", "6")
        store.free.set()
        second = await asyncio.gather(*tasks, return_exceptions=True)
        await asking.close()
        return [*first, *second]

    answers = [type(one) if isinstance(one, Exception) else one for one in asyncio.run(scenario())]
    assert answers == ["1!", "2!", ValueError, "3!", "4!", "5!", OSError, OSError]


def test_who_hangs_up_takes_no_answer_from_others(store: Store) -> None:
    async def scenario() -> str:
        asking = Together(store.answer)
        tasks = await asked(asking, "1", "2", "3", "4")
        tasks[2].cancel()
        store.free.set()
        answer = await tasks[3]
        await asking.close()
        return answer

    assert asyncio.run(scenario()) == "4!"


def test_more_than_may_wait_are_refused_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "_MOST_WAITING", 2)

    async def scenario() -> int:
        asking = Together(store.answer)
        tasks = await asked(asking, "1", "2", "3", "4")
        with pytest.raises(ApiError) as refused:
            await asking.ask("a", "5")
        store.free.set()
        await asyncio.gather(*tasks)
        await asking.close()
        return refused.value.status

    assert asyncio.run(scenario()) == 429


def test_a_large_crowd_is_asked_for_in_several_groups(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "_GROUP", 2)

    async def scenario() -> None:
        asking = Together(store.answer)
        tasks = await asked(asking, *"abcdefg")
        store.free.set()
        await asyncio.gather(*tasks)
        await asking.close()

    asyncio.run(scenario())
    assert [len(group) for _, group in store.groups[:2]] == [1, 1]
    assert max(len(group) for _, group in store.groups) == 2
