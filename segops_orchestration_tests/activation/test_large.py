"""A large audience: memory that does not grow with it, and storing that keeps up with a fast platform."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence

import pytest

from segops_orchestration.activation.platform import Answer, User
from segops_orchestration.activation.session import Session
from segops_orchestration_tests.activation.conftest import NewShop
from segops_orchestration_tests.activation.roster.platform import Roster
from segops_orchestration_tests.activation.roster.shop import Shop

_JOIN = """INSERT INTO segment_memberships
SELECT
  {{segment_id:UInt64}}, concat('somebody with a rather long name ', leftPad(toString(number), 9, '0')), now64(3), 1, 0
FROM numbers({number})"""


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A platform that takes everything at once; the sizes of its batches."""
    sizes: list[int] = []

    def change(self: Roster, action: str, those: Sequence[User], batch_id: str) -> Answer:
        self.connection.before_request()
        sizes.append(len(those))
        return Answer()

    monkeypatch.setattr(Roster, "_change", change)
    return sizes


def _join(shop: Shop, number: int) -> None:
    shop.define()
    segment = shop.catalog.get_segment(shop.tenant, shop.segment).id
    shop.database.command(_JOIN.format(number=number), {"segment_id": segment})


def _peak(shop: Shop) -> int:
    """Bytes that Python held at most during a sync, beyond those before it."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        shop.sync()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_audience(new_shop: NewShop, instant: list[int]) -> None:
    peaks: list[int] = []
    for number in (3_000, 15_000):
        shop = new_shop()
        shop.open(batch=500)
        _join(shop, number)
        peaks.append(_peak(shop))
    assert sum(instant) == 18_000
    assert peaks[1] < 1.5 * peaks[0]
    assert peaks[1] < 40 << 20


def test_answers_that_come_together_are_stored_together(
    new_shop: NewShop, instant: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Braze takes 83 batches of 50 users a second: an insert for each would be too much for the warehouse."""
    stored: list[str] = []
    real = Session.insert

    def insert(self: Session, table: str, columns: tuple[str, ...], rows: Iterator[str]) -> None:
        stored.append(table)
        real(self, table, columns, rows)

    monkeypatch.setattr(Session, "insert", insert)
    shop = new_shop()
    shop.open(batch=50, lanes=16)
    _join(shop, 10_000)
    assert shop.sync().added == 10_000
    assert len(instant) == 200
    assert stored.count("activation_state") < 100
