"""Sending batches: intent, request, answer; several at once where the platform allows it.

The intents of a page are written before any of its batches is sent, each answer before its thread takes another batch.
Whatever stops the sending, batches that were not sent are taken back: their users are as they were before.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from queue import Queue

from segops_orchestration.activation.batches import Batch, attempts_before, may_be_present, sent_before
from segops_orchestration.activation.platform import Action, Answer, BatchRefused, Platform, PlatformUnavailable
from segops_orchestration.activation.rejections import refused
from segops_orchestration.activation.session import Session
from segops_orchestration.activation.state import NEVER, Entry, StateTable
from segops_orchestration.compiler.parameters import instant_text

UNREADABLE = "the platform's answer about this user could not be read"


@dataclass
class Tally:
    """What has become of users so far. Threads count together."""

    added: int = 0
    removed: int = 0
    rejected: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def count(self, entries: Sequence[Entry]) -> None:
        with self._lock:
            for entry in entries:
                self.added += entry.change == "added"
                self.removed += entry.change == "removed"
                self.rejected += entry.change in ("rejected", "parked", "unknown")


@dataclass(frozen=True)
class Desk:
    """Where the work of one sync is written down.

    ``check`` raises when the lease is lost; the platform calls it before every request. A late recording needs none:
    the rows of a successor are newer whatever happens. ``open_job`` writes down a batch id and the platform's name of
    its job.
    """

    session: Session
    table: StateTable
    platform: Platform
    tally: Tally
    check: Callable[[], None]
    open_job: Callable[[str, str], None]
    settle: timedelta

    def settled_at(self) -> str:
        """When a request that was lost before now can no longer take effect."""
        return instant_text(self.session.clock() + self.settle)

    def record(self, entries: Sequence[Entry]) -> None:
        """Store what the platform said."""
        self.table.write(entries)
        self.tally.count(entries)


class Sender:
    """Threads that send batches; a context manager. The first error of any of them ends all."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        lanes = max(1, desk.platform.in_flight())
        self._queue: Queue[Batch | None] = Queue(maxsize=lanes)
        self._error: BaseException | None = None
        self._unsent: list[Batch] = []
        self._lock = threading.Lock()
        self._lanes = [threading.Thread(target=self._lane, name=f"lane-{lane}", daemon=True) for lane in range(lanes)]

    def __enter__(self) -> Sender:
        for lane in self._lanes:
            lane.start()
        return self

    def send(self, batch: Batch) -> bool:
        """Hand a batch, whose intents are stored, to the next free thread; False once an error has ended all."""
        self._queue.put(batch)
        return self._error is None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self._stop(error)
        for _ in self._lanes:
            self._queue.put(None)
        for lane in self._lanes:
            lane.join()
        if self._unsent:
            self._desk.table.write(entry for batch in self._unsent for entry in batch.before())
        if error is None and self._error is not None:
            raise self._error

    def _lane(self) -> None:
        while (batch := self._queue.get()) is not None:
            if self._error is not None:
                self._not_sent([batch])
                continue
            try:
                self._deliver(batch)
            except BaseException as error:  # noqa: BLE001  # raised again by __exit__, in the thread that waits
                self._stop(error)

    def _stop(self, error: BaseException) -> None:
        with self._lock:
            self._error = self._error or error

    def _not_sent(self, batches: Sequence[Batch]) -> None:
        with self._lock:
            self._unsent += [batch for batch in batches if batch.rows]

    def _deliver(self, whole: Batch) -> None:
        """Send a batch, in ever smaller parts if the platform refuses it for somebody it does not name."""
        left = [whole]
        while left:
            batch = left.pop()
            lost = self._desk.platform.lost()
            try:
                if batch is not whole:
                    self._intend(batch)
                answer = self._call(batch)
            except BatchRefused as refusal:
                left += self._smaller(self._after(batch, lost), refusal)
            except PlatformUnavailable as error:
                doubtful = error.may_have_applied or self._desk.platform.lost() > lost
                self._not_sent(left if doubtful else [*left, batch])
                if doubtful:
                    # The opposite waits from the last try on, which may be long after the first.
                    self._intend(batch.doubtful())
                raise
            except BaseException:
                self._not_sent(left)
                if self._desk.platform.lost() > lost:
                    self._intend(batch.doubtful())
                raise
            else:
                self._taken(self._after(batch, lost), answer, repeated=self._desk.platform.lost() > lost)

    def _intend(self, batch: Batch) -> None:
        self._desk.table.write(batch.intents(self._desk.settled_at()))

    def _call(self, batch: Batch) -> Answer:
        call = self._desk.platform.add if batch.action == "add" else self._desk.platform.remove
        return call(batch.users, batch.id)

    def _after(self, batch: Batch, lost: int) -> Batch:
        """The batch as its call left it: a request that was lost before the answer came may still take effect."""
        return batch.doubtful() if self._desk.platform.lost() > lost else batch

    def _taken(self, batch: Batch, answer: Answer, *, repeated: bool) -> None:
        if answer.job is not None:
            if repeated:
                # What the job's end is told later: from when on the opposite may be sent.
                self._intend(batch)
            self._desk.open_job(batch.id, answer.job)
        self._record(batch, answer, only=answer.job is not None)

    def _smaller(self, batch: Batch, refusal: BatchRefused) -> list[Batch]:
        """Record whom the platform blames; what remains to be sent, the first part last."""
        blamed = {row.user_id: refusal.users[row.user_id] for row in batch.rows if row.user_id in refusal.users}
        if not blamed and len(batch.rows) > 1:
            first, second = batch.halves()
            return [second, first]
        if not blamed:
            blamed = {batch.rows[0].user_id: str(refusal)}
        self._record(batch, Answer(rejected=blamed), only=True)
        rest = batch.without(frozenset(blamed))
        return [rest] if rest.rows else []

    def _record(self, batch: Batch, answer: Answer, *, only: bool) -> None:
        """Store an answer; with ``only`` nothing is known of those whom it does not mention."""
        entries = answered(self._desk, batch, answer)
        if only:
            entries = [entry for entry in entries if entry.user_id in answer.rejected]
        self._desk.record(entries)


