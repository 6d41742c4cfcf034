"""The service's ingestion: who sends, what is gathered, and how a group is written."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request

from segops_orchestration.api.gate import key_refused
from segops_orchestration.api.ingest.group_writer import Bounds, GroupWriter
from segops_orchestration.api.ingest.schema_rules import SchemaRules
from segops_orchestration.api.ingest.submission import Submission, Written
from segops_orchestration.api.ingest.writing import write_calls
from segops_orchestration.api.known_keys import KnownKeys
from segops_orchestration.api.services import Services
from segops_orchestration.catalog.ingestion import SchemaStamp

_TENANTS_KEPT = 1000


class Ingestion:
    """Of one serving process. Made in its event loop."""

    def __init__(self, services: Services, keys: KnownKeys, bounds: Bounds | None = None) -> None:
        self.writer: GroupWriter[Submission, Written] = GroupWriter(self._write, bounds or Bounds())
        self._services = services
        self._keys = keys
        services.metrics.watch_queue(self.writer.waiting_events, self.writer.waiting_bytes)
        self._schemas: OrderedDict[str, tuple[SchemaStamp, SchemaRules]] = OrderedDict()
        self._schemas_lock = threading.Lock()

    def _write(self, tenant: str, calls: Sequence[Submission]) -> list[Written | Exception]:
        """Write a group: the calls of keys that still work, now that they are here."""
        asked = {call.key_id for call in calls if call.key_id is not None}
        state = self._services.catalog.service.ingestion.state(tenant, asked)
        working = state.working_keys if state.active else frozenset()
        self._keys.forget(asked - working)
        welcome = [call for call in calls if state.active and (call.key_id is None or call.key_id in working)]
        schemas = self._schemas_of(tenant, state.schemas)
        outcomes = write_calls(self._services.database(tenant), welcome, schemas) if welcome else []
        self._count(outcomes)
        written = iter(outcomes)
        kept = set(map(id, welcome))
        return [next(written) if id(call) in kept else key_refused() for call in calls]

    def _count(self, outcomes: Sequence[Written | Exception]) -> None:
        done = [outcome for outcome in outcomes if isinstance(outcome, Written)]
        self._services.metrics.events(sum(one.queued for one in done), sum(one.skipped for one in done))

    def _schemas_of(self, tenant: str, stamp: SchemaStamp) -> SchemaRules:
        """The tenant's schemas, read again when their stamp has changed."""
        with self._schemas_lock:
            known = self._schemas.get(tenant)
        if known is not None and known[0] == stamp:
            return known[1]
        rules = SchemaRules(self._services.catalog.service.event_schemas.every(tenant))
        with self._schemas_lock:
            self._schemas[tenant] = (stamp, rules)
            self._schemas.move_to_end(tenant)
            if len(self._schemas) > _TENANTS_KEPT:
                self._schemas.popitem(last=False)
        return rules


@asynccontextmanager
async def ingestion_lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Ingestion while the application runs; in the end, what waits is written."""
    ingestion = app.state.ingestion = Ingestion(app.state.services, app.state.known_keys)
    try:
        yield
    finally:
        await ingestion.writer.close()


def ingestion_of(request: Request) -> Ingestion:
    """The ingestion of the application that answers."""
    ingestion: Ingestion = request.app.state.ingestion
    return ingestion
