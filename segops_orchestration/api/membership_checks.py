"""Membership checks, answered for many callers at a time: one query to the warehouse and one to the catalogue."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from fastapi import FastAPI, Request

from segops_orchestration.api.gate import key_refused
from segops_orchestration.api.known_keys import KnownKeys
from segops_orchestration.api.services import Services
from segops_orchestration.api.together import Together
from segops_orchestration.catalog.checks import NamedSegment


@dataclass(frozen=True)
class Check:
    """Which segments is the user in; ``segment_id`` is one to tell of even if the user is not in it.

    ``key_id`` is the key that asks. It may have been found in memory, so it is looked for once more.
    """

    user_id: str
    segment_id: int | None
    key_id: int | None


@dataclass(frozen=True)
class Checked:
    """The answer.

    Attributes:
        entered: the segments that the user is in, by id, each with the instant of the computation that let them in.
        segments: the active ones among those and the one that was asked for, by slug.
    """

    entered: dict[int, datetime]
    segments: list[NamedSegment]


class MembershipChecks:
    """Of one serving process. Made in its event loop."""

    def __init__(self, services: Services, keys: KnownKeys) -> None:
        self._services = services
        self._keys = keys
        self.together: Together[Check, Checked] = Together(self._answer)

    def _answer(self, tenant: str, checks: Sequence[Check]) -> list[Checked | Exception]:
        entered = self._entered(tenant, {check.user_id for check in checks})
        segments = {segment for one in entered.values() for segment in one}
        segments |= {check.segment_id for check in checks if check.segment_id is not None}
        keys = {check.key_id for check in checks if check.key_id is not None}
        state = self._services.catalog.service.checks.state(tenant, keys, segments)
        self._keys.forget(keys - state.working_keys)
        answers: list[Checked | Exception] = []
        for check in checks:
            if check.key_id is not None and check.key_id not in state.working_keys:
                answers.append(key_refused())
                continue
            mine = entered.get(check.user_id, {})
            named = [one for one in state.segments if one.id in mine or one.id == check.segment_id]
            answers.append(Checked(mine, named))
        return answers

    def _entered(self, tenant: str, user_ids: set[str]) -> dict[str, dict[int, datetime]]:
        lookup = self._services.lookup(tenant)
        entered = lookup.segments_of_users(user_ids)
        # Only an id that is in no segment may have been joined to another one.
        roots = self._services.canonical_ids(tenant).of_joined(missing) if (missing := user_ids - set(entered)) else {}
        if roots:
            theirs = lookup.segments_of_users(set(roots.values()))
            entered |= {user_id: theirs[root] for user_id, root in roots.items() if root in theirs}
        return entered


@asynccontextmanager
async def checks_lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Membership checks while the application runs."""
    checks = app.state.membership_checks = MembershipChecks(app.state.services, app.state.known_keys)
    try:
        yield
    finally:
        await checks.together.close()


def checks_of(request: Request) -> MembershipChecks:
    """The membership checks of the application that answers."""
    checks: MembershipChecks = request.app.state.membership_checks
    return checks