def answered(desk: Desk, batch: Batch, answer: Answer) -> list[Entry]:
    """What the platform's answer makes of the users of a batch."""
    now, settled_at = desk.session.clock(), desk.settled_at()
    removing = batch.action == "remove"
    return [
        outcome_of(
            row.user_id,
            batch.action,
            answer,
            attempts=attempts_before(row, batch.action),
            present_if_refused=int(removing or may_be_present(row)),
            platform_id=row.platform_id,
            settled_at=settled_at if sent_before(row, batch.action) else NEVER,
            now=now,
        )
        for row in batch.rows
    ]


def outcome_of(
    user_id: str,
    action: Action,
    answer: Answer,
    *,
    attempts: int,
    present_if_refused: int,
    platform_id: str,
    settled_at: str,
    now: datetime,
) -> Entry:
    """The row of one user after an answer; ``attempts`` of the same action were refused before.

    ``settled_at`` is when the opposite may be sent, because nothing that was lost can take effect any more.
    """
    name = answer.platform_ids.get(user_id, platform_id)
    refusal = answer.rejected.get(user_id)
    if refusal is not None:
        return refused(
            user_id, action, refusal, attempts=attempts, present=present_if_refused, platform_id=name, now=now
        )
    if user_id in answer.unknown:
        unread = refused(user_id, action, UNREADABLE, attempts=attempts, present=1, platform_id=name, now=now)
        return unread._replace(change="unknown")
    if action == "add":
        return Entry(user_id, "delivered", "add", 1, name, retry_at=settled_at, change="added")
    return Entry(user_id, "removed", "remove", 0, name, retry_at=settled_at, change="removed")
