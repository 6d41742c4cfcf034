"""The way from a request for a computation to its end, by whoever computes it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from segops_orchestration.api.errors import ApiError
from segops_orchestration.api.runs.graphql import DagsterWebserver
from segops_orchestration.api.runs.queue import DagsterQueue, NoDaemon
from segops_orchestration.api.runs.work import PENDING, LaunchFailed, Work
from segops_orchestration.api.runs.worker import SIGN_OF_LIFE_SECONDS
from segops_orchestration.api.runs.workers import Workers
from segops_orchestration.catalog.compute_requests import ComputeRequests, Underway
from segops_orchestration.catalog.people_records import Actor
from segops_orchestration.catalog.records import Mode, Segment
from segops_orchestration.catalog.service_records import ComputeRequest, Launcher
from segops_orchestration.errors import SegOpsError
from segops_orchestration.settings import Settings

# No sign of life for so long: the worker, or the service in which the request waited, is dead.
SILENT_FOR = timedelta(seconds=60)
_LOOK_SECONDS = SIGN_OF_LIFE_SECONDS
# Each look into the queue is a process of its own.
_QUEUE_LOOKS = 3
_LAUNCH_SECONDS = 30.0
_POLL_SECONDS = 0.1
_ENDED = {"FAILURE": "the run failed in Dagster", "CANCELED": "the run was cancelled in Dagster"}
_UNKNOWN = "Dagster does not know the run any more"
# Nobody could ask Dagster for so long: the service runs without it now, or it is gone.
UNREACHABLE_FOR = timedelta(minutes=15)
_UNREACHABLE = "Dagster could not be reached, so it is not known how the run went; ask again"
_CLOSE_SECONDS = 5.0

_log = logging.getLogger("segops.api.runs")


class Runs:
    """Begins computations that callers ask for, and sees to it that each request ends.

    By Dagster's webserver when one is configured, else by the queue of Dagster's instance when that has a daemon, else
    in a worker process.
    """

    def __init__(self, settings: Settings, requests: ComputeRequests) -> None:
        self._requests = requests
        self._webserver = DagsterWebserver(settings.dagster_url) if settings.dagster_url else None
        self._queue = DagsterQueue(settings)
        self._workers = Workers(settings, requests)
        self._stop = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="segops-runs", daemon=True)
        self._putting: set[str] = set()
        began = time.monotonic()
        self._answered: dict[Launcher, float] = {"graphql": began, "queue": began}

    def start(self) -> None:
        """Begin to look after requests, those of earlier services too."""
        self._keeper.start()

    def close(self) -> None:
        """Begin with nothing more. Processes that compute go on."""
        self._stop.set()
        self._workers.close()
        if self._keeper.ident is not None:
            # It may be waiting for Dagster; nothing is lost when it is left behind.
            self._keeper.join(_CLOSE_SECONDS)

    def begin(self, tenant: str, segment: Segment, mode: Mode, actor: Actor) -> str:
        """Have a segment computed; returns the run's id.

        Raises:
            ApiError: 409 with the id of the run that is under way, 503 when Dagster cannot be reached.
            NotFound, Conflict: no such segment, or it is archived.
        """
        launcher = self._launcher()
        run_id = f"{PENDING}{uuid4()}" if launcher == "graphql" else str(uuid4())
        try:
            request = self._requests.begin(tenant, segment.id, run_id, launcher, actor)
        except Underway as error:
            raise self._refusal(error) from None
        work = Work(tenant, segment.slug, mode)
        if launcher == "graphql":
            return self._launch(request, work)
        if launcher == "queue":
            self._putting.add(run_id)
            threading.Thread(target=self._put, args=(request, work), name="segops-queue", daemon=True).start()
        else:
            self._workers.put(run_id, work)
        return run_id

    def _launcher(self) -> Launcher:
        if self._webserver is not None:
            return "graphql"
        return "queue" if self._queue.configured() else "worker"

    def _refusal(self, error: Underway) -> ApiError:
        """409, with an id that lasts: one that Dagster is just giving is waited for."""
        deadline = time.monotonic() + _LAUNCH_SECONDS
        run_id = error.run_id
        while run_id.startswith(PENDING) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            now = self._requests.by_id(error.request_id)
            if now is None or now.status == "failed":
                break
            run_id = now.run_id
        detail = f"the segment is being computed already, by run {run_id}; try again when it has ended"
        return ApiError(409, detail, extra={"run_id": run_id})

    def _launch(self, request: ComputeRequest, work: Work) -> str:
        assert self._webserver is not None
        try:
            run_id = self._webserver.launch(work)
        except LaunchFailed as error:
            self._requests.finish(request.run_id, "failed", str(error))
            _log.error("%s/%s: %s (%s)", work.tenant, work.slug, error, error.__cause__)
            raise ApiError(503, str(error), headers={"Retry-After": "5"}) from None
        self._requests.launched(request.id, run_id, "graphql")
        return run_id

    def _put(self, request: ComputeRequest, work: Work) -> None:
        run_id = request.run_id
        try:
            self._queue.put(run_id, work)
        except NoDaemon:
            _log.warning("no daemon takes runs from Dagster's queue: %s is computed by a worker process", run_id)
            if self._requests.launched(request.id, run_id, "worker"):
                self._workers.put(run_id, work)
        except LaunchFailed as error:
            _log.error("run %s: %s", run_id, error)
            self._requests.finish(run_id, "failed", str(error))
        finally:
            self._putting.discard(run_id)

    def _keep(self) -> None:
        looks = 0
        while not self._stop.wait(_LOOK_SECONDS):
            looks += 1
            try:
                self.look(queue=looks % _QUEUE_LOOKS == 0)
            except SegOpsError as error:
                # The catalogue is out of reach; the next look is soon.
                _log.warning("runs: %s", error)
            except Exception:  # noqa: BLE001  # Without its keeper no request would ever end.
                _log.exception("runs: unforeseen error")

    def look(self, *, queue: bool = True) -> None:
        """See how the unfinished requests stand, and end those that have ended or will never end."""
        ours = [*self._workers.waiting(), *self._putting]
        if ours:
            self._requests.alive(ours)
        if not self._requests.unfinished():
            return
        self._requests.settle_by_ledger()
        self._requests.give_up(SILENT_FOR, "its worker process, or the service, died", launchers=["worker"])
        self._requests.give_up(
            SILENT_FOR, "the service died while it was launched", launchers=["graphql"], prefix=PENDING
        )
        left = self._requests.unfinished()
        if self._webserver is not None:
            self._settle("graphql", left, self._webserver.statuses)
        if queue:
            self._settle("queue", left, self._queue.statuses)
        for launcher, answered in self._answered.items():
            if time.monotonic() - answered > UNREACHABLE_FOR.total_seconds():
                self._requests.give_up(UNREACHABLE_FOR, _UNREACHABLE, launchers=[launcher])

    def _settle(
        self,
        launcher: Launcher,
        requests: Sequence[ComputeRequest],
        ask: Callable[[Sequence[str]], dict[str, str]],
    ) -> None:
        asked = {
            one.run_id: one
            for one in requests
            if one.launcher == launcher and not one.run_id.startswith(PENDING) and one.run_id not in self._putting
        }
        if not asked:
            self._answered[launcher] = time.monotonic()
            return
        try:
            statuses = ask(list(asked))
        except LaunchFailed as error:
            _log.warning("runs: %s", error)
            return
        self._answered[launcher] = time.monotonic()
        # Those that Dagster knows are not lost; for one that another service is just putting in, that service says so.
        self._requests.alive([run_id for run_id in asked if run_id in statuses])
        for run_id, request in asked.items():
            status = statuses.get(run_id)
            if status is None and datetime.now(UTC) - request.updated_at <= SILENT_FOR:
                # Another service may just be putting it into the queue.
                continue
            if status == "SUCCESS":
                self._requests.finish(run_id, "succeeded")
            elif status is None or status in _ENDED:
                self._requests.finish(run_id, "failed", _UNKNOWN if status is None else _ENDED[status])
            elif status in ("STARTED", "STARTING", "CANCELING"):
                self._requests.running(run_id)
