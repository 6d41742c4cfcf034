"""The fifty segments of ``engine.py``: every type of condition and every extension of the language."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

Document = dict[str, Any]
ORDER, PAGE, PRODUCT, CART, MAIL = "order_placed", "page_viewed", "product_viewed", "cart_updated", "email_opened"


def _count(event_type: str, operator: str, value: int, days: int | None = None, **more: Any) -> Document:
    return _without_none(
        {
            "type": "event_count",
            "event_type": event_type,
            "operator": operator,
            "value": value,
            "window_days": days,
            **more,
        }
    )


def _recency(event_type: str, operator: str, days: int, **more: Any) -> Document:
    return {"type": "recency", "event_type": event_type, "operator": operator, "window_days": days, **more}


def _total(metric: str, operator: str, value: float, **more: Any) -> Document:
    return {"type": "monetary", "event_type": ORDER, "property": "total", "metric": metric, "operator": operator,
            "value": value, **more}  # fmt: skip


def _latest(event_type: str, property: str, operator: str, value: Any = None, **more: Any) -> Document:
    return _without_none(
        {
            "type": "event_property",
            "event_type": event_type,
            "property": property,
            "operator": operator,
            "value": value,
            **more,
        }
    )


def _user(property: str, operator: str, value: Any = None, **more: Any) -> Document:
    return _without_none({"type": "user_property", "property": property, "operator": operator, "value": value, **more})


def _sequence(events: list[Any], days: int | None = None, **more: Any) -> Document:
    return _without_none({"type": "event_sequence", "events": events, "window_days": days, **more})


def _held(property: str, operator: str, value: Any, **more: Any) -> Document:
    return {"type": "property_held", "property": property, "operator": operator, "value": value, **more}


def _in(segment: str, operator: str = "in") -> Document:
    return {"type": "segment_membership", "segment_id": segment, "operator": operator}


def _not(condition: Document) -> Document:
    return {"type": "not", "condition": condition}


def _test(property: str, operator: str, value: Any) -> Document:
    return {"property": property, "operator": operator, "value": value}


def _last(amount: int, unit: str) -> Document:
    return {"last": amount, "unit": unit}


def _all(*conditions: Document) -> Document:
    return {"logic": "AND", "conditions": list(conditions)}


def _any(*conditions: Document) -> Document:
    return {"logic": "OR", "conditions": list(conditions)}


def _group(definition: Document) -> Document:
    return {"type": "group", **definition}


def _without_none(document: Document) -> Document:
    return {key: value for key, value in document.items() if value is not None}


def public_segments(until: datetime) -> dict[str, Document]:
    """Conditions of the published language."""
    customers_since = (until - timedelta(days=700)).date().isoformat()
    return {
        "frequent-buyers": _all(_count(ORDER, "gte", 3, 180), _recency(ORDER, "lt", 60)),
        "never-ordered": _all(_count(ORDER, "eq", 0)),
        "just-looking": _all(_count(ORDER, "eq", 0), _count(PAGE, "gte", 5, 30)),
        "lapsed-buyers": _all(_recency(ORDER, "gt", 90), _count(ORDER, "gte", 2)),
        "big-spenders": _all(_total("sum", "gte", 500)),
        "large-baskets": _any(_total("max", "gte", 300), _total("avg", "gt", 150)),
        "many-small-orders": _all(_total("sum", "gte", 200), _total("avg", "lt", 60)),
        "last-order-in-app": _all(_latest(ORDER, "channel", "eq", "app"), _recency(PAGE, "lt", 30)),
        "foreign-currency": _all(_latest(ORDER, "currency", "in", ["CHF", "GBP"])),
        "coupon-used-last": _all(_latest(ORDER, "coupon", "is_set")),
        "full-price": _all(_latest(ORDER, "coupon", "is_not_set"), _count(ORDER, "gte", 2)),
        "german-subscribers": _all(_user("country", "eq", "DE"), _user("newsletter", "is_true")),
        "outside-germany": _all(_user("country", "neq", "DE")),
        "young-adults": _all(_user("age", "between", 25, value2=34)),
        "some-cities": _any(_user("city", "starts_with", "B"), _user("city", "contains", "ü")),
        "half-of-the-addresses": _all(_user("email", "matches_regex", "[02468]@example\\.com$")),
        "large-companies": _all(_user("company.size", "gte", 250), _user("plan", "not_in", ["free"])),
        "long-standing": _all(_user("since", "lt", customers_since), _count(PAGE, "gte", 1, 90)),
        "viewed-carted-ordered": _all(_sequence([PRODUCT, CART, ORDER], 30)),
        "straight-from-mail": _all(_sequence([MAIL, PAGE], 30, strict=True)),
        "mail-then-order": _all(_sequence([MAIL, ORDER])),
        "came-back-to-order": _all(_sequence([ORDER, PAGE, ORDER], 90)),
        "browsers": _all(
            _count(PAGE, "gte", 10, 30), _not(_count(ORDER, "gte", 1, 30)), _latest(PAGE, "referrer", "in", ["google", "mail"])
        ),
        "win-back": _all(_in("lapsed-buyers"), _count(MAIL, "gte", 1, 30)),
        "win-back-germany": _all(_in("win-back"), _in("german-subscribers")),
        "occasional-buyers": _all(_in("frequent-buyers", "not_in"), _count(ORDER, "gte", 1)),
        "gone-quiet": _all(_recency(PAGE, "gt", 60), _recency(MAIL, "lt", 60)),
        "a-week-ago": _all(_recency(PAGE, "eq", 7)),
        "hardly-seen": _all(_count(PAGE, "lt", 3, 90)),
        "of-all-kinds": _all(
            _group(_any(_count(CART, "gte", 2, 14), _group(_all(_count(PRODUCT, "gte", 8, 30), _not(_recency(ORDER, "lt", 30)))))),
            _group(_any(_user("country", "in", ["DE", "AT", "CH"]), _user("tags", "contains", "vip"))),
        ),
    }  # fmt: skip


def extended_segments(until: datetime) -> dict[str, Document]:
    """Conditions that only the extensions can state."""
    month = (until.replace(day=1) - timedelta(days=150)).replace(day=1)
    fixed = {"from": month.date().isoformat(), "to": (month + timedelta(days=32)).replace(day=1).date().isoformat()}
    return {
        "large-app-orders": _all(
            _count(ORDER, "gte", 1, 180, where=[_test("channel", "eq", "app"), _test("total", "gte", 100)])
        ),
        "shoe-buyers": _all(_count(ORDER, "gte", 2, where=[_test("items[].category", "eq", "shoes")])),
        "two-bags-at-once": _all(
            _latest(ORDER, "items", "has_element", where=[_test("category", "eq", "bags"), _test("quantity", "gte", 2)])
        ),
        "last-36-hours": _all(_count(PAGE, "gte", 3, window=_last(36, "hour"))),
        "ordered-in-that-month": _all(_count(ORDER, "gte", 1, window=fixed)),
        "ordered-then-not": _all(
            _count(ORDER, "gte", 1, window={"from_ago": 90, "to_ago": 30, "unit": "day"}), _count(ORDER, "eq", 0, 30)
        ),
        "quarterly-spend": _all(_total("sum", "gte", 200, window=_last(3, "month"))),
        "median-order": _all(_total("median", "gte", 80), _count(ORDER, "gte", 3)),
        "never-cheap": _all(_total("min", "gte", 60, window_days=180)),
        "many-prices-seen": _all(
            {"type": "monetary", "event_type": PRODUCT, "property": "price", "metric": "count_distinct",
             "operator": "gte", "value": 8, "window_days": 90}
        ),
        "first-order-recently": _all({"type": "first_event", "event_type": ORDER, "window_days": 30}),
        "acquired-by-ads": _all(
            {"type": "first_event", "event_type": PAGE, "window": _last(2, "month"),
             "where": [_test("utm.source", "eq", "ads")]}
        ),
        "weekly-visitors": _all(
            {"type": "regularity", "event_type": PAGE, "period": _last(7, "day"), "periods": 8, "min_periods": 5,
             "operator": "gte", "value": 1}
        ),
        "monthly-buyers": _all(
            {"type": "regularity", "event_type": ORDER, "period": _last(1, "month"), "periods": 6, "min_periods": 3,
             "operator": "gte", "value": 1}
        ),
        "pro-for-a-while": _all(_held("plan", "eq", "pro", at_least=_last(30, "day"))),
        "newly-paying": _all(_held("plan", "in", ["plus", "pro"], less_than=_last(90, "day"))),
        "quick-deciders": _all(_sequence([CART, ORDER], 90, within=_last(2, "day"))),
        "shoes-to-order": _all(
            _sequence([{"event_type": PRODUCT, "where": [_test("category", "eq", "shoes")]}, ORDER], 90, within=_last(7, "day"))
        ),
        "new-customers": _all(_user("since", "in_last", _last(60, "day")), _recency(PAGE, "lt", 14)),
        "new-and-regular": _all(
            _in("weekly-visitors"), _in("frequent-buyers", "not_in"), _group(_any(_in("first-order-recently"), _in("win-back")))
        ),
    }  # fmt: skip


def all_segments(until: datetime) -> dict[str, Document]:
    """All fifty, public ones first."""
    return {**public_segments(until), **extended_segments(until)}
