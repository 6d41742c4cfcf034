"""The events of ``engine.py``: the same for the same arguments, made inside ClickHouse.

Events come in the order of time, as they would arrive. Users sign up all year; a user's number says how active that
user is (number 0 the most), so the number of an event's user is drawn from a law like Zipf's among those who have
signed up by then.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from segops_orchestration.warehouse.client import TenantWarehouse

ROWS_PER_INSERT = 1_000_000
HISTORY_DAYS = 365
SEED = 1

# Which user does something now, of {users} signed up: uniform in (0, 1) -> the number of the user.
# The exponent gives the most active hundredth a fifth of the events; the offset keeps the most active user below
# one event in a thousand.
_RANKED = "toUInt64(({users}) * (pow(0.02 + 0.98 * ({uniform}), 3) - 0.000008) / 1.000001)"
_USER_ID = "concat('u', lower(hex(cityHash64({number}, {{seed:UInt64}}, 100))))"
# What a payload says about the user is fixed by the user's number, what changes by the number of the event.
_TRAITS = """format('{{"email": "{0}@example.com", "name": "Customer {0}", "country": "{1}", "city": "{2}", "plan": "{3}", "age": {4}, "newsletter": {5}, "since": "{6}", "company": {{"size": {7}, "industry": "{8}"}}, "tags": ["{9}", "{10}"]}}',
      toString(user_number), ['DE','DE','DE','FR','FR','IT','ES','NL','AT','CH','PL','GB'][u1 % 12 + 1],
      ['Berlin','Hamburg','Köln','Paris','Lyon','Roma','Madrid','Utrecht','Wien','Zürich','Kraków','Leeds','München','Bremen'][u2 % 14 + 1],
      ['free','free','free','free','plus','plus','pro'][cityHash64(user_number, intDiv(day, 60 + u3 % 300)) % 7 + 1],
      toString(18 + u3 % 60), if(h4 % 4 = 0, 'false', 'true'), toString(toDate(day - u1 % 900)),
      toString(1 + u2 % 500), ['retail','travel','health','media','finance'][u3 % 5 + 1],
      ['beta','vip','student','reseller'][u1 % 4 + 1], ['mobile','desktop'][h4 % 2 + 1])"""
_PAGE = """format('{{"path": "/{0}/{1}", "title": "Page {1}", "referrer": "{2}", "utm": {{"source": "{3}", "campaign": "c{4}"}}, "session_id": "{5}", "duration_ms": {6}, "device": {{"type": "{7}", "os": "{8}"}}}}',
      ['home','c','p','blog','help'][h3 % 5 + 1], toString(h2 % 400), ['google','mail','direct','social'][h4 % 4 + 1],
      ['newsletter','ads','organic'][h3 % 3 + 1], toString(h4 % 30), hex(h3), toString(h2 % 120000),
      ['mobile','mobile','desktop','tablet'][h2 % 4 + 1], ['iOS','Android','Windows','macOS'][h4 % 4 + 1])"""
_PRODUCT = """format('{{"sku": "sku-{0}", "name": "Product {0}", "category": "{1}", "brand": "brand-{2}", "price": {3}, "currency": "EUR", "position": {4}, "list": "{5}", "session_id": "{6}"}}',
      toString(h2 % 5000), ['shoes','shirts','bags','toys','books','garden'][h2 % 6 + 1], toString(h2 % 90),
      toString((h2 % 15000 + 490) / 100), toString(h4 % 40), ['search','category','recommended'][h3 % 3 + 1], hex(h3))"""
_CART = """format('{{"sku": "sku-{0}", "quantity": {1}, "action": "{2}", "value": {3}, "currency": "EUR", "items": {4}, "session_id": "{5}"}}',
      toString(h2 % 5000), toString(h3 % 3 + 1), ['add','add','add','remove'][h4 % 4 + 1], toString((h3 % 30000 + 900) / 100),
      toString(h4 % 8 + 1), hex(h3))"""
_ORDER = """format('{{"order_id": "o-{0}", "total": {1}, "currency": "{2}", "channel": "{3}", "items": [{4}]{5}, "shipping": {{"country": "{6}", "method": "{7}"}}}}',
      hex(h2), toString(round((h3 % 8000 + 900) * (1 + pow(h4 % 1000 / 1000., 8) * 9)) / 100), ['EUR','EUR','EUR','EUR','CHF','GBP'][u2 % 6 + 1],
      ['web','web','app','shop'][h2 % 4 + 1],
      arrayStringConcat(arrayMap(i -> format('{{"sku": "sku-{0}", "category": "{1}", "price": {2}, "quantity": {3} }}',
        toString(cityHash64(h3, i) % 5000), ['shoes','shirts','bags','toys','books','garden'][cityHash64(h3, i) % 6 + 1],
        toString((cityHash64(h4, i) % 9000 + 490) / 100), toString(cityHash64(h2, i) % 3 + 1)), range(1 + h4 % 4)), ', '),
      if(h3 % 5 = 0, concat(', "coupon": "', ['SPRING10','WELCOME','FREESHIP'][h4 % 3 + 1], '"'), ''),
      ['DE','FR','IT','ES','NL'][u1 % 5 + 1], ['standard','express','pickup'][h2 % 3 + 1])"""
_MAIL = """format('{{"campaign": "campaign-{0}", "subject": "Subject of campaign {0}", "client": "{1}", "message_id": "{2}", "link_count": {3} }}',
      toString(h2 % 60), ['gmail','apple','outlook'][h4 % 3 + 1], hex(h3), toString(h3 % 12))"""

# {first} .. {first} + {rows}: the numbers of the events, of {total}; only those divisible by {every} are made.
_GENERATE = f"""INSERT INTO events (event_id, user_id, event_type, occurred_at, payload)
WITH
  cityHash64(n, {{seed:UInt64}}, 1) AS h1, cityHash64(n, {{seed:UInt64}}, 2) AS h2,
  cityHash64(n, {{seed:UInt64}}, 3) AS h3, cityHash64(n, {{seed:UInt64}}, 4) AS h4,
  n / {{total:UInt64}} AS elapsed,
  {_RANKED.format(users="{users:UInt64} * (0.5 + 0.5 * elapsed)", uniform="h1 / 18446744073709551616.")} AS user_number,
  cityHash64(user_number, {{seed:UInt64}}, 5) AS u1, cityHash64(user_number, {{seed:UInt64}}, 6) AS u2,
  cityHash64(user_number, {{seed:UInt64}}, 7) AS u3,
  toInt64({{from_ms:Int64}} + elapsed * {{span_ms:Int64}}) AS at_ms,
  toInt32(intDiv(at_ms, 86400000)) AS day,
  multiIf(h2 % 100 < 55, 'page_viewed', h2 % 100 < 75, 'product_viewed', h2 % 100 < 83, 'cart_updated',
          h2 % 100 < 88, 'order_placed', h2 % 100 < 97, 'email_opened', 'context_identified') AS kind
