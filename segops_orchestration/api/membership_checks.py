"""Membership checks, answered for many callers at a time, from memory or by one query to the warehouse."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import FastAPI, Request

from segops_orchestration.api.gate import key_refused
from segops_orchestration.api.known_keys import KnownKeys
from segops_orchestration.api.services import Services
from segops_orchestration.api.together import Together
from segops_orchestration.catalog.checks import CheckedSegment, CheckState
from segops_orchestration.compute.membership_snapshot import Entries


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

    entered: Entries
    segments: list[CheckedSegment]


class MembershipChecks:
    """Of one serving process. Made in its event loop."""

    def __init__(self, services: Services, keys: KnownKeys) -> None:
        self._services = services
        self._keys = keys
        self.together: Together[Check, Checked] = Together(self._answer)

    def _answer(self, tenant: str, checks: Sequence[Check]) -> list[Checked | Exception]:
        keys = {check.key_id for check in checks if check.key_id is not None}
        state = self._services.catalog.service.checks.state(tenant, keys)
        self._keys.forget(keys - state.working_keys)
        entered = self._entered(tenant, {check.user_id for check in checks}, state)
        answers: list[Checked | Exception] = []
        for check in checks:
            if check.key_id is not None and check.key_id not in state.working_keys:
                answers.append(key_refused())
                continue
            mine = entered.get(check.user_id, {})
            named = [one for one in state.segments if one.id in mine or one.id == check.segment_id]
            answers.append(Checked(mine, named))
        return answers

    def _entered(self, tenant: str, user_ids: set[str], state: CheckState) -> dict[str, Entries]:
        """The segments of those of the users who are in any."""
        find = self._finder(tenant, state, len(user_ids))
        entered = find(user_ids)
        # Only an id that is in no segment may have been joined to another one.
        missing = user_ids - entered.keys()
        roots = self._services.canonical_ids(tenant).of_joined(missing) if missing else {}
        if roots:
            theirs = find(set(roots.values()))
            entered |= {user_id: theirs[root] for user_id, root in roots.items() if root in theirs}
        return entered

    def _finder(self, tenant: str, state: CheckState, questions: int) -> Callable[[set[str]], dict[str, Entries]]:
        remembered = self._services.members.of(tenant, state, questions)
        if remembered is None:
            lookup = self._services.lookup(tenant)
            return lambda user_ids: dict(lookup.segments_of_users(user_ids))
        return lambda user_ids: {user: found for user in user_ids if (found := remembered.entries(user))}


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
