"""Extensions of the language that are planned, known by name and not supported yet.

They are refused with a sentence of their own, so nobody takes a missing feature for a typing error. Building
one means deleting its line here.
"""

from __future__ import annotations

NOT_BUILT: frozenset[tuple[str, str]] = frozenset(
    {
        ("type", "sample"),
        ("type", "top_n"),
        ("type", "static_list"),
        ("field", "timezone"),
        ("field", "event_type_prefix"),
        ("field", "calendar"),
    }
)


def is_not_built(kind: str, name: str) -> bool:
    """Whether this type of condition, or this field (of whatever object), is planned and not supported yet."""
    return (kind, name) in NOT_BUILT


def refusal(what: str) -> str:
    """The sentence that refuses an extension."""
    return f"{what} is an extension of the segment language that this version does not support"
