"""The door to connectors: each method is one transaction and answers with frozen records.

With ``lease``, a write happens only while the lease is held, else ConnectorLeaseLost: checked in the same transaction,
so a process that slept through its lease cannot write over its successor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from segops_orchestration.catalog import (
    api_keys,
    audit,
    connector_leases,
    connectors,
    deliveries,
    endpoints,
    holds,
    rates,
    sync_history,
    sync_summary,
    syncs,
    tenants,
)
from segops_orchestration.catalog.connector_records import (
    Connector,
    ConnectorJob,
    ConnectorLease,
    ConnectorSaved,
    ConnectorSpec,
    ConnectorStatus,
    Delivery,
    Hold,
    Sync,
    SyncCounts,
    SyncKind,
)
from segops_orchestration.catalog.connector_tables import ConnectorSecretRow
from segops_orchestration.catalog.people_records import Actor
from segops_orchestration.catalog.secret_box import SecretBox, SecretKeyError
from segops_orchestration.catalog.transactions import Transactions


class ConnectorCatalog:
    """Connectors with their secrets, leases, syncs, jobs and holds; ``Catalog.connectors``.

    Any method raises ``NotFound`` for a tenant or connector that does not exist.
    """

    def __init__(self, transactions: Transactions, secrets: SecretBox | None) -> None:
        self._transactions = transactions
        self._secrets = secrets

    # Connectors

    def create(
        self,
        tenant: str,
        spec: ConnectorSpec,
        secrets: Mapping[str, str] | None = None,
        *,
        status: ConnectorStatus = "active",
        reason: str = "",
        actor: Actor | None = None,
    ) -> Connector:
        """Create a connector, with its secrets encrypted. Raises Conflict, InvalidDocument, SecretKeyError."""
        sealed = self._seal(secrets)
        with self._transactions.write() as (session, now):
            connector = connectors.create(session, tenant, spec, now, status=status, reason=reason)
            connectors.put_secrets(session, connector.id, sealed)
            _note(session, tenant, actor, "connector.create", spec.slug, now)
            return connectors.get(session, tenant, spec.slug)

    def require_free(self, tenant: str, spec: ConnectorSpec) -> None:
        """Find out beforehand that ``create`` would refuse. Raises Conflict, InvalidDocument."""
        with self._transactions.read() as session:
            connectors.require_free(session, tenant, spec)

    def save(
        self,
        tenant: str,
        wanted: Sequence[tuple[ConnectorSpec, Mapping[str, str]]],
        *,
        as_read: Sequence[ConnectorSpec] = (),
        actor: Actor | None = None,
    ) -> list[ConnectorSaved]:
        """Create connectors or bring them to what the specs say, all or none; results in their order.

        Secrets that are not given stay as they are. Raises Conflict also for another type or segment than one has, and
        ChangedMeanwhile when one is not any more as in ``as_read``.
        """
        sealed = [self._seal(secrets) for _, secrets in wanted]
        with self._transactions.write() as (session, now):
            results = []
            for read in as_read:
                connectors.require_as_read(session, tenant, read)
            for (spec, secrets), texts in zip(wanted, sealed, strict=True):
                connector, outcome = connectors.save(session, tenant, spec, now)
                stored = connectors.sealed_secrets(session, connector.id)
                changed = {
                    name: text for name, text in texts.items() if not self._says(stored.get(name), secrets[name])
                }
                connectors.put_secrets(session, connector.id, changed)
                if changed and outcome == "unchanged":
                    outcome = "updated"
                if outcome != "unchanged":
                    verb = "create" if outcome == "created" else "update"
                    _note(session, tenant, actor, f"connector.{verb}", spec.slug, now)
                results.append(ConnectorSaved(connectors.get(session, tenant, spec.slug), outcome))
            return results

    def every(self, tenant: str | None = None, *, segment: str | None = None) -> list[Connector]:
        """Connectors by tenant and slug: of one tenant, of one of its segments, or of all active tenants."""
        with self._transactions.read() as session:
            return connectors.every(session, tenant, segment=segment)

    def get(self, tenant: str, slug: str) -> Connector:
        """One connector."""
        with self._transactions.read() as session:
            return connectors.get(session, tenant, slug)

    def by_id(self, tenant: str, connector_id: int) -> Connector:
        """One connector, by its number."""
        with self._transactions.read() as session:
            return connectors.by_id(session, tenant, connector_id)

    def set_status(
        self,
        tenant: str,
        slug: str,
        status: ConnectorStatus,
        reason: str = "",
        *,
        only_from: Sequence[ConnectorStatus] | None = None,
        lease: ConnectorLease | None = None,
    ) -> Connector:
        """Give the connector a status and say why; nothing happens when it is in none of ``only_from``."""
        with self._write(lease) as (session, now):
            return connectors.set_status(session, tenant, slug, status, reason, only_from, now)

    def pause(self, tenant: str, slug: str, reason: str = "", *, actor: Actor | None = None) -> Connector:
        """Send nothing until ``resume``; changes stay pending. Raises Conflict while it is being deleted."""
        with self._transactions.write() as (session, now):
            _note(session, tenant, actor, "connector.pause", slug, now)
            return holds.pause(session, tenant, slug, reason, now)

    def resume(self, tenant: str, slug: str, *, actor: Actor | None = None) -> Connector:
        """Take up a paused connector, or one with an error. Raises Conflict for one that is held or being deleted."""
        with self._transactions.write() as (session, now):
            _note(session, tenant, actor, "connector.resume", slug, now)
            return holds.resume(session, tenant, slug, now)

    def delete(
        self, tenant: str, slug: str, *, lease: ConnectorLease | None = None, actor: Actor | None = None
    ) -> Connector:
        """Delete a connector with all the catalogue has of it, whatever the platform holds.

        With ``lease``, that lease goes with it; without, raises ConnectorBusy while somebody syncs.
        """
        with self._write(lease) as (session, now):
            if lease is not None:
                connector_leases.release(session, lease)
            _note(session, tenant, actor, "connector.delete", slug, now)
            return connectors.remove(session, tenant, slug, now)

    # Secrets

    def secrets(self, connector: Connector) -> dict[str, str]:
        """A connector's secrets by name, decrypted. Raises SecretKeyError."""
        with self._transactions.read() as session:
            sealed = connectors.sealed_secrets(session, connector.id)
        return {name: self._box().open(text, _what(connector, name)) for name, text in sealed.items()}

    def rotate_secrets(self) -> int:
        """Encrypt every secret with the newest key, also those of webhook endpoints and of public API keys.

        All or none; how many there are.

        Raises SecretKeyError.
        """
        with self._transactions.write() as (session, _):
            rows = session.scalars(
                select(ConnectorSecretRow)
                .order_by(ConnectorSecretRow.connector_id, ConnectorSecretRow.name)
                .with_for_update()
            ).all()
            for row in rows:
                what = f"the secret {row.name} of connector {row.connector_id}"
                row.ciphertext = self._box().seal_again(row.ciphertext, what)
            others = (endpoints.seal_again, api_keys.seal_again)
            return len(rows) + sum(seal_again(session, self._box().seal_again) for seal_again in others)

    # Leases

    def acquire_lease(
        self, tenant: str, slug: str, owner: str, run_id: str | None = None, ttl_seconds: float = 60
    ) -> ConnectorLease:
        """Take the connector's lease, also that of a holder who let it expire. Raises ConnectorBusy."""
        with self._transactions.write() as (session, now):
            return connector_leases.acquire(session, tenant, slug, owner, run_id, ttl_seconds, now)

    def renew_lease(self, lease: ConnectorLease) -> ConnectorLease:
        """Hold the lease for another time to live from now. Raises ConnectorLeaseLost."""
        with self._transactions.write() as (session, now):
            return connector_leases.renew(session, lease, now)

    def release_lease(self, lease: ConnectorLease) -> bool:
        """Give the lease back; False, and nothing changed, if it was no longer ours."""
        with self._transactions.write() as (session, _):
            return connector_leases.release(session, lease)

    def require_lease(self, lease: ConnectorLease) -> None:
        """Refuse to go on without the lease: one short query. Raises ConnectorLeaseLost."""
        with self._transactions.read() as session:
            connector_leases.check(session, lease)

    def lease_holder(self, tenant: str, slug: str) -> ConnectorLease | None:
        """The lease in force on a connector, if any."""
        with self._transactions.read() as session:
            return connector_leases.holder(session, tenant, slug, self._transactions.now(session))

    # Syncs and jobs

    def deliveries(self, tenant: str | None = None) -> list[Delivery]:
        """How far the connectors of a tenant, or of all active ones, are delivered; no warehouse is asked."""
        with self._transactions.read() as session:
            return deliveries.every(session, tenant, self._transactions.now(session))

    def begin_sync(
        self,
        tenant: str,
        slug: str,
        kind: SyncKind,
        *,
        run_id: str | None = None,
        lease: ConnectorLease | None = None,
    ) -> Sync:
        """Write down a sync before any of it happens, with the segment's version and last committed computation.

        With ``lease``, syncs of the connector whose process died before it said so are closed as abandoned.
        """
        with self._write(lease) as (session, now):
            connector = connectors.get(session, tenant, slug)
            return syncs.begin(session, connector, kind, run_id, lease is not None, now)

    def finish_sync(
        self,
        sync_id: int,
        status: syncs.EndedSync,
        counts: SyncCounts | None = None,
        error: str | None = None,
        *,
        lease: ConnectorLease | None = None,
    ) -> Sync:
        """End a sync; one that has ended keeps its first outcome. ``error`` must hold no secret."""
        with self._write(lease) as (session, now):
            return syncs.finish(session, sync_id, status, counts or SyncCounts(), error, now)

    def count_syncs(self, connector: Connector) -> int:
        """How many lines the connector's sync log has."""
        with self._transactions.read() as session:
            return sync_summary.count(session, connector.id)

    def syncs_of(self, connector: Connector, limit: int, offset: int) -> list[Sync]:
        """A page of the connector's sync log, the newest first."""
        with self._transactions.read() as session:
            return sync_summary.page(session, connector, limit, offset)

    def sync_summaries(self, tenant: str, newest: int) -> dict[int, sync_summary.SyncSummary]:
        """By connector: when users were last delivered, and the newest syncs that were to change the audience."""
        with self._transactions.read() as session:
            return sync_summary.every(session, tenants.get(session, tenant).id, newest)

    def list_syncs(
        self, tenant: str, slug: str | None = None, *, kinds: Sequence[SyncKind] | None = None, limit: int = 50
    ) -> list[Sync]:
        """The newest syncs first, of one connector or of all of a tenant; ``kinds`` leaves out all others."""
        with self._transactions.read() as session:
            return syncs.every(session, tenant, slug, kinds=kinds, limit=limit)

    def forget_syncs(self, before: datetime) -> int:
        """Delete syncs that ended before then, with their jobs and holds; how many. What is still of use stays."""
        forgotten = 0
        while True:
            with self._transactions.write() as (session, _):
                some = sync_history.forget(session, before)
            if not some:
                return forgotten
            forgotten += some

    def open_job(self, sync_id: int, batch_id: str, job: str, *, lease: ConnectorLease) -> ConnectorJob:
        """Write down a job that the platform has accepted; twice is once."""
        with self._write(lease) as (session, now):
            return syncs.open_job(session, sync_id, batch_id, job, now)

    def finish_job(self, job_id: int, status: syncs.EndedJob, *, lease: ConnectorLease) -> ConnectorJob:
        """End a job; one that has ended keeps its first outcome."""
        with self._write(lease) as (session, now):
            return syncs.finish_job(session, job_id, status, now)

    def open_jobs(self, connector: Connector) -> list[ConnectorJob]:
        """The jobs of a connector that have not ended, oldest first."""
        with self._transactions.read() as session:
            return syncs.open_jobs(session, connector.id)

    # Holds

    def hold(self, new: holds.NewHold, *, lease: ConnectorLease) -> Hold:
        """Hold a difference until somebody approves it; an earlier hold is superseded, an active connector held."""
        with self._transactions.write() as (session, now):
            return holds.create(session, connector_leases.require(session, lease), new, now)

    def keep_hold(self, hold_id: int, reason: str, *, lease: ConnectorLease) -> Hold:
        """Hold the same difference on, with this reason; one that somebody has approved meanwhile stays approved."""
        with self._transactions.write() as (session, now):
            return holds.keep(session, connector_leases.require(session, lease), hold_id, reason, now)

    def latest_hold(self, connector: Connector) -> Hold | None:
        """The hold that is held or approved and not yet sent, if any."""
        with self._transactions.read() as session:
            return holds.latest(session, connector.id)

    def list_holds(self, connector: Connector, limit: int = 50) -> list[Hold]:
        """The newest holds first."""
        with self._transactions.read() as session:
            return holds.every(session, connector.id, limit)

    def approve_hold(
        self, tenant: str, slug: str, *, adds_only: bool = False, by: str, actor: Actor | None = None
    ) -> Hold:
        """Let what is held go with the next sync; the connector is active again. Raises Conflict if nothing is held."""
        with self._transactions.write() as (session, now):
            _note(session, tenant, actor, "connector.approve", slug, now)
            return holds.approve(session, tenant, slug, adds_only=adds_only, by=by, now=now)

    def release_hold(self, hold_id: int, *, lease: ConnectorLease) -> Hold:
        """The approved difference has been sent."""
        with self._transactions.write() as (session, now):
            return holds.end(session, connector_leases.require(session, lease), hold_id, "released", now)

    def supersede_hold(self, hold_id: int, *, lease: ConnectorLease) -> Hold:
        """Nothing is left of what was held; a connector held for it is active again."""
        with self._transactions.write() as (session, now):
            return holds.end(session, connector_leases.require(session, lease), hold_id, "superseded", now)

    # Rates

    def reserve_permits(self, key: str, per_second: float, permits: int) -> float:
        """Take permits of a rate that all processes share; the seconds until the first of them may be used.

        The others follow at an even pace. What nobody takes is lost: there is no burst.
        """
        with self._transactions.write() as (session, _):
            return rates.reserve(session, key, per_second, permits, lambda: self._transactions.exact_now(session))

    def hold_permits(self, key: str, seconds: float) -> None:
        """Let nobody take a permit of such a rate that is free earlier than so long from now; a longer hold stays."""
        with self._transactions.write() as (session, _):
            rates.hold(session, key, seconds, lambda: self._transactions.exact_now(session))

    @contextmanager
    def _write(self, lease: ConnectorLease | None) -> Iterator[tuple[Session, datetime]]:
        with self._transactions.write() as (session, now):
            if lease is not None:
                connector_leases.require(session, lease)
            yield session, now

    def _box(self) -> SecretBox:
        if self._secrets is None:
            raise SecretKeyError("this catalogue was opened without a key for secrets: open it with Catalog.open")
        return self._secrets

    def _seal(self, secrets: Mapping[str, str] | None) -> dict[str, str]:
        return {name: self._box().seal(text) for name, text in (secrets or {}).items()}

    def _says(self, sealed: str | None, text: str) -> bool:
        """Whether a stored secret is this text; one that cannot be read is to be replaced."""
        try:
            return sealed is not None and self._box().open(sealed, "a secret") == text
        except SecretKeyError:
            return False


def _note(session: Session, tenant: str, actor: Actor | None, action: str, slug: str, now: datetime) -> None:
    if actor is not None:
        audit.note(session, tenants.get(session, tenant).id, actor, action, slug, now)


def _what(connector: Connector, name: str) -> str:
    return f"the secret {name} of connector {connector.slug!r} of tenant {connector.tenant!r}"
