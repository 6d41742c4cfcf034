"""The door to what the REST service keeps: schemas, repeated requests, exports, computations asked for."""

from __future__ import annotations

from segops_orchestration.catalog.checks import Checks
from segops_orchestration.catalog.compute_requests import ComputeRequests
from segops_orchestration.catalog.event_schemas import EventSchemas
from segops_orchestration.catalog.export_requests import ExportRequests
from segops_orchestration.catalog.idempotency import IdempotencyKeys
from segops_orchestration.catalog.ingestion import Ingestion
from segops_orchestration.catalog.segment_edits import SegmentEdits
from segops_orchestration.catalog.segment_views import SegmentViews
from segops_orchestration.catalog.transactions import Transactions


class ServiceCatalog:
    """``Catalog.service``; each attribute is a door of its own.

    Attributes:
        event_schemas: what events of a type look like.
        ingestion: what is asked before events are written.
        checks: what is asked before membership checks are answered.
        idempotency: requests that were answered, by their keys.
        exports: files of members that somebody asked for.
        computations: computations that somebody asked for.
        segments: segments as callers change them.
        segment_views: segments as callers see them.
    """

    def __init__(self, transactions: Transactions) -> None:
        self.event_schemas = EventSchemas(transactions)
        self.ingestion = Ingestion(transactions)
        self.checks = Checks(transactions)
        self.idempotency = IdempotencyKeys(transactions)
        self.exports = ExportRequests(transactions)
        self.computations = ComputeRequests(transactions)
        self.segments = SegmentEdits(transactions)
        self.segment_views = SegmentViews(transactions)
