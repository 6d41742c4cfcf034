"""The door to a tenant's notices: each method is one transaction and answers with frozen records."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from segops_orchestration.catalog import audit, endpoints, outbox, tenants
from segops_orchestration.catalog.people_records import Actor
from segops_orchestration.catalog.secret_box import SecretBox, SecretKeyError
from segops_orchestration.catalog.transactions import Transactions
from segops_orchestration.catalog.webhook_records import (
    EVENT_TYPES,
    ClaimedMessage,
    Endpoint,
    EndpointStatus,
    Message,
    MessageStatus,
)


class WebhookCatalog:
    """Endpoints and the messages to them; ``Catalog.webhooks``.

    Any method raises ``NotFound`` for a tenant or endpoint that does not exist.
    """

    def __init__(self, transactions: Transactions, secrets: SecretBox | None) -> None:
        self._transactions = transactions
        self._secrets = secrets

    # Endpoints

    def create(
        self,
        tenant: str,
        url: str,
        secret: str,
        event_types: Sequence[str] = EVENT_TYPES,
        *,
        actor: Actor | None = None,
    ) -> Endpoint:
        """Have an address told what is committed from now on. Raises Conflict, InvalidDocument, SecretKeyError."""
        sealed = self._box().seal(secret)
        with self._transactions.write() as (session, now):
            endpoint = endpoints.create(session, tenant, url, sealed, event_types, now)
            _note(session, actor, "webhook.create", endpoint, now)
            return endpoint

    def change(
        self,
        tenant: str,
        endpoint_id: int,
        *,
        url: str | None = None,
        secret: str | None = None,
        event_types: Sequence[str] | None = None,
        status: EndpointStatus | None = None,
        actor: Actor | None = None,
    ) -> Endpoint:
        """Change what is not None, all or nothing. Raises Conflict, InvalidDocument, SecretKeyError."""
        sealed = None if secret is None else self._box().seal(secret)
        with self._transactions.write() as (session, now):
            endpoint = endpoints.change(
                session, tenant, endpoint_id, url=url, sealed=sealed, event_types=event_types, now=now
            )
            if status == "active":
                endpoint = endpoints.enable(session, tenant, endpoint_id, now)
            if status == "disabled":
                reason = "disabled" if actor is None else f"disabled by {actor.name}"
                endpoint = endpoints.disable(session, tenant, endpoint_id, reason, now)
            _note(session, actor, "webhook.update", endpoint, now)
            return endpoint

    def every(self, tenant: str) -> list[Endpoint]:
        """A tenant's endpoints, oldest first."""
        with self._transactions.read() as session:
            return endpoints.every(session, tenant)

    def get(self, tenant: str, endpoint_id: int) -> Endpoint:
        """One endpoint."""
        with self._transactions.read() as session:
            return endpoints.get(session, tenant, endpoint_id)

    def secret(self, tenant: str, endpoint_id: int) -> str:
        """What an endpoint's messages are signed with. Raises SecretKeyError."""
        with self._transactions.read() as session:
            row = endpoints.find(session, tenant, endpoint_id)
            return self._box().open(row.secret, endpoints.what(row.id))

    def enable(self, tenant: str, endpoint_id: int) -> Endpoint:
        """Take up a disabled endpoint, from now on."""
        with self._transactions.write() as (session, now):
            return endpoints.enable(session, tenant, endpoint_id, now)

    def delete(self, tenant: str, endpoint_id: int, *, actor: Actor | None = None) -> Endpoint:
        """Delete an endpoint with all its messages."""
        with self._transactions.write() as (session, now):
            endpoint = endpoints.remove(session, tenant, endpoint_id)
            _note(session, actor, "webhook.delete", endpoint, now)
            return endpoint

    def active_tenants(self) -> list[str]:
        """Tenants that have somebody to tell."""
        with self._transactions.read() as session:
            return endpoints.active_tenants(session)

    # Messages

    def write(self, tenant: str) -> int:
        """Write a message for every committed change that has none yet; how many were missing."""
        with self._transactions.read() as session:
            tenants.get(session, tenant)
            if tenant not in endpoints.active_tenants(session):
                return 0
        with self._transactions.write() as (session, now):
            return outbox.write(session, tenant, now)

    def due(self) -> dict[str, datetime]:
        """Active tenants that something is to be told for now, by slug, and since when; two queries for all."""
        with self._transactions.read() as session:
            return outbox.due(session, self._transactions.now(session))

    def claim(
        self, tenant: str | None = None, *, seconds: float = 60, limit: int = 100, but: Collection[int] = ()
    ) -> list[ClaimedMessage]:
        """Take messages that are due, of one tenant or of all; nobody else takes them for ``seconds``.

        ``but`` names endpoints to leave alone. Raises SecretKeyError.
        """
        with self._transactions.write() as (session, now):
            return outbox.claim(session, tenant, self._box().open, now, seconds=seconds, limit=limit, but=but)

    def delivered(self, claimed: ClaimedMessage, answer: int) -> None:
        """The message arrived. Without effect, as the next three, when the claim is over."""
        with self._transactions.write() as (session, now):
            outbox.record(session, claimed, "delivered", now, answer=answer, error=None)

    def failed(self, claimed: ClaimedMessage, answer: int | None, error: str, next_attempt_at: datetime | None) -> None:
        """It did not arrive; without ``next_attempt_at`` it is dead. ``error`` must hold no secret."""
        with self._transactions.write() as (session, now):
            status: MessageStatus = "dead" if next_attempt_at is None else "pending"
            outbox.record(session, claimed, status, now, answer=answer, error=error, next_attempt_at=next_attempt_at)

    def gone(self, claimed: ClaimedMessage, answer: int, error: str) -> None:
        """The receiver wants no more: the message is dead, the endpoint disabled."""
        with self._transactions.write() as (session, now):
            if outbox.record(session, claimed, "dead", now, answer=answer, error=error):
                row = endpoints.find(session, claimed.tenant, claimed.endpoint_id, lock=True)
                endpoints.put_status(row, "disabled", error, now)

    def release(self, claimed: Sequence[ClaimedMessage]) -> None:
        """Give messages back untried."""
        with self._transactions.write() as (session, _):
            for one in claimed:
                outbox.release(session, one)

    def now(self) -> datetime:
        """What time it is for the catalogue."""
        with self._transactions.read() as session:
            return self._transactions.now(session)

    def messages(
        self,
        tenant: str,
        endpoint_id: int | None = None,
        *,
        status: MessageStatus | None = None,
        limit: int = 50,
    ) -> list[Message]:
        """The newest messages first."""
        with self._transactions.read() as session:
            return outbox.messages(session, tenant, endpoint_id=endpoint_id, status=status, limit=limit)

    def redeliver(
        self, tenant: str, message_ids: Sequence[str] | None = None, *, endpoint_id: int | None = None
    ) -> list[Message]:
        """Make messages due now, with all their attempts before them again: these, or all dead ones."""
        with self._transactions.write() as (session, now):
            return outbox.redeliver(session, tenant, message_ids, endpoint_id, now)

    def _box(self) -> SecretBox:
        if self._secrets is None:
            raise SecretKeyError("this catalogue was opened without a key for secrets: open it with Catalog.open")
        return self._secrets


def _note(session: Session, actor: Actor | None, action: str, endpoint: Endpoint, now: datetime) -> None:
    if actor is not None:
        # Not its URL: there may be a token in it.
        audit.note(session, tenants.get(session, endpoint.tenant).id, actor, action, str(endpoint.id), now)
