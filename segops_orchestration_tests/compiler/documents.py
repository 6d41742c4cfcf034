"""One definition for each thing that the compiler does, by the name of its snapshot."""

from __future__ import annotations

from collections.abc import Mapping

from segops_orchestration_tests.oracle.case import (
    VIEW,
    Document,
    all_of,
    any_of,
    event_count,
    event_property,
    group,
    membership,
    monetary,
    negated,
    recency,
    sequence,
    user_property,
)

CONDITIONS: Mapping[str, Document] = {
    "event_count": all_of(event_count("gte", 2)),
    "event_count_in_a_window": all_of(event_count("eq", 2, window_days=1.5)),
    "event_count_complement": all_of(event_count("lt", 2)),
    "event_count_none": all_of(event_count("eq", 0, window_days=30)),
    "event_count_always": all_of(event_count("gte", 0)),
    "recency_gt": all_of(recency("gt", 30)),
    "recency_lt": all_of(recency("lt", 30)),
    "recency_eq": all_of(recency("eq", 30)),
    "monetary_sum": all_of(monetary("sum", "gte", 500)),
    "monetary_avg": all_of(monetary("avg", "lt", 19.99, "cart.total")),
    "monetary_max": all_of(monetary("max", "neq", 0.1)),
    "event_property": all_of(event_property("cart.total", "gt", value=10)),
    "event_property_complement": all_of(event_property("coupon", "is_not_set")),
    "user_property": all_of(user_property(r"address.zip\.code", "eq", value="8000")),
    "user_property_complement": all_of(user_property("plan", "neq", value="gold")),
    "event_sequence": all_of(sequence("page_viewed", "cart_updated", "order_placed")),
    "event_sequence_same_type_twice": all_of(sequence("page_viewed", "page_viewed")),
    "event_sequence_in_a_window": all_of(sequence("page_viewed", "order_placed", window_days=7)),
    "event_sequence_strict": all_of(sequence("page_viewed", "order_placed", strict=True, window_days=7)),
    "segment_membership": all_of(membership("vip")),
    "segment_membership_complement": all_of(membership("vip", "not_in")),
    "group_and_not": all_of(
        event_count("gte", 1),
        group("OR", recency("lt", 7), negated(group("AND", event_count("gte", 1, VIEW), membership("vip")))),
        negated(user_property("plan", "is_set")),
    ),
}
"""Each type of condition, its complement, and how conditions combine."""

OPERATORS: Mapping[str, Document] = {
    "operator_eq": any_of(
        user_property("p", "eq", value="gold"),
        user_property("p", "eq", value="10"),
        user_property("p", "eq", value=10),
        user_property("p", "eq", value=True),
    ),
    "operator_ordering": any_of(
        user_property("p", "gt", value=10),
        user_property("p", "lte", value="10.5"),
        user_property("p", "gte", value="2026-01-31T10:00:00+02:00"),
        user_property("p", "lt", value="2026-01-31"),
    ),
    "operator_between": any_of(
        user_property("p", "between", value=1, value2=2),
        user_property("p", "not_between", value="2026-01-01", value2="2026-01-31"),
    ),
    "operator_in": any_of(
        user_property("p", "in", value=["gold", 10, "10", True]),
        user_property("p", "not_in", value=["silver"]),
    ),
    "operator_contains": any_of(
        user_property("p", "contains", value="gold"),
        user_property("p", "contains", value=10),
        user_property("p", "does_not_contain", value=True),
    ),
    "operator_text": any_of(
        user_property("p", "starts_with", value="go"),
        user_property("p", "ends_with", value=0),
        user_property("p", "matches_regex", value="^go+ld$"),
    ),
    "operator_set": any_of(
        user_property("p", "is_set"),
        user_property("p", "is_not_set"),
        user_property("p", "is_true"),
        user_property("p", "is_false"),
    ),
}
"""Each property operator, with each kind of value that it is compiled differently for."""

MOVED: Mapping[str, Document] = {
    "moved_event_count": all_of(event_count("gte", 2)),
    "moved_event_count_in_a_window": all_of(event_count("gte", 2, window_days=30)),
    "moved_recency_gt": all_of(recency("gt", 30)),
    "moved_recency_lt": all_of(recency("lt", 30)),
    "moved_recency_eq": all_of(recency("eq", 30)),
    "moved_monetary": all_of(monetary("sum", "gte", 500)),
    "moved_event_property": all_of(event_property("coupon", "is_set")),
    "moved_user_property": all_of(user_property("plan", "is_set")),
    "moved_event_sequence": all_of(sequence("page_viewed", "order_placed", "page_viewed", window_days=7)),
    "moved_event_sequence_strict": all_of(sequence("page_viewed", "order_placed", strict=True, window_days=7)),
    "moved_segment_membership": all_of(membership("vip")),
    "moved_limits_in_common": all_of(
        event_count("gte", 2, window_days=30),
        negated(event_count("gte", 1, window_days=30)),
        group("OR", recency("lt", 30), recency("lt", 7)),
    ),
}
"""Each time limit."""


