"""One sync from its difference to its line in the log, with the connector's lease in hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import takewhile

from segops_orchestration.activation.batches import Cutter, attempts_before, may_be_present
from segops_orchestration.activation.breaker import last_success, likely_cause, sample_of, trips
from segops_orchestration.activation.difference import Acknowledged, Backlog, Wanted, acknowledged, backlogs
from segops_orchestration.activation.jobs import follow_jobs, follow_until
from segops_orchestration.activation.lease import HeldConnector
from segops_orchestration.activation.log import end_sync
from segops_orchestration.activation.opening import open_platform, require_type
from segops_orchestration.activation.planned import Plan, PlanCounts, Planned, drop_leftovers, drop_plan
from segops_orchestration.activation.platform import Action, Platform, PlatformRefused, PlatformUnavailable, User
from segops_orchestration.activation.rejections import refused
from segops_orchestration.activation.result import Outcome, PlannedUser, SyncResult
from segops_orchestration.activation.sending import Desk, Sender, Tally
from segops_orchestration.activation.session import Session
from segops_orchestration.activation.state import StateTable
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.connector_leases import ConnectorLeaseLost
from segops_orchestration.catalog.connector_records import Connector, ConnectorJob, Hold, Sync, SyncCounts
from segops_orchestration.catalog.holding import LEASE_SECONDS
from segops_orchestration.catalog.holds import NewHold
from segops_orchestration.catalog.syncs import SENDING, EndedJob, EndedSync
from segops_orchestration.errors import SegOpsError

# Who leaves first: somebody may have asked for it.
ACTIONS: tuple[Action, ...] = ("remove", "add")
# A page of the plan holds about so many users, or as many as go to the platform at once.
_PAGE_USERS = 5_000
# A hold stays while at least this share of the present difference is in it.
_STILL_THE_SAME = 0.5
# So many syncs in a row that died are looked at.
_DEAD_SYNCS = 50


@dataclass(frozen=True)
class Patience:
    """How many seconds a sync waits for what.

    Attributes:
        lease: how long the connector's lease lasts without being renewed.
        wait: for another sync of the connector to end; 0 refuses at once.
        settle: until a request whose outcome is unknown can no longer take effect; None is what the platform says.
        follow: for jobs to end; what is still under way then is looked at again by the next sync.
        job: until a job that does not end counts as lost.
        call: for one call of the platform to succeed, with its repeats and pauses; None is what suits a sync.
    """

    lease: float = LEASE_SECONDS
    wait: float = 0.0
    settle: float | None = None
    follow: float = 60.0
    job: float = 86_400.0
    call: float | None = None

    def settling(self, platform: type[Platform] | Platform) -> float:
        """``settle`` for this platform."""
        return platform.settle_seconds if self.settle is None else self.settle


class _Paused(Exception):
    """Somebody paused the connector while it was synced."""


def wanted_of(
    catalog: Catalog,
    connector: Connector,
    platform: type[Platform] | Platform,
    patience: Patience,
    stored: Acknowledged,
    *,
    nobody: bool = False,
) -> Wanted:
    """What a connector's state is compared with; with ``nobody``, no user is wanted."""
    archived = connector.segment_status == "archived"
    jobs = [job.batch_id for job in catalog.connectors.open_jobs(connector)]
    segment = None if nobody or archived else connector.segment_id
    return Wanted(
        connector.id, segment, platform.reads_properties and stored.refused > 0, jobs, patience.settling(platform)
    )


