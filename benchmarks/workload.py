"""A generated tenant: the same events for the same arguments, made inside ClickHouse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from segops_orchestration.compiler.parameters import instant_text
from segops_orchestration.warehouse.client import TenantWarehouse

ROWS_PER_INSERT = 250_000
HISTORY_DAYS = 365

# Shares of the event types, in percent; users are skewed: half of the events belong to a sixth of the users.
_EVENTS = """INSERT INTO events (event_id, user_id, event_type, occurred_at, payload)
WITH
  cityHash64(number, {seed:UInt64}, 1) AS h1, cityHash64(number, {seed:UInt64}, 2) AS h2,
  cityHash64(number, {seed:UInt64}, 3) AS h3, cityHash64(number, {seed:UInt64}, 4) AS h4,
  h1 % 100 AS share,
  intDiv((h2 % {users:UInt64}) * (h3 % {users:UInt64}), {users:UInt64}) AS user_number,
  multiIf(share < 50, 'page_viewed', share < 70, 'product_added', share < 85, 'email_opened',
          share < 97, 'order_placed', 'context_identified') AS kind
SELECT
  reinterpretAsUUID(concat(reinterpretAsFixedString(h1), reinterpretAsFixedString(h2))),
  concat('user-', leftPad(toString(user_number), 7, '0')),
  kind,
  {until:DateTime64(3, 'UTC')} - toIntervalMillisecond(h4 % ({days:UInt64} * 86400000)),
  multiIf(
    kind = 'order_placed', concat('{"total": ', toString((h3 % 20000 + 500) / 100), ', "quantity": ', toString(h4 % 5 + 1),
      ', "currency": "EUR", "channel": "', ['web', 'app', 'shop'][h2 % 3 + 1], '"}'),
    kind = 'page_viewed', concat('{"path": "/p/', toString(h3 % 500), '", "referrer": "', ['mail', 'search', ''][h2 % 3 + 1], '"}'),
    kind = 'product_added', concat('{"sku": "sku-', toString(h3 % 2000), '", "price": ', toString((h3 % 9000) / 100), '}'),
    kind = 'email_opened', concat('{"campaign": ', toString(h3 % 40), '}'),
    concat('{"country": "', ['DE', 'FR', 'IT', 'ES', 'NL'][h3 % 5 + 1], '", "plan": "', ['free', 'plus', 'pro'][h2 % 3 + 1],
      '", "newsletter": ', if(h4 % 2 = 0, 'true', 'false'), '}'))
