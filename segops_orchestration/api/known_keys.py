"""Secret keys that were looked up, by their hash: whoever uses one asks again before it has an effect."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Collection

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from segops_orchestration.api.gate import TENANT_HEADER, Scope, credentials, resolve
from segops_orchestration.api.origins import refuse_pages
from segops_orchestration.api.services import services_of
from segops_orchestration.catalog.api_keys import key_hash

_KEPT = 10_000
_KEPT_SECONDS = 60.0


class KnownKeys:
    """Remembers scopes by their secret key; a role that is changed shows after a minute, a revocation at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[float, Scope]] = OrderedDict()

    def get(self, key: str) -> Scope | None:
        """The scope of this key, if it is known."""
        found = self._known.get(key_hash(key))
        return None if found is None or found[0] < time.monotonic() else found[1]

    def remember(self, key: str, scope: Scope) -> None:
        """The key was looked up just now."""
        with self._lock:
            self._known[key_hash(key)] = (time.monotonic() + _KEPT_SECONDS, scope)
            self._known.move_to_end(key_hash(key))
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)

    def forget(self, key_ids: Collection[int]) -> None:
        """These keys do not work any more."""
        if not key_ids:
            return
        with self._lock:
            for hashed, (_, scope) in list(self._known.items()):
                if scope.caller.key is not None and scope.caller.key.id in key_ids:
                    del self._known[hashed]


async def known_scope(request: Request) -> Scope:
    """``resolve`` without a look into the catalogue for secret keys that are known.

    For routes that ask for the key once more before it has an effect.
    """
    scheme, token = credentials(request)
    if scheme != "apikey":
        return await run_in_threadpool(resolve, request)
    keys: KnownKeys = request.app.state.known_keys
    known = keys.get(token)
    if known is None or _names_a_tenant(request):
        scope = await run_in_threadpool(resolve, request)
        keys.remember(token, scope)
        return scope
    refuse_pages(request)
    services = services_of(request)
    key = known.caller.key
    assert key is not None
    services.limits.spend(f"key {key.id}")
    services.key_use.note(key.id)
    return known


def _names_a_tenant(request: Request) -> bool:
    return TENANT_HEADER in request.headers or "tenant" in request.query_params