def last(amount: int, unit: str) -> Document:
    return {"last": amount, "unit": unit}


def asked(path: str, operator: str, **more: object) -> Document:
    return {"property": path, "operator": operator, **more}


GOLD = [asked("plan", "eq", value="gold"), asked("coupon", "is_not_set")]
APPLES = [asked("sku", "eq", value="apple"), asked("ripe_on", "in_last", value=last(2, "day"))]


def first_event(**more: object) -> Document:
    return {"type": "first_event", "event_type": "order_placed", **more}


def regularity(operator: str, value: int, unit: str = "week") -> Document:
    return {
        "type": "regularity",
        "event_type": "order_placed",
        "period": last(1, unit),
        "periods": 4,
        "min_periods": 3,
        "operator": operator,
        "value": value,
    }


def property_held(operator: str = "eq", **more: object) -> Document:
    value = {} if operator == "is_not_set" else {"value": "gold"}
    return {"type": "property_held", "property": "plan", "operator": operator, **value, **more}


VIEW_OF_SHOP = {"event_type": "page_viewed", "where": [asked("page", "eq", value="shop")]}

EXTENSIONS: Mapping[str, Document] = {
    "where": all_of(event_count("gte", 2, where=GOLD)),
    "where_of_a_recency": all_of(recency("gt", 30, where=GOLD)),
    "where_of_an_amount": all_of(monetary("max", "gte", 500, where=GOLD, window_days=7)),
    "where_of_an_event_property": all_of(event_property("total", "gt", value=10, where=GOLD)),
    "window_last_hours": all_of(event_count("gte", 2, window=last(36, "hour"))),
    "window_last_months": all_of(event_count("gte", 2, window=last(1, "month"))),
    "window_fixed": all_of(event_count("gte", 2, window={"from": "2026-01-01", "to": "2026-01-31T12:00:00+02:00"})),
    "window_ago": all_of(event_count("gte", 2, window={"from_ago": 90, "to_ago": 30, "unit": "day"})),
    "window_of_an_event_property": all_of(event_property("total", "gt", value=10, window=last(1, "year"))),
    "monetary_min": all_of(monetary("min", "gte", 5)),
    "monetary_median": all_of(monetary("median", "gte", 5)),
    "monetary_count_distinct": all_of(monetary("count_distinct", "gte", 5)),
    "monetary_of_array_elements": all_of(monetary("sum", "gte", 5, "orders[].items[].price")),
    "event_sequence_with_filters": all_of(sequence(VIEW_OF_SHOP, "order_placed")),
    "event_sequence_within": all_of(sequence(VIEW_OF_SHOP, "cart_updated", "order_placed", within=last(2, "hour"))),
    "event_sequence_strict_within": all_of(
        sequence(VIEW_OF_SHOP, "order_placed", strict=True, within=last(1, "month"))
    ),
    "first_event_in_a_window": all_of(first_event(window_days=30)),
    "first_event_between": all_of(first_event(window={"from_ago": 90, "to_ago": 30, "unit": "day"}, where=GOLD)),
    "regularity": all_of(regularity("gte", 2)),
    "regularity_of_at_most": all_of(regularity("lte", 2)),
    "regularity_in_months": all_of(regularity("gte", 2, "month")),
    "property_held_at_least": all_of(property_held(at_least=last(7, "day"))),
    "property_held_less_than": all_of(property_held("is_not_set", less_than=last(1, "month"))),
    "dates_against_now": any_of(
        *(user_property("due", operator, value=last(2, "day")) for operator in ("in_last", "in_next", "before_last")),
        user_property("due", "in_next", value=last(1, "month")),
    ),
    "array_step": any_of(
        user_property("items[].sku", "eq", value="apple"),
        user_property("items[].sku", "neq", value="apple"),
        user_property("orders[].items[].sku", "is_set"),
        user_property("tags[]", "starts_with", value="go"),
    ),
    "has_element": all_of(event_property("items", "has_element", where=APPLES)),
}
"""Each extension of the language."""

EXTENSIONS_MOVED: Mapping[str, Document] = {
    "moved_where": all_of(event_count("gte", 2, where=GOLD, window_days=7)),
    "moved_window_last_months": EXTENSIONS["window_last_months"],
    "moved_window_fixed": EXTENSIONS["window_fixed"],
    "moved_window_ago": EXTENSIONS["window_ago"],
    "moved_event_sequence_with_filters": all_of(sequence(VIEW_OF_SHOP, "order_placed", window=last(2, "hour"))),
    "moved_first_event": EXTENSIONS["first_event_between"],
    "moved_regularity": EXTENSIONS["regularity_in_months"],
    "moved_property_held": EXTENSIONS["property_held_at_least"],
    "moved_dates_against_now": EXTENSIONS["dates_against_now"],
    "moved_dates_of_elements": all_of(event_property("items", "has_element", where=APPLES, window=last(9, "day"))),
}
"""Each time limit that only an extension has."""
