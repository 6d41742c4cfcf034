"""Extensions of the language that this version knows by name and does not support.

They are refused with a sentence of their own, so nobody takes a missing feature for a typing error. Building
one means deleting its line here.
"""

from __future__ import annotations

NOT_BUILT: frozenset[tuple[str, str]] = frozenset(
    {
        ("type", "first_event"),
        ("type", "regularity"),
        ("type", "property_held"),
        ("type", "sample"),
        ("type", "top_n"),
        ("type", "static_list"),
        ("field", "event_count.where"),
        ("field", "event_count.window"),
        ("field", "recency.where"),
        ("field", "monetary.where"),
        ("field", "monetary.window"),
        ("field", "monetary.window_days"),
        ("field", "event_property.where"),
        ("field", "event_property.window"),
        ("field", "user_property.where"),
        ("field", "event_sequence.where"),
        ("field", "event_sequence.window"),
        ("field", "event_sequence.within"),
        ("field", "document.timezone"),
        ("metric", "min"),
        ("metric", "median"),
        ("metric", "count_distinct"),
        ("operator", "has_element"),
        ("operator", "in_last"),
        ("operator", "in_next"),
        ("operator", "before_last"),
        ("form", "sequence step as an object"),
        ("form", "array step"),
    }
)


def is_not_built(kind: str, name: str) -> bool:
    """Whether this type, field, metric, operator or form is an extension that is not supported yet."""
    return (kind, name) in NOT_BUILT


def refusal(what: str) -> str:
    """The sentence that refuses an extension."""
    return f"{what} is an extension of the segment language that this version does not support"
