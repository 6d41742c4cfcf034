"""Jobs: batches that a platform goes on working on after it has accepted them, followed across syncs.

Until a job ends its users are left alone, so that nothing overtakes it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from segops_orchestration.activation.platform import Answer, User
from segops_orchestration.activation.sending import Desk, outcome_of
from segops_orchestration.activation.state import Entry
from segops_orchestration.catalog.connector_records import ConnectorJob
from segops_orchestration.catalog.syncs import EndedJob

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 10.0

FinishJob = Callable[[int, EndedJob], None]


def follow_jobs(desk: Desk, jobs: Sequence[ConnectorJob], finish: FinishJob, patience: timedelta) -> list[ConnectorJob]:
    """Ask after each job once and record what has ended; those that are still open.

    A job older than ``patience`` is lost: what became of its users is unknown, and they are sent again.
    """
    return [job for job in jobs if not _ended(desk, job, finish, patience)]


def follow_until(
    desk: Desk, jobs: Sequence[ConnectorJob], finish: FinishJob, patience: timedelta, seconds: float
) -> list[ConnectorJob]:
    """The same again and again, with growing pauses, until none is open or the time is up."""
    deadline = time.monotonic() + seconds
    pause = _FIRST_PAUSE_SECONDS
    left = follow_jobs(desk, jobs, finish, patience) if jobs else []
    while left and (remaining := deadline - time.monotonic()) > 0:
        time.sleep(min(pause, remaining))
        pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
        left = follow_jobs(desk, left, finish, patience)
    return left


def _ended(desk: Desk, job: ConnectorJob, finish: FinishJob, patience: timedelta) -> bool:
    entries = desk.table.users_of(job.batch_id)
    answer: Answer | None = Answer()
    if entries:
        desk.check()
        users = [User(entry.user_id, platform_id=entry.platform_id) for entry in entries]
        answer = desk.platform.follow(job.job, users)
    if answer is None:
        if desk.session.clock() - job.submitted_at < patience:
            return False
        finish(job.id, "lost")
        return True
    desk.record(_answered(desk, entries, answer))
    refused_all = bool(entries) and len(answer.rejected) == len(entries)
    finish(job.id, "failed" if refused_all else "succeeded")
    return True


def _answered(desk: Desk, entries: Sequence[Entry], answer: Answer) -> list[Entry]:
    now = desk.session.clock()
    return [
        outcome_of(
            entry.user_id,
            "add",
            answer,
            attempts=entry.attempts,
            present_if_refused=int(entry.present == 1),
            platform_id=entry.platform_id,
            settled_at=entry.retry_at,
            now=now,
        )
        for entry in entries
    ]
