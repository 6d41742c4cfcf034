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