SELECT
  reinterpretAsUUID(concat(reinterpretAsFixedString(h1), reinterpretAsFixedString(h4))),
  {_USER_ID.format(number="user_number")},
  kind,
  fromUnixTimestamp64Milli(at_ms, 'UTC'),
  multiIf(
    kind = 'page_viewed', {_PAGE},
    kind = 'product_viewed', {_PRODUCT},
    kind = 'cart_updated', {_CART},
    kind = 'order_placed', {_ORDER},
    kind = 'email_opened', {_MAIL},
    {_TRAITS})
FROM (SELECT number * {{every:UInt64}} AS n FROM numbers({{first:UInt64}}, {{rows:UInt64}}))"""

_NEWS = (
    ("page_viewed", '{"path": "/p/1", "referrer": "mail", "utm": {"source": "ads"}}'),
    ("product_viewed", '{"sku": "sku-7", "category": "shoes", "price": 75.5}'),
    ("order_placed", '{"total": 75.50, "currency": "EUR", "channel": "app", "items": '
     '[{"sku": "sku-7", "category": "shoes", "price": 75.5, "quantity": 1}]}'),
)  # fmt: skip

# Every user is as likely as any other; or as likely as to have the next event.
_EVENLY = "SELECT user_id FROM users GROUP BY user_id ORDER BY cityHash64(user_id, {salt:UInt64}) LIMIT {drawn:UInt64}"
_BY_ACTIVITY = f"""SELECT DISTINCT {_USER_ID.format(number="ranked")} AS user_id FROM (
  SELECT {_RANKED.format(users="{users:UInt64}", uniform="cityHash64(number, {salt:UInt64}) / 18446744073709551616.")} AS ranked
  FROM numbers(2 * {{drawn:UInt64}}))
WHERE user_id IN (SELECT user_id FROM users) LIMIT {{drawn:UInt64}}"""


@dataclass(frozen=True)
class History:
    """What is generated: ``events`` of up to ``users`` users in the year before ``until``."""

    events: int
    users: int
    until: datetime
    seed: int = SEED


def generate(warehouse: TenantWarehouse, history: History, *, every: int = 1) -> Iterator[int]:
    """Insert the history, or each ``every``-th event of it; yields rows so far."""
    rows_in_all = history.events // every
    span = timedelta(days=HISTORY_DAYS)
    done = 0
    while done < rows_in_all:
        rows = min(ROWS_PER_INSERT, rows_in_all - done)
        warehouse.command(
            _GENERATE,
            {"seed": history.seed, "users": history.users, "total": history.events, "every": every,
             "from_ms": _milliseconds(history.until - span), "span_ms": _milliseconds(span), "first": done, "rows": rows},
            {"parallel_view_processing": 1},
        )  # fmt: skip
        done += rows
        yield done


def draw(warehouse: TenantWarehouse, history: History, *, users: int, salt: int, evenly: bool) -> list[str]:
    """Users who are in the data: each equally likely, or each as likely as to have the next event."""
    sql = f"SELECT groupArray(user_id) FROM ({_EVENLY if evenly else _BY_ACTIVITY})"
    parameters = {"seed": history.seed, "salt": salt, "drawn": users, "users": history.users}
    return list(warehouse.query(sql, parameters).result_rows[0][0])


def touch(warehouse: TenantWarehouse, users: Sequence[str], *, at: datetime, salt: int) -> None:
    """One new event for each of the users, dated in the 50 seconds before ``at``."""
    rows = [
        (
            uuid.uuid5(uuid.NAMESPACE_OID, f"{salt} {user}"),
            user,
            _NEWS[number % len(_NEWS)][0],
            at - timedelta(milliseconds=number * 7919 % 50_000),
            _NEWS[number % len(_NEWS)][1],
        )
        for number, user in enumerate(users)
    ]
    warehouse.insert("events", rows, ["event_id", "user_id", "event_type", "occurred_at", "payload"])


def _milliseconds(value: datetime | timedelta) -> int:
    if isinstance(value, datetime):
        return round(value.timestamp() * 1000)
    return value // timedelta(milliseconds=1)
