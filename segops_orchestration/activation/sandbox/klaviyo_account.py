"""What a pretended Klaviyo account holds: profiles found by three identifiers, lists, and jobs that take their time."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_IDENTIFIERS = ("external_id", "email", "phone_number")
_E164 = re.compile(r"\+[1-9]\d{6,14}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")


@dataclass
class Job:
    """One import. ``errors`` is by position in ``rows``; ``imported`` are profile ids.

    When it has ended only the rows with errors are kept: a sandbox can serve for long.
    """

    id: str
    rows: Sequence[Mapping[str, Any]]
    total: int
    lists: Sequence[str]
    ends_at: float
    status: str = "queued"
    stops_after: int | None = None
    spoiled: dict[int, str] = field(default_factory=dict)
    errors: dict[int, tuple[str, str]] = field(default_factory=dict)
    imported: set[str] = field(default_factory=set)
    completed: int = 0
    failed_rows: dict[int, Mapping[str, Any]] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As the API shows it."""
        attributes = {
            "status": self.status,
            "total_count": self.total,
            "completed_count": self.completed,
            "failed_count": len(self.errors),
        }
        return {"type": "profile-bulk-import-job", "id": self.id, "attributes": attributes}

    def error_document(self, at: int, *, named: bool) -> dict[str, Any]:
        """One failed row; without its name when ``named`` is false."""
        code, detail = self.errors[at]
        attributes = {
            "code": code,
            "title": "Invalid input.",
            "detail": detail,
            "source": {"pointer": f"/data/attributes/profiles/data/{at}/attributes"} if named else {},
            "original_payload": dict(self.failed_rows[at]) if named else None,
        }
        return {"type": "import-error", "id": f"{self.id}-{at}", "attributes": attributes}


class Account:
    """Not for threads: its sandbox's lock stands before it."""

    def __init__(self, clock: Callable[[], float], lists: Sequence[str]) -> None:
        self._clock = clock
        self.lists: dict[str, set[str]] = {name: set() for name in lists}
        self.profiles: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, Job] = {}
        self._by: dict[str, dict[str, str]] = {name: {} for name in _IDENTIFIERS}
        self._open: list[Job] = []

    def external_ids(self, name: str) -> set[str]:
        """Of a list's members; a profile without one by its own id."""
        return {self.profiles[profile].get("external_id") or profile for profile in self.lists[name]}

    def find(self, identifier: str, values: Sequence[str]) -> list[str]:
        """Profile ids by any identifier."""
        if identifier == "id":
            return sorted(value for value in values if value in self.profiles)
        index = self._by[identifier]
        return sorted({index[value] for value in values if value in index})

    def profile_document(self, profile: str) -> dict[str, Any]:
        """As the API shows it."""
        return {"type": "profile", "id": profile, "attributes": self.profiles[profile]}

    def submit(self, rows: Sequence[Mapping[str, Any]], lists: Sequence[str], seconds: float) -> Job:
        """A job that will be carried out when its time has come."""
        job = Job(f"job-{len(self.jobs) + 1}", rows, len(rows), lists, self._clock() + seconds)
        self.jobs[job.id] = job
        self._open.append(job)
        return job

    def settle(self) -> None:
        """Carry out the jobs whose time has come, in the order of their ends."""
        for job in sorted(self._open, key=lambda job: job.ends_at):
            if job.ends_at > self._clock():
                job.status = "processing"
                continue
            self._carry_out(job)
            job.failed_rows = {at: job.rows[at] for at in job.errors}
            job.rows = ()
            self._open.remove(job)

    def upsert(self, row: Mapping[str, Any]) -> str:
        """Make or update the profile of a row; its id.

        Raises:
            ValueError: an identifier is malformed, or they belong to different profiles.
        """
        if row.get("email") and not _EMAIL.fullmatch(row["email"]):
            raise ValueError(f"invalid: {row['email']} is not an email address")
        if row.get("phone_number") and not _E164.fullmatch(row["phone_number"]):
            raise ValueError(f"invalid: {row['phone_number']} is not a phone number in E.164 format")
        found = {self._by[name][row[name]] for name in _IDENTIFIERS if row.get(name) in self._by[name]}
        if len(found) > 1:
            raise ValueError("duplicate_profile: the identifiers belong to different profiles")
        profile = found.pop() if found else f"01{len(self.profiles):024d}"
        attributes = self.profiles.setdefault(profile, {})
        for name in _IDENTIFIERS:
            if row.get(name):
                if attributes.get(name):
                    self._by[name].pop(attributes[name], None)
                attributes[name] = row[name]
                self._by[name][row[name]] = profile
        return profile

    def _carry_out(self, job: Job) -> None:
        for at, row in enumerate(job.rows):
            if at == job.stops_after:
                job.status = "cancelled"
                return
            if at in job.spoiled:
                job.errors[at] = ("invalid", job.spoiled[at])
                continue
            try:
                profile = self.upsert(row)
            except ValueError as error:
                code, _, detail = str(error).partition(": ")
                job.errors[at] = (code, detail)
                continue
            job.imported.add(profile)
            job.completed += 1
            for name in job.lists:
                self.lists.get(name, set()).add(profile)
        job.status = "complete"
