"""Files of members that somebody asked for. Each method is one transaction."""

from __future__ import annotations

from segops_orchestration.catalog.transactions import Transactions


class ExportRequests:
    """Files of members that somebody asked for; ``Catalog.service.exports``."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
