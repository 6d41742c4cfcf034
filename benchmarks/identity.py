"""What joined ids cost: moved by the next computation, as SegOps does, or looked up for every row of every scan.

.venv/bin/python benchmarks/identity.py --events 2000000 --users 200000 --joined 50000
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.compute.compute import _look, compute
from segops_orchestration.dsl.parse import parse_definition
from segops_orchestration.dsl.segment_file import SegmentDocument
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse
from segops_orchestration.warehouse.embedded.lifecycle import stop

_EVENTS = """INSERT INTO events (event_id, user_id, event_type, occurred_at, payload)
SELECT generateUUIDv4(), concat('user-', toString(cityHash64(number) % {users})),
  'order', now64(3) - number % 7776000, '{{}}' FROM numbers({first}, {rows})"""
_JOIN = """INSERT INTO identities (user_id, parent, root, changed, kind, at, version)
SELECT concat('user-', toString(number)), concat('user-', toString(number + {joined})),
  concat('user-', toString(number + {joined})), 0, 'alias', now64(3), 1 FROM numbers({joined})"""
_PLAIN = "SELECT count() FROM (SELECT user_id FROM events FINAL WHERE event_type = 'order' GROUP BY user_id HAVING count() > 9)"
_LOOKED_UP = (
    "SELECT count() FROM (SELECT dictGetOrDefault('joined', 'root', user_id, user_id) AS person FROM events FINAL"
    " WHERE event_type = 'order' GROUP BY person HAVING count() > 9)"
)
_JOINED = (
    "SELECT count() FROM (SELECT if(i.root = '', e.user_id, i.root) AS person FROM events AS e FINAL"
    " LEFT JOIN (SELECT user_id, root FROM identities FINAL) AS i ON i.user_id = e.user_id"
    " WHERE event_type = 'order' GROUP BY person HAVING count() > 9)"
)
_DICTIONARY = """CREATE OR REPLACE DICTIONARY joined (user_id String, root String) PRIMARY KEY user_id
SOURCE(CLICKHOUSE(TABLE 'identities' DB '{database}')) LAYOUT(COMPLEX_KEY_HASHED()) LIFETIME(0)"""


def _timed(what: str, do: Callable[[], object], repeats: int = 1) -> None:
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        do()
        seconds.append(time.perf_counter() - started)
    print(f"{what:60} {statistics.median(seconds) * 1000:10,.0f} ms  {[round(one * 1000) for one in seconds]}")


def _make(database: TenantWarehouse, events: int, users: int) -> None:
    for first in range(0, events, 500_000):
        rows = min(500_000, events - first)
        database.command(
            _EVENTS.format(users=users, first=first, rows=rows), None, {"max_partitions_per_insert_block": 0}
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--joined", type=int, default=50_000)
    args = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="segops-identity-"))
    settings = Settings(home, None, f"sqlite:///{home / 'catalog.db'}")
    catalog, warehouse = Catalog.open(settings), Warehouse.connect(settings)
    catalog.create_tenant("bench")
    database = warehouse.tenant("bench")
    database.migrate()
    _make(database, args.events, args.users)
    definition = {
        "logic": "AND",
        "conditions": [{"type": "event_count", "event_type": "order", "operator": "gte", "value": 10}],
    }
    catalog.save_segments(
        "bench", [SegmentDocument(slug="ten", name="ten", description="", definition=parse_definition(definition))]
    )
    compute(catalog, warehouse, "bench", mode="full")

    def delta() -> None:
        compute(catalog, warehouse, "bench")

    def late(users: int) -> None:
        database.command(_EVENTS.format(users=users, first=args.events + time.time_ns() % 10**9, rows=100))

    _timed("looking whether anybody is joined, with the watermark", lambda: _look(database), 20)
    _timed("delta without news, nobody joined", delta, 5)
    _timed("one scan of all events, nobody joined", lambda: database.query(_PLAIN), 5)
    database.command(_JOIN.format(joined=args.joined))
    database.command(_DICTIONARY.format(database=database.database))
    _timed("the same scan, each row looked up in a dictionary", lambda: database.query(_LOOKED_UP), 5)
    _timed("the same scan, joined to the ids", lambda: database.query(_JOINED), 5)
    _timed(f"the delta that moves {args.joined:,} joined ids", delta)
    _timed("one scan of all events, afterwards", lambda: database.query(_PLAIN), 5)
    _timed("delta without news, ids joined", delta, 5)
    for _ in range(3):
        late(args.joined)
        _timed("delta with 100 late events of joined ids", delta)
    catalog.close()
    warehouse.close()
    stop(settings)


if __name__ == "__main__":
    main()
