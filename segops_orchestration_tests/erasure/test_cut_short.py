"""An erasure that dies between any two of its steps is finished by the next call, and nothing of it is done twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from segops_orchestration.activation.erasing import ACTIVATION_TABLES
from segops_orchestration.catalog.persons import PersonsCatalog
from segops_orchestration.compute.compute import compute
from segops_orchestration.compute.identities import alias
from segops_orchestration.erasure.erase import Surroundings, finish
from segops_orchestration.erasure.requests import certificates, pending
from segops_orchestration.settings import Settings
from segops_orchestration_tests.activation.roster.fuse import Crash, Fuse, burning
from segops_orchestration_tests.activation.roster.shop import SOON, Shop
from segops_orchestration_tests.erasure.erasing import catalogue_with, erase, order, run, tables_with

# A whole erasure at one connector takes about so many steps.
STEPS = 110
MORE = ((PersonsCatalog, "recount_members"), (PersonsCatalog, "forget"))


def seeded(fixed: int, some: int) -> list[object]:
    """A few crashes for every run, many for who has the time."""
    return [*range(fixed), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(fixed, some))]


@pytest.mark.parametrize("seed", seeded(1, 40))
def test_a_crash_anywhere_is_made_good(seed: int, shop: Shop, tmp_path: Path) -> None:
    random = Random(seed)
    ann, anon = f"ann.{seed}@example.com", f"anon.{seed}.0815"
    order(shop, [ann, anon, "ben"])
    run(shop)
    alias(shop.catalog, shop.database, anon, ann)
    if random.random() < 0.5:
        run(shop)
    for _ in range(random.randint(1, 2)):
        fuse = Fuse(random.randint(1, STEPS), after=random.random() < 0.5)
        try:
            with burning(fuse, *MORE):
                erase(shop, ann, tmp_path, force=True)
        except Crash:
            shop.pass_time(seconds=2)

    around = Surroundings([tmp_path], 5.0, 1.0, (), SOON, shop.clock)
    for request in pending(shop.database) or ():
        shop.pass_time(seconds=120)
        finish(shop.catalog, shop.warehouse, shop.tenant, request, around)
    if tables_with(shop.database, ann):
        # It died before the request was written down.
        erase(shop, ann, tmp_path)

    assert pending(shop.database) == []
    assert {text: tables_with(shop.database, text) for text in (ann, anon)} == {ann: set(), anon: set()}
    assert catalogue_with(shop.catalog, ann) == set()
    assert shop.people() & {ann, anon} == set()
    assert "ben" in shop.people()
    delta = compute(shop.catalog, shop.warehouse, shop.tenant)
    full = compute(shop.catalog, shop.warehouse, shop.tenant, mode="full")
    assert [one.slug for one in full.segments if one.changed] == []
    assert [one.members for one in delta.segments] == [one.members for one in full.segments]


def test_what_was_removed_before_a_crash_is_in_the_certificate(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = "ann.counted@example.com"
    order(shop, [ann])
    order(shop, [ann], "context_identified")
    run(shop)

    def crash(*arguments: object, **named: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(PersonsCatalog, "recount_members", crash)
        with pytest.raises(Crash):
            erase(shop, ann, tmp_path)
    assert tables_with(shop.database, ann) <= {"erasing", *ACTIVATION_TABLES}
    (unfinished,) = [one for one in certificates(shop.database) if one.finished_at is None]
    assert unfinished.rows["events"] == 2

    assert erase(shop, ann, tmp_path).rows == unfinished.rows


_PROGRAM = """
import sys
from pathlib import Path
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.erasure.erase import Surroundings, begin, finish
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import Warehouse
from segops_orchestration_tests.activation.roster.platform import register
from segops_orchestration_tests.activation.roster.shop import SOON

home, url, tenant, user = sys.argv[1:]
register()
settings = Settings(Path(home), None, url)
catalog, warehouse = Catalog.open(settings), Warehouse.connect(settings)
warehouse.tenant(tenant).query("SELECT 1")
print("ready", flush=True)
request = begin(warehouse.tenant(tenant), user, "the test")
finish(catalog, warehouse, tenant, request, Surroundings((), 5.0, 1.0, (), SOON))
"""


@pytest.mark.parametrize("kills", [1, pytest.param(25, marks=pytest.mark.slow)])
def test_who_is_killed_in_the_middle_leaves_what_the_next_one_finishes(
    kills: int, settings: Settings, new_tenant: Callable[[], Shop], tmp_path: Path
) -> None:
    shop, random, seconds = new_tenant(), Random(20261124), 1.0
    shop.open()
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    killed = 0
    for number in range(kills + 1):
        ann = f"ann.killed.{number}@example.com"
        order(shop, [ann, "ben"])
        run(shop)
        arguments = [str(settings.home), url, shop.tenant, ann]
        process = subprocess.Popen([sys.executable, "-c", _PROGRAM, *arguments], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        started = time.monotonic()
        if number:
            time.sleep(random.uniform(0, seconds))
            os.kill(process.pid, signal.SIGKILL)
        process.wait(60)
        if not number:
            seconds = time.monotonic() - started
            assert process.returncode == 0
        killed += process.returncode == -signal.SIGKILL
        process.stdout.close()
        time.sleep(1.1)  # Its leases last a second.
        if tables_with(shop.database, ann):
            assert erase(shop, ann, tmp_path).finished_at is not None
        assert tables_with(shop.database, ann) == set()
        assert ann not in shop.people()
    assert killed >= kills // 2
    assert pending(shop.database) == []
    compute(shop.catalog, shop.warehouse, shop.tenant)
    full = compute(shop.catalog, shop.warehouse, shop.tenant, mode="full")
    assert [one.slug for one in full.segments if one.changed] == []
