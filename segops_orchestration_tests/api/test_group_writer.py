"""Calls gathered into groups: who waits for what, how much may wait, and what a failure does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from segops_orchestration.api.errors import ApiError
from segops_orchestration.api.ingest.group_writer import Bounds, GroupWriter


@dataclass(frozen=True)
class Call:
    name: str
    weight: int = 1
    bytes: int = 10


@dataclass
class Store:
    """Keeps the groups it is given; while it is held, a write waits."""

    groups: list[tuple[str, list[str]]] = field(default_factory=list)
    held: threading.Event = field(default_factory=threading.Event)
    fails: bool = False

    def write(self, tenant: str, calls: Sequence[Call]) -> list[str | Exception]:
        self.held.wait(30)
        if self.fails:
            raise OSError("no disk")
        self.groups.append((tenant, [call.name for call in calls]))
        return [ValueError("bad") if call.name == "bad" else f"{call.name} stored" for call in calls]


@pytest.fixture
def store() -> Store:
    made = Store()
    made.held.set()
    return made


def writer(store: Store, **bounds: float) -> GroupWriter[Call, str]:
    return GroupWriter(store.write, Bounds(**{"pace_seconds": 0.01, **bounds}))  # type: ignore[arg-type]


async def settle() -> None:
    await asyncio.sleep(0.05)


def test_calls_that_come_while_a_group_is_written_are_the_next_group(store: Store) -> None:
    async def scenario() -> list[str]:
        store.held.clear()
        groups = writer(store)
        first = asyncio.create_task(groups.submit("a", Call("1")))
        await settle()
        others = [asyncio.create_task(groups.submit("a", Call(str(number)))) for number in range(2, 6)]
        await settle()
        store.held.set()
        return await asyncio.gather(first, *others)

    assert asyncio.run(scenario()) == [f"{number} stored" for number in range(1, 6)]
    assert store.groups == [("a", ["1"]), ("a", ["2", "3", "4", "5"])]


def test_one_tenant_does_not_wait_for_another(store: Store) -> None:
    async def scenario() -> None:
        store.held.clear()
        groups = writer(store)
        slow = asyncio.create_task(groups.submit("a", Call("1")))
        await settle()
        quick = asyncio.create_task(groups.submit("b", Call("2")))
        await settle()
        store.held.set()
        await asyncio.gather(slow, quick)

    asyncio.run(scenario())
    assert {tenant for tenant, _ in store.groups} == {"a", "b"}


def test_a_full_queue_refuses_with_429_and_loses_nothing_that_was_taken(store: Store) -> None:
    async def scenario() -> list[str]:
        store.held.clear()
        groups = writer(store, tenant_events=5)
        taken = [asyncio.create_task(groups.submit("a", Call(str(number)))) for number in range(5)]
        await settle()
        with pytest.raises(ApiError) as refused:
            await groups.submit("a", Call("too many"))
        assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "1")
        groups.check_room("b")
        store.held.set()
        stored = await asyncio.gather(*taken)
        groups.check_room("a")
        return stored

    assert asyncio.run(scenario()) == [f"{number} stored" for number in range(5)]
    assert sorted(name for _, names in store.groups for name in names) == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("bounds", [{"tenant_bytes": 100}, {"all_bytes": 100}])
def test_bytes_are_bounded_too(store: Store, bounds: dict[str, float]) -> None:
    async def scenario() -> None:
        store.held.clear()
        groups = writer(store, **bounds)
        taken = asyncio.create_task(groups.submit("a", Call("1", bytes=90)))
        await settle()
        with pytest.raises(ApiError) as refused:
            await groups.submit("a", Call("2", bytes=20))
        assert refused.value.status == 429
        store.held.set()
        await taken

    asyncio.run(scenario())


def test_groups_are_no_larger_than_allowed(store: Store) -> None:
    async def scenario() -> None:
        groups = writer(store, group_events=10)
        await asyncio.gather(*(groups.submit("a", Call(str(number), weight=4)) for number in range(7)))

    asyncio.run(scenario())
    assert [len(names) for _, names in store.groups] == [2, 2, 2, 1]


def test_a_failure_is_told_to_everybody_in_the_group_and_the_next_group_is_written(store: Store) -> None:
    async def scenario() -> None:
        groups = writer(store)
        store.fails = True
        failed = await asyncio.gather(*(groups.submit("a", Call(str(n))) for n in range(3)), return_exceptions=True)
        assert [str(error) for error in failed] == ["no disk"] * 3
        store.fails = False
        assert await groups.submit("a", Call("3")) == "3 stored"

    asyncio.run(scenario())


def test_a_bad_call_is_its_own_alone(store: Store) -> None:
    async def scenario() -> None:
        groups = writer(store)
        good, bad = await asyncio.gather(
            groups.submit("a", Call("good")), groups.submit("a", Call("bad")), return_exceptions=True
        )
        assert good == "good stored"
        assert isinstance(bad, ValueError)

    asyncio.run(scenario())


def test_who_hangs_up_is_stored_all_the_same(store: Store) -> None:
    async def scenario() -> None:
        store.held.clear()
        groups = writer(store)
        first = asyncio.create_task(groups.submit("a", Call("1")))
        await settle()
        gone = asyncio.create_task(groups.submit("a", Call("2")))
        await settle()
        gone.cancel()
        store.held.set()
        await first
        await groups.close()

    asyncio.run(scenario())
    assert store.groups == [("a", ["1"]), ("a", ["2"])]


def test_closing_writes_what_waits_and_takes_no_more(store: Store) -> None:
    async def scenario() -> None:
        store.held.clear()
        groups = writer(store)
        taken = [asyncio.create_task(groups.submit("a", Call(str(number)))) for number in range(4)]
        await settle()
        closing = asyncio.create_task(groups.close())
        await settle()
        with pytest.raises(ApiError) as refused:
            await groups.submit("a", Call("late"))
        assert (refused.value.status, "Retry-After" in refused.value.headers) == (503, True)
        store.held.set()
        await closing
        assert await asyncio.gather(*taken) == [f"{number} stored" for number in range(4)]

    asyncio.run(scenario())


def test_groups_keep_their_pace_so_that_a_trickle_makes_few_inserts(store: Store) -> None:
    async def scenario() -> None:
        groups = writer(store, pace_seconds=0.2)
        running = []
        for number in range(40):
            running.append(asyncio.create_task(groups.submit("a", Call(str(number)))))
            await asyncio.sleep(0.01)
        await asyncio.gather(*running)

    asyncio.run(scenario())
    assert sum(len(names) for _, names in store.groups) == 40
    assert len(store.groups) <= 8