class SyncWork:
    """One sync, with the lease in hand and its line in the log."""

    def __init__(
        self,
        catalog: Catalog,
        held: HeldConnector,
        session: Session,
        record: Sync,
        patience: Patience,
        show: Callable[[PlannedUser], None] | None = None,
    ) -> None:
        self._catalog = catalog
        self.held = held
        self.session = session
        # One for all that this sync writes: versions grow within it.
        self.table = StateTable(session)
        self.connector = session.connector
        self.record = record
        self._kind = record.kind
        self._patience = patience
        self._show = show
        self._started = time.monotonic()
        self._tally = Tally()
        self._counts = PlanCounts()
        self._audience = 0
        self._hold: Hold | None = None
        self._would_hold = False
        self._platform: Platform | None = None

    def run(self) -> SyncResult:
        """Do it and say in the log how it ended."""
        try:
            self._platform = open_platform(
                self._catalog, self.connector, self.held.check, patience_seconds=self._patience.call
            )
            if self._kind in SENDING:
                self._take_over()
            outcome = self.deliver(self._platform)
        except PlatformRefused as error:
            if self._kind in SENDING:
                self._stop_connector(str(error))
            return self.end("failed", "failed", str(error), permanent=True)
        except PlatformUnavailable as error:
            return self.end("failed", "failed", str(error))
        except _Paused:
            return self.end("paused", "abandoned", "the connector was paused while it was synced")
        except ConnectorLeaseLost:
            # Whoever has taken over says in the log that this one was given up.
            raise
        except Exception as error:
            self._give_up(error)
            raise
        finally:
            if self._platform is not None:
                self._platform.close()
        return self.end(outcome, "held" if outcome == "held" else "succeeded")

    def _take_over(self) -> None:
        """Write above all that is stored, and let what a sync that died left unanswered settle from now on."""
        self.table.start()
        connector = self.connector
        newest = self._catalog.connectors.list_syncs(
            connector.tenant, connector.slug, kinds=SENDING, limit=_DEAD_SYNCS + 1
        )
        earlier = (one for one in newest if one.id != self.record.id)
        dead = list(takewhile(lambda one: one.status == "abandoned", earlier))
        if dead:
            self.table.renew(dead[-1].id)

    def deliver(self, platform: Platform) -> Outcome:
        """Follow what is under way, take the difference, and send what may be sent."""
        desk = self._desk(platform)
        hold = self._catalog.connectors.latest_hold(self.connector)
        drop_leftovers(self.session, [] if hold is None else [hold.sync_id])
        if self._kind != "dry_run":
            follow_jobs(desk, self._jobs(), self._finish_job, timedelta(seconds=self._patience.job))
        plan = Plan(self.session)
        approved = hold if hold is not None and hold.status != "held" else None
        self._counts = plan.write(
            self.wanted(platform),
            self.session.clock(),
            approved.sync_id if approved else None,
            adds_only=approved is not None and approved.status == "approved_adds",
        )
        if self._kind == "dry_run":
            self._would_hold = self._trips()
            self._present(plan, platform)
            return "succeeded"
        outcome = self._let_go(plan, desk, hold, approved)
        seconds = self._patience.follow
        follow_until(desk, self._jobs(), self._finish_job, timedelta(seconds=self._patience.job), seconds)
        return outcome

    def _let_go(self, plan: Plan, desk: Desk, hold: Hold | None, approved: Hold | None) -> Outcome:
        """Send the plan, or what of it was approved when the rest is too much."""
        if self._counts.forgets:
            plan.forget(desk.table)
        connectors, lease = self._catalog.connectors, self.held.lease
        if self._trips():
            if approved is not None:
                self._send(plan, desk, only_approved=True)
                self._hold_is_over(approved)
            self._keep_back(plan, hold if approved is None else None)
            return "held"
        if hold is not None and approved is None:
            connectors.supersede_hold(hold.id, lease=lease)
        self._send(plan, desk, only_approved=False)
        if approved is not None:
            self._hold_is_over(approved)
        plan.drop()
        return "succeeded"

    def _trips(self) -> bool:
        if self._kind == "empty" or self.connector.segment_status == "archived":
            return False  # Somebody has chosen to empty the audience.
        return trips(self.session, self._counts, self._audience)

    def _keep_back(self, plan: Plan, hold: Hold | None) -> None:
        """Hold the difference; one that is held already stays while it is about the same."""
        connectors, lease = self._catalog.connectors, self.held.lease
        if hold is not None and plan.share_in(hold.sync_id) >= _STILL_THE_SAME:
            plan.drop()
            reason = f"{hold.adds:,} to add and {hold.removes:,} to remove: {hold.cause}"
            self._hold = connectors.keep_hold(hold.id, reason, lease=lease)
            return
        counts = self._counts
        self._hold = connectors.hold(
            NewHold(
                sync_id=self.record.id,
                adds=counts.adds - counts.approved_adds,
                removes=counts.removes - counts.approved_removes,
                audience=self._audience,
                cause=likely_cause(self.session, self.record, last_success(self.session)),
                sample=sample_of(plan),
            ),
            lease=lease,
        )

    def _hold_is_over(self, approved: Hold) -> None:
        self._catalog.connectors.release_hold(approved.id, lease=self.held.lease)
        drop_plan(self.session, approved.sync_id)

    def _send(self, plan: Plan, desk: Desk, *, only_approved: bool) -> None:
        cutter = Cutter(self.record.id)
        with Sender(desk) as sender:
            for action in ACTIONS:
                size = desk.platform.batch_size(action)
                for page in plan.pages(action, "approved" if only_approved else "all", _page_size(desk.platform, size)):
                    self._require_active()
                    rows = self._complete(desk, action, page, self._users(plan, desk.platform, action, page))
                    batches = list(cutter.cut(action, rows, size))
                    settled_at = desk.settled_at()
                    desk.table.write(entry for batch in batches for entry in batch.intents(settled_at))
                    going_on = [sender.send(batch) for batch in batches]
                    if not all(going_on):
                        return

    def _users(
        self, plan: Plan, platform: Platform, action: Action, page: Sequence[Planned]
    ) -> list[tuple[Planned, User]]:
        properties = plan.properties(action, page) if platform.reads_properties and action == "add" else {}
        return [(row, row.user(properties.get(row.user_id, {}))) for row in page]

    def _complete(
        self, desk: Desk, action: Action, page: Sequence[Planned], users: Sequence[tuple[Planned, User]]
    ) -> Sequence[tuple[Planned, User]]:
        """Those who have what the platform needs; the others are refused without asking it."""
        if action == "remove":
            return users
        lacking = {user.user_id: why for _, user in users if (why := desk.platform.lacks(user)) is not None}
        if lacking:
            now = self.session.clock()
            desk.record(
                [
                    refused(
                        row.user_id,
                        action,
                        lacking[row.user_id],
                        attempts=attempts_before(row, action),
                        present=int(may_be_present(row)),
                        platform_id=row.platform_id,
                        now=now,
                    )
                    for row in page
                    if row.user_id in lacking
                ]
            )
        return [pair for pair in users if pair[1].user_id not in lacking]

    def _require_active(self) -> None:
        self.held.check()
        if self._kind == "empty":
            return
        status = self._catalog.connectors.get(self.connector.tenant, self.connector.slug).status
        if status not in ("active", "held"):
            raise _Paused

    def _present(self, plan: Plan, platform: Platform) -> None:
        """Show every row of the plan, and drop it."""
        for action in ACTIONS:
            for page in plan.pages(action, "all", _PAGE_USERS):
                if self._show is None:
                    break
                for _, user in self._users(plan, platform, action, page):
                    lacks = platform.lacks(user) if action == "add" else None
                    self._show(PlannedUser(action, user.user_id, lacks))
        plan.drop()

    def _desk(self, platform: Platform) -> Desk:
        def open_job(batch_id: str, job: str) -> None:
            self._catalog.connectors.open_job(self.record.id, batch_id, job, lease=self.held.lease)

        settle = timedelta(seconds=self._patience.settling(platform))
        return Desk(self.session, self.table, platform, self._tally, self.held.check, open_job, settle)

    def _finish_job(self, job_id: int, status: EndedJob) -> None:
        self._catalog.connectors.finish_job(job_id, status, lease=self.held.lease)

    def _jobs(self) -> list[ConnectorJob]:
        return self._catalog.connectors.open_jobs(self.connector)

    def wanted(self, platform: type[Platform] | Platform) -> Wanted:
        """What the state is compared with."""
        nobody = self._kind == "empty"
        stored = acknowledged(self.session.warehouse, [self.connector.id]).get(self.connector.id, Acknowledged())
        self._audience = stored.audience
        return wanted_of(self._catalog, self.connector, platform, self._patience, stored, nobody=nobody)

    def _backlog(self) -> Backlog:
        wanted = self.wanted(self._platform or require_type(self.connector))
        return backlogs(self.session.warehouse, [wanted], self.session.clock())[self.connector.id]

    def _stop_connector(self, reason: str) -> None:
        connector = self.connector
        self._catalog.connectors.set_status(
            connector.tenant, connector.slug, "error", reason, only_from=("active", "held"), lease=self.held.lease
        )

    def end(self, outcome: Outcome, status: EndedSync, error: str = "", *, permanent: bool = False) -> SyncResult:
        """Say in the log how it ended."""
        try:
            backlog = self._backlog()
        except Exception as second:
            self._give_up(second, error)
            raise
        counts = self._log(status, error, backlog)
        return SyncResult(
            connector=self._catalog.connectors.get(self.connector.tenant, self.connector.slug),
            kind=self._kind,
            outcome=outcome,
            backlog=backlog,
            sync_id=self.record.id,
            adds=self._counts.adds,
            removes=self._counts.removes,
            added=counts.added,
            removed=counts.removed,
            rejected=counts.rejected,
            requests=counts.requests,
            retries=counts.retries,
            milliseconds=round((time.monotonic() - self._started) * 1000),
            error=error,
            permanent=permanent,
            hold=self._hold,
            would_hold=self._would_hold,
        )

    def _give_up(self, error: Exception, before: str = "") -> None:
        """Say in the log what happened, if that is still possible; if not, the next sync does.

        ``before`` is what had gone wrong before that.
        """
        # The words of an error that nobody expected may quote anything.
        words = str(error) if isinstance(error, SegOpsError) else f"{type(error).__name__}, an error of segops itself"
        try:
            self._log("failed", f"{before}; {words}" if before else words, None)
        except SegOpsError as second:
            error.add_note(f"and saying so in the sync log failed too: {second}")

    def _log(self, status: EndedSync, error: str, backlog: Backlog | None) -> SyncCounts:
        """Without a backlog, nobody knows what is left: then what the sync before said of it stays in force."""
        requests, retries = self._platform.traffic() if self._platform else (0, 0)
        counts = SyncCounts(
            added=self._tally.added,
            removed=self._tally.removed,
            rejected=self._tally.rejected,
            requests=requests,
            retries=retries,
        )
        if backlog is not None:
            counts = replace(
                counts,
                pending=backlog.pending,
                audience=backlog.audience,
                refused=backlog.rejected + backlog.parked,
                next_try_at=backlog.next_retry_at,
            )
        elif (last := self._sync_before()) is not None:
            counts = replace(counts, pending=last.pending, refused=last.refused, next_try_at=last.next_try_at)
        end_sync(self._catalog, self.held.lease, self.session, self.record, status, counts, error)
        return counts

    def _sync_before(self) -> SyncCounts | None:
        connector = self.connector
        newest = self._catalog.connectors.list_syncs(connector.tenant, connector.slug, kinds=SENDING, limit=2)
        return next((one.counts for one in newest if one.id != self.record.id), None)


def _page_size(platform: Platform, batch_size: int) -> int:
    """Whole batches, so that every thread has some and a page stays small."""
    at_most = max(1, _PAGE_USERS // batch_size)
    return batch_size * max(1, min(4 * platform.in_flight(), at_most))
