"""Computations that somebody asked for. Each method is one transaction."""

from __future__ import annotations

from segops_orchestration.catalog.transactions import Transactions


class ComputeRequests:
    """Computations that somebody asked for; ``Catalog.service.computations``."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
