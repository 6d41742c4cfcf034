"""Requests that may be repeated: ``Idempotency-Key`` makes a retry of a POST answer as the first did.

A route takes ``once: Once`` and lets it answer::

    @router.post("/", status_code=201, responses=errors(409))
    def create(scope: Writer, body: NewSegment, once: Once) -> Segment:
        return once.answer(scope, body, lambda attempt: made_segment(scope, body), status=201)

Without the header the work is simply done. With it:

- the answer is kept for 24 hours, and a retry gets it again, marked ``Idempotent-Replayed: true``;
- the same key with another body is 409, and so is a retry while the first is still being answered (``Retry-After``);
- when the work fails, nothing is kept and a retry does the work again.

A process may die after the work and before the answer is kept. The retry, once the lease of the first attempt is over,
then does the work a second time: work that must not happen twice either refuses by a rule of its own (a slug that
exists), or takes its ids and times from the attempt (``attempt.first_seen``, ``attempt.seed``), which are the same in
every attempt under one key. Not for answers that hold a secret: they are kept as they are.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar, cast

from fastapi import Depends, Header, Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse

from segops_orchestration.api.errors import ApiError, FieldErrors
from segops_orchestration.api.gate import Scope
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.idempotency import Claim, StillAnswering
from segops_orchestration.errors import CatalogueError, SegOpsError, WarehouseError

KEY_HEADER = "Idempotency-Key"
REPLAYED = {"Idempotent-Replayed": "true"}
_LEASE = timedelta(seconds=60)
_ROUTE_CHARACTERS = 200
_KEY = re.compile(r"[\x21-\x7e]{1,200}")

T = TypeVar("T")


@dataclass(frozen=True)
class Attempt:
    """One attempt at a request.

    Attributes:
        first_seen: when the request came, the first time.
        seed: the same bytes in every attempt under one key, to derive ids from; None without a key.
    """

    first_seen: datetime
    seed: bytes | None = None


@dataclass(frozen=True)
class OnceOnly:
    """The request's Idempotency-Key, if it has one, and where it was sent."""

    route: str
    key: str | None

    def answer(
        self, scope: Scope, body: Any, work: Callable[[Attempt], T], *, status: int = 200, lease: timedelta = _LEASE
    ) -> T:
        """Do the work, or give the answer it gave before.

        Args:
            body: what the work depends on beside the path and query; anything that FastAPI can write as JSON.
            status: of the answer when the work succeeds, the same as the route's.

        Returns:
            What the work returned; or, typed alike so that the route's annotation stays true, a whole response.

        Raises:
            ApiError: 409, see above; and whatever the work raises.
        """
        if self.key is None:
            return work(Attempt(datetime.now(UTC)))
        catalog, tenant = scope.catalog.whole, scope.tenant
        claim = self.claim(catalog, tenant, digest(body), lease)
        if claim.status is not None:
            return cast(T, replayed(claim))
        try:
            done = work(attempt_of(tenant, claim))
        except BaseException as error:
            catalog.service.idempotency.release(tenant, claim, nothing_done=refuses(error))
            raise
        catalog.service.idempotency.answer(tenant, claim, *_kept(done, status))
        return done

    def claim(self, catalog: Catalog, tenant: str, request_hash: str, lease: timedelta) -> Claim:
        """Take the key, which there must be. Raises ApiError 409 with Retry-After, or Conflict."""
        assert self.key is not None
        try:
            return catalog.service.idempotency.claim(tenant, self.route, self.key, request_hash, lease)
        except StillAnswering as error:
            raise ApiError(409, str(error), headers={"Retry-After": "1"}) from None


def _kept(done: object, status: int) -> tuple[int, str]:
    if isinstance(done, JSONResponse):
        return done.status_code, bytes(done.body).decode()
    return status, json.dumps(jsonable_encoder(done))


def digest(body: Any) -> str:
    """A request's body as a hash: equal for equal JSON, in whatever order its members are."""
    try:
        text = json.dumps(jsonable_encoder(body), sort_keys=True, separators=(",", ":"))
    except (ValueError, RecursionError):
        # Pydantic writes no more than 255 levels, Python hardly more.
        raise ApiError(400, "the body is nested too deeply") from None
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def replayed(claim: Claim) -> JSONResponse:
    """The answer that was given before."""
    return JSONResponse(json.loads(claim.response or "null"), claim.status or 200, REPLAYED)


def attempt_of(tenant: str, claim: Claim) -> Attempt:
    """The attempt under a claim. A key that came back after it was forgotten is another request."""
    when = claim.first_seen.isoformat()
    text = "\n".join(("segops idempotency", tenant, claim.route, claim.key, when))
    return Attempt(claim.first_seen, hashlib.sha256(text.encode()).digest())


def refuses(error: BaseException) -> bool:
    """Whether an error of the work says that it did nothing."""
    if isinstance(error, ApiError):
        return error.status < 500
    return isinstance(error, FieldErrors) or (
        # Stores that went away may have done it all the same.
        isinstance(error, SegOpsError) and not isinstance(error, WarehouseError | CatalogueError)
    )


async def _once(
    request: Request,
    key: Annotated[
        str | None,
        Header(
            alias=KEY_HEADER,
            min_length=1,
            max_length=200,
            pattern=r"^[\x21-\x7e]+$",
            description="A retry with the same key is answered as the first was, and does nothing again (24 hours).",
        ),
    ] = None,
) -> OnceOnly:
    return OnceOnly(_route(request), key)


def once_of(request: Request) -> OnceOnly:
    """What ``Once`` gives, for a route that does without FastAPI's dependencies."""
    key = request.headers.get(KEY_HEADER)
    if key is None:
        return OnceOnly("", None)
    if not _KEY.fullmatch(key):
        raise FieldErrors({KEY_HEADER: ["must be 1 to 200 printable ASCII characters without blanks"]})
    return OnceOnly(_route(request), key)


def _route(request: Request) -> str:
    """Method, path and query: short ones as they are, others as their hash."""
    query = request.url.query
    text = f"{request.method} {request.scope['path']}{'?' + query if query else ''}"
    if len(text) <= _ROUTE_CHARACTERS and text.isascii() and text.isprintable():
        return text
    return f"{request.method} #{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()}"


Once = Annotated[OnceOnly, Depends(_once)]
