"""Requests that carried an Idempotency-Key, and their answers. Each method is one transaction."""

from __future__ import annotations

from segops_orchestration.catalog.transactions import Transactions


class IdempotencyKeys:
    """Requests that carried an Idempotency-Key, and their answers; ``Catalog.service.idempotency``."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
