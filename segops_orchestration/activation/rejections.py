"""Users whom the platform refused: tried again on a growing schedule, then parked until somebody asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from segops_orchestration.activation.lease import HeldConnector
from segops_orchestration.activation.platform import Action
from segops_orchestration.activation.session import Clock, Session, utc_now
from segops_orchestration.activation.state import NEVER, Entry
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.compiler.parameters import instant_text
from segops_orchestration.warehouse.client import Warehouse

# After each refusal the user waits so long; the one after the last of them parks the user.
RETRY_AFTER = (timedelta(minutes=10), timedelta(hours=1), timedelta(hours=6), timedelta(hours=24))
LONGEST_REASON = 500

_THEY = """state IN ('rejected', 'parked') AND (action = 'remove' OR present > 0 OR user_id IN (
    SELECT user_id FROM segment_memberships FINAL WHERE segment_id = {segment_id:UInt64}
  ))"""

_LIST = f"""SELECT
  user_id, toString(action), toString(state), reason, attempts, toUnixTimestamp64Milli(retry_at),
  toUnixTimestamp64Milli(at)
FROM activation_state FINAL
WHERE connector_id = {{connector_id:UInt64}} AND {_THEY}
ORDER BY at DESC, user_id"""

# One version newer than the refusal: the next sync's are newer still.
_REQUEUE = """INSERT INTO activation_state
  (connector_id, user_id, state, action, present, platform_id, attempts, retry_at, reason, batch_id, change, sync_id,
  at, version)
SELECT
  connector_id, user_id, 'rejected', action, present, platform_id, 0, toDateTime64(0, 3, 'UTC'), reason, '', 'none',
  sync_id, at, version + 1
FROM activation_state FINAL
WHERE {those}"""

_CHOSEN = "connector_id = {connector_id:UInt64} AND state IN ('rejected', 'parked')"


@dataclass(frozen=True)
class RejectedUser:
    """Somebody whom the platform refused to add or to remove, and its reason. ``retry_at`` is None when parked."""

    user_id: str
    action: Action
    parked: bool
    reason: str
    attempts: int
    retry_at: datetime | None
    rejected_at: datetime


def refused(
    user_id: str, action: Action, reason: str, *, attempts: int, present: int, platform_id: str, now: datetime
) -> Entry:
    """The row of a user whom the platform refused; ``attempts`` of the same kind were refused before."""
    parked = attempts >= len(RETRY_AFTER)
    return Entry(
        user_id,
        "parked" if parked else "rejected",
        action,
        present,
        platform_id,
        attempts + 1,
        NEVER if parked else instant_text(now + RETRY_AFTER[attempts]),
        reason[:LONGEST_REASON],
        change="parked" if parked else "rejected",
    )


def iter_rejected(session: Session) -> Iterator[RejectedUser]:
    """Whom the platform refused and who is still to be sent, the newest first."""
    for row in session.stream(_LIST, {"segment_id": session.connector.segment_id}):
        yield _rejected_user(row)


def rejected(
    catalog: Catalog, warehouse: Warehouse, tenant: str, connector: str, *, clock: Clock = utc_now
) -> Iterator[RejectedUser]:
    """Whom a connector's platform refused and who is still to be sent, the newest first, streamed.

    Raises:
        NotFound: no such tenant or connector.
        WarehouseError: ClickHouse refused or could not be reached.
    """
    record = catalog.connectors.get(tenant, connector)
    database = warehouse.tenant(tenant)
    database.migrate()
    return iter_rejected(Session(database, record, 0, clock))


def requeue(
    catalog: Catalog, warehouse: Warehouse, tenant: str, connector: str, users: Sequence[str] | None = None
) -> int:
    """Let these users, or all whom the platform refused, be tried again by the next sync; how many they are.

    Raises:
        NotFound: no such tenant or connector.
        ConnectorBusy: the connector is being synced.
        WarehouseError: ClickHouse refused or could not be reached.
    """
    record = catalog.connectors.get(tenant, connector)
    database = warehouse.tenant(tenant)
    database.migrate()
    with HeldConnector(catalog, tenant, connector, None) as held:
        count = requeue_users(Session(database, record, 0), users)
        if count:
            # Whoever looks for connectors with something to do sees by its time that this one was touched.
            catalog.connectors.set_status(
                tenant, connector, record.status, record.status_reason, only_from=(record.status,), lease=held.lease
            )
        return count


def requeue_users(session: Session, users: Sequence[str] | None) -> int:
    """Let these users, or all who were refused, be tried again by the next sync, as if for the first time.

    The caller holds the connector's lease.
    """
    those = _CHOSEN if users is None else _CHOSEN + " AND user_id IN {users:Array(String)}"
    parameters: dict[str, object] = {} if users is None else {"users": list(users)}
    ((count,),) = session.rows(f"SELECT count() FROM activation_state FINAL WHERE {those}", parameters)
    if count:
        session.run(_REQUEUE.format(those=those), parameters)
    return int(count)


def _rejected_user(row: list[Any]) -> RejectedUser:
    user_id, action, state, reason, attempts, retry_at, at = row
    return RejectedUser(
        user_id,
        action,
        state == "parked",
        reason,
        attempts,
        None if state == "parked" else _instant(retry_at),
        _instant(at),
    )


def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
