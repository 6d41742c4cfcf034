"""A bound on what one tenant may do at a time, so that nobody's heavy questions keep the others waiting."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from segops_orchestration.api.errors import ApiError

_RETRY_SECONDS = 2


class Slots:
    """So many pieces of work of one kind at a time for each tenant, in this process."""

    def __init__(self, what: str, per_tenant: int) -> None:
        self._what = what
        self._per_tenant = per_tenant
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def taken(self, tenant: str) -> Iterator[None]:
        """Hold one of the tenant's slots. Raises ApiError 429 when none is free."""
        with self._lock:
            if self._taken[tenant] >= self._per_tenant:
                detail = (
                    f"{self._per_tenant} {self._what} of this tenant are under way; try again when one has finished"
                )
                raise ApiError(429, detail, headers={"Retry-After": str(_RETRY_SECONDS)})
            self._taken[tenant] += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken[tenant] -= 1
                if not self._taken[tenant]:
                    del self._taken[tenant]


# Searches, explanations and tried events: each may take as much of the warehouse as a query may, for many seconds.
user_looks = Slots("looks at users", per_tenant=4)
