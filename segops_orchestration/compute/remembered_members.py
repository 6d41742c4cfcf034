"""Memberships of the tenants that are asked about often, in this process's memory; the warehouse answers for others.

Loaded and brought on beside the requests, by one thread. Whoever asks while that goes on is answered by the warehouse,
so nobody waits for it and nobody is told what was true before the last computation.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from segops_orchestration.catalog.checks import Checks, CheckState
from segops_orchestration.compute.membership_snapshot import (
    BYTES_PER_MEMBERSHIP,
    MembershipSnapshot,
    Stale,
    Stamp,
    changes_of,
    load_snapshot,
)
from segops_orchestration.errors import SegOpsError
from segops_orchestration.warehouse.client import TenantWarehouse

_log = logging.getLogger("segops.compute")

# So many questions within so long are worth a pass over all of a tenant's memberships.
_OFTEN = 50
_WITHIN_SECONDS = 10.0
# What could not be loaded (a computation is running, it is too large, the warehouse is away) is tried again after this.
_AGAIN_SECONDS = 5.0


class RememberedMembers:
    """Snapshots by tenant, at most ``limit`` bytes of them; those that were asked for longest ago are forgotten."""

    def __init__(self, checks: Checks, database: Callable[[str], TenantWarehouse], limit: int) -> None:
        self._checks = checks
        self._database = database
        self._limit = limit
        self._lock = threading.Lock()
        self._snapshots: OrderedDict[str, MembershipSnapshot] = OrderedDict()
        self._asked: dict[str, tuple[float, int]] = {}
        self._at_work: set[str] = set()
        self._not_before: dict[str, float] = {}
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="members")

    def of(self, tenant: str, state: CheckState, questions: int) -> MembershipSnapshot | None:
        """The tenant's memberships as they are in this state; None if they are not in memory (yet)."""
        stamps = _stamps(state)
        with self._lock:
            found = self._snapshots.get(tenant)
            if found is not None and found.fits(stamps):
                self._snapshots.move_to_end(tenant)
                return found
            if self._limit and self._is_due(tenant, questions, known=found is not None):
                self._at_work.add(tenant)
                self._worker.submit(self._work, tenant)
        return None

    def close(self) -> None:
        """End, once what is being loaded is there."""
        self._worker.shutdown(wait=True, cancel_futures=True)

    def _is_due(self, tenant: str, questions: int, *, known: bool) -> bool:
        now = time.monotonic()
        if tenant in self._at_work or now < self._not_before.get(tenant, 0.0):
            return False
        if known:
            return True
        since, count = self._asked.get(tenant, (now, 0))
        if now - since > _WITHIN_SECONDS:
            since, count = now, 0
        self._asked[tenant] = (since, count + questions)
        return count + questions >= _OFTEN

    def _work(self, tenant: str) -> None:
        found: MembershipSnapshot | None = None
        try:
            found = self._fresh(tenant)
        except SegOpsError as error:
            _log.warning("memberships of %s are not kept in memory: %s", tenant, error)
        finally:
            with self._lock:
                self._at_work.discard(tenant)
                self._asked.pop(tenant, None)
                self._snapshots.pop(tenant, None)
                if found is None:
                    self._not_before[tenant] = time.monotonic() + _AGAIN_SECONDS
                else:
                    self._keep(tenant, found)

    def _keep(self, tenant: str, snapshot: MembershipSnapshot) -> None:
        self._not_before.pop(tenant, None)
        self._snapshots[tenant] = snapshot
        while sum(one.size for one in self._snapshots.values()) > self._limit:
            self._snapshots.popitem(last=False)

    def _fresh(self, tenant: str) -> MembershipSnapshot | None:
        """The one there is, brought on; or one that is loaded."""
        with self._lock:
            known = self._snapshots.get(tenant)
        if known is not None:
            try:
                return self._brought_on(tenant, known)
            except Stale:
                known = None
        return self._loaded(tenant)

    def _brought_on(self, tenant: str, known: MembershipSnapshot) -> MembershipSnapshot:
        stamps = _stamps(self._checks.state(tenant, ()))
        behind = {segment: stamp for segment, stamp in stamps.items() if known.stamps.get(segment) != stamp}
        if not behind.keys() <= known.stamps.keys():
            raise Stale
        since = self._checks.computations_since({segment: known.stamps[segment].computation_id for segment in behind})
        # A commit meanwhile is left to the next time: what is newer than the stamps is not asked for.
        computations = {
            segment: [one for one in found if one <= behind[segment].computation_id] for segment, found in since.items()
        }
        return known.brought_on(changes_of(self._database(tenant), computations), behind)

    def _loaded(self, tenant: str) -> MembershipSnapshot | None:
        """None: somebody is changing memberships, or they are too many."""
        stamps = _stamps(self._checks.state(tenant, ()))
        if sum(stamp.members for stamp in stamps.values()) * BYTES_PER_MEMBERSHIP > self._limit:
            return None
        if not self._checks.is_quiet(tenant):
            return None
        try:
            snapshot = load_snapshot(self._database(tenant), stamps)
        except Stale:
            return None
        still = _stamps(self._checks.state(tenant, ())) == stamps and self._checks.is_quiet(tenant)
        return snapshot if still else None


def _stamps(state: CheckState) -> Mapping[int, Stamp]:
    return {one.id: Stamp(one.computation_id, one.members) for one in state.segments if one.computation_id is not None}
