"""What events of a type look like. Each method is one transaction."""

from __future__ import annotations

from segops_orchestration.catalog.transactions import Transactions


class EventSchemas:
    """What events of a type look like; ``Catalog.service.event_schemas``."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
