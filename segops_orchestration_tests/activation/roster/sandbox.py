"""The pretended platform: a set of members, and every change that was made to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from segops_orchestration.activation.limiter import Rate
from segops_orchestration.activation.sandbox.sandbox import Refusal, Request, Response, Sandbox, Window

MOST_USERS = 1_000


class RosterSandbox(Sandbox):
    """``POST /add`` and ``POST /remove`` with ``{"batch", "users"}``; ``GET /members``; ``GET /jobs/{id}``.

    With ``jobs`` an add is accepted at once and carried out when somebody has asked for it so many times.
    """

    type = "roster"
    own_kinds: ClassVar[Mapping[str, str]] = {
        "reject": "these `users` are refused one by one, with `reason`",
        "unreadable": "the answer about these `users` cannot be read; they are taken",
        "poison": "400 for a batch with one of these `users`, without saying who",
        "blame": "400 for a batch with one of these `users`, saying who",
        "closed": "403",
        "late": "no answer, and it takes effect when ``catch_up`` is called",
    }

    def __init__(self, *, jobs: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.people: set[str] = set()
        self.changes: list[tuple[str, str]] = []
        self.batches: list[tuple[str, str, tuple[str, ...]]] = []
        self.jobs = jobs
        self.work: dict[str, list[Any]] = {}
        self.late: list[tuple[str, Sequence[str]]] = []

    def members(self) -> set[str]:
        return set(self.people)

    def call_name(self, request: Request) -> str:
        return request.path.split("/")[1]

    def limits(self, call: str) -> Sequence[Rate]:
        return ()

    def too_many(self, wait: float | None, window: Window | None) -> Response:
        return Response(429, {"message": "too many"}, {} if wait is None else {"Retry-After": f"{wait:g}"})

    def failure(self, status: int, message: str) -> Response:
        return Response(status, {"message": message})

    def handle(self, request: Request) -> Response:
        if self.told("closed", request):
            raise Refusal(self.failure(403, "this roster is closed"))
        if request.call == "GET /members":
            return Response(200, {"members": sorted(self.people)})
        if request.path.startswith("/jobs/"):
            return self._job(request)
        if request.call not in ("POST /add", "POST /remove"):
            raise Refusal(self.failure(404, "no such call"), f"no such call: {request.call}")
        document = request.json()
        users = document["users"]
        if not 0 < len(users) <= MOST_USERS or len(set(users)) < len(users):
            raise Refusal(self.failure(400, "not 1 to 1,000 different users"), f"{len(users)} users in a batch")
        action = request.path.strip("/")
        self.batches.append((action, document["batch"], tuple(users)))
        return self._change(request, action, users)

    def _change(self, request: Request, action: str, users: Sequence[str]) -> Response:
        if (told := self.told("poison", request)) and set(told.option("users", ())) & set(users):
            raise Refusal(self.failure(400, "there is something wrong with this batch"))
        if (told := self.told("blame", request)) and (bad := set(told.option("users", ())) & set(users)):
            raise Refusal(Response(400, {"message": "bad users", "users": dict.fromkeys(sorted(bad), "bad")}))
        if self.told("late", request):
            self.late.append((action, users))
            return Response(504, {"message": "no answer from behind"})
        told = self.told("reject", request)
        reason = told.option("reason", "not liked") if told else ""
        rejected = {user: reason for user in users if told and user in told.option("users", ())}
        unreadable = self.told("unreadable", request)
        unknown = [user for user in users if unreadable and user in unreadable.option("users", ())]
        taken = [user for user in users if user not in rejected]
        if action == "add" and self.jobs is not None:
            job = f"job {len(self.work) + 1}"
            self.work[job] = [self.jobs, taken, rejected]
            return Response(202, {"job": job})
        self._apply(action, taken)
        return Response(200, {"rejected": rejected, "unknown": unknown})

    def catch_up(self) -> None:
        """Let take effect what has been late."""
        with self.lock:
            for action, users in self.late:
                self._apply(action, users)
            self.late.clear()

    def _job(self, request: Request) -> Response:
        work = self.work.get(request.path.removeprefix("/jobs/").replace("%20", " "))
        if work is None:
            raise Refusal(self.failure(404, "no such job"))
        work[0] -= 1
        if work[0] >= 0:
            return Response(200, {"done": False})
        self._apply("add", work[1])
        work[1] = []
        return Response(200, {"done": True, "rejected": work[2]})

    def _apply(self, action: str, users: Sequence[str]) -> None:
        self.changes += [(action, user) for user in users]
        if action == "add":
            self.people.update(users)
        else:
            self.people.difference_update(users)