FROM numbers({first:UInt64}, {rows:UInt64})"""


def generate(
    warehouse: TenantWarehouse, *, events: int, users: int, until: datetime, seed: int = 1, first: int = 0
) -> Iterator[int]:
    """Insert ``events`` events of up to ``users`` users over the year before ``until``; yields rows so far."""
    done = 0
    while done < events:
        rows = min(ROWS_PER_INSERT, events - done)
        warehouse.command(
            _EVENTS,
            {"seed": seed, "users": users, "until": instant_text(until), "days": HISTORY_DAYS,
             "first": first + done, "rows": rows},
        )  # fmt: skip
        done += rows
        yield done


def touch(warehouse: TenantWarehouse, *, users: int, at: datetime, salt: int) -> None:
    """One new order for each of ``users`` users who are in the data already."""
    warehouse.command(
        """INSERT INTO events (event_id, user_id, event_type, occurred_at, payload)
        SELECT generateUUIDv4(), user_id, 'order_placed', {at:DateTime64(3, 'UTC')}, '{"total": 75.50, "quantity": 1}'
        FROM (SELECT DISTINCT user_id FROM users ORDER BY cityHash64(user_id, {salt:UInt64}) LIMIT {users:UInt64})""",
        {"users": users, "at": instant_text(at), "salt": salt},
    )


@dataclass(frozen=True)
class BenchmarkSegment:
    """A definition, and the query that a careful person would type to count the same users by hand.

    ``bare`` reads the events as they lie there: no protection against redelivered events, no future dates.
    """

    slug: str
    conditions: list[dict[str, Any]]
    bare: str
    logic: str = "AND"

    @property
    def definition(self) -> dict[str, Any]:
        return {"logic": self.logic, "conditions": self.conditions}


_AT = "{at:DateTime64(3, 'UTC')}"


def _count(event_type: str, operator: str, value: int, days: int | None = None) -> dict[str, Any]:
    condition = {"type": "event_count", "event_type": event_type, "operator": operator, "value": value}
    return condition if days is None else {**condition, "window_days": days}


def _recency(event_type: str, operator: str, days: int) -> dict[str, Any]:
    return {"type": "recency", "event_type": event_type, "operator": operator, "window_days": days}


def _total(metric: str, operator: str, value: float) -> dict[str, Any]:
    return {"type": "monetary", "event_type": "order_placed", "property": "total", "metric": metric,
            "operator": operator, "value": value}  # fmt: skip


SEGMENTS = [
    BenchmarkSegment(
        "frequent-buyers",
        [_count("order_placed", "gte", 3, 90), _recency("order_placed", "lt", 30)],
        f"""SELECT count() FROM (SELECT user_id FROM events WHERE event_type = 'order_placed'
        AND occurred_at > {_AT} - INTERVAL 90 DAY GROUP BY user_id
        HAVING count() >= 3 AND max(occurred_at) > {_AT} - INTERVAL 30 DAY)""",
    ),
    BenchmarkSegment(
        "just-looking",
        [_count("order_placed", "eq", 0), _count("page_viewed", "gte", 3, 90)],
        f"""SELECT count() FROM (SELECT user_id FROM events WHERE event_type IN ('order_placed', 'page_viewed')
        GROUP BY user_id HAVING countIf(event_type = 'order_placed') = 0
        AND countIf(event_type = 'page_viewed' AND occurred_at > {_AT} - INTERVAL 90 DAY) >= 3)""",
    ),
    BenchmarkSegment(
        "lapsed-buyers",
        [_recency("order_placed", "gt", 60), _count("order_placed", "gte", 2)],
        f"""SELECT count() FROM (SELECT user_id FROM events WHERE event_type = 'order_placed'
        GROUP BY user_id HAVING max(occurred_at) < {_AT} - INTERVAL 60 DAY AND count() >= 2)""",
    ),
    BenchmarkSegment(
        "big-spenders",
        [_total("sum", "gte", 500), _total("max", "gte", 150), _total("avg", "gt", 80)],
        """SELECT count() FROM (SELECT user_id FROM events WHERE event_type = 'order_placed' GROUP BY user_id
        HAVING sum(JSONExtractFloat(payload, 'total')) >= 500 AND max(JSONExtractFloat(payload, 'total')) >= 150
        AND avg(JSONExtractFloat(payload, 'total')) > 80)""",
    ),
    BenchmarkSegment(
        "straight-from-mail",
        [{"type": "event_sequence", "events": ["email_opened", "order_placed"], "window_days": 90, "strict": True}],
        f"""SELECT count() FROM (SELECT user_id, arraySort(groupArray((occurred_at, event_type))) AS history FROM events
        WHERE occurred_at > {_AT} - INTERVAL 90 DAY GROUP BY user_id) WHERE arrayExists(i -> history[i].2 = 'email_opened'
        AND history[i + 1].2 = 'order_placed' AND history[i].1 < history[i + 1].1, range(1, length(history)))""",
    ),
    BenchmarkSegment(
        "last-order-in-app",
        [{"type": "event_property", "event_type": "order_placed", "property": "channel", "operator": "eq",
          "value": "app"},
         _recency("page_viewed", "lt", 30)],
        f"""SELECT count() FROM (SELECT user_id, argMaxIf(payload, occurred_at, event_type = 'order_placed') AS latest,
        maxIf(occurred_at, event_type = 'page_viewed') AS viewed FROM events
        WHERE event_type IN ('order_placed', 'page_viewed') GROUP BY user_id)
        WHERE JSONExtractString(latest, 'channel') = 'app' AND viewed > {_AT} - INTERVAL 30 DAY""",
    ),
    BenchmarkSegment(
        "german-subscribers",
        [{"type": "user_property", "property": "country", "operator": "eq", "value": "DE"},
         {"type": "user_property", "property": "newsletter", "operator": "is_true"}],
        """SELECT count() FROM (SELECT user_id, argMax(payload, occurred_at) AS latest FROM events
        WHERE event_type = 'context_identified' GROUP BY user_id)
        WHERE JSONExtractString(latest, 'country') = 'DE' AND JSONExtractBool(latest, 'newsletter')""",
    ),
    BenchmarkSegment(
        "viewed-added-ordered",
        [{"type": "event_sequence", "events": ["page_viewed", "product_added", "order_placed"], "window_days": 30}],
        f"""SELECT count() FROM (SELECT user_id,
        arrayFirstOrNull(t -> true, arraySort(groupArrayIf(occurred_at, event_type = 'page_viewed'))) AS a,
        arrayFirstOrNull(t -> t > a, arraySort(groupArrayIf(occurred_at, event_type = 'product_added'))) AS b,
        arrayFirstOrNull(t -> t > b, arraySort(groupArrayIf(occurred_at, event_type = 'order_placed'))) AS c
        FROM events WHERE event_type IN ('page_viewed', 'product_added', 'order_placed')
        AND occurred_at > {_AT} - INTERVAL 30 DAY GROUP BY user_id) WHERE c IS NOT NULL""",
    ),
    BenchmarkSegment(
        "win-back",
        [{"type": "segment_membership", "segment_id": "lapsed-buyers", "operator": "in"},
         _count("email_opened", "gte", 1, 30)],
        f"""SELECT count() FROM (SELECT user_id FROM events WHERE event_type IN ('order_placed', 'email_opened')
        GROUP BY user_id HAVING maxIf(occurred_at, event_type = 'order_placed') < {_AT} - INTERVAL 60 DAY
        AND countIf(event_type = 'order_placed') >= 2
        AND countIf(event_type = 'email_opened' AND occurred_at > {_AT} - INTERVAL 30 DAY) >= 1)""",
    ),
    BenchmarkSegment(
        "browsers",
        [_count("page_viewed", "gte", 5, 30), {"type": "not", "condition": _count("order_placed", "gte", 1, 30)},
         {"type": "event_property", "event_type": "page_viewed", "property": "referrer", "operator": "in",
          "value": ["mail", "search"]}],
        f"""SELECT count() FROM (SELECT user_id, countIf(event_type = 'page_viewed' AND occurred_at > {_AT} - INTERVAL 30 DAY)
        AS views, countIf(event_type = 'order_placed' AND occurred_at > {_AT} - INTERVAL 30 DAY) AS orders,
        argMaxIf(payload, occurred_at, event_type = 'page_viewed') AS latest FROM events
        WHERE event_type IN ('page_viewed', 'order_placed') GROUP BY user_id)
        WHERE views >= 5 AND orders = 0 AND JSONExtractString(latest, 'referrer') IN ('mail', 'search')""",
    ),
]  # fmt: skip
