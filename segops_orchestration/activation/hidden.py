"""What nobody is shown again: secrets, and the query of an address, which often is one (``?token=...``)."""

from __future__ import annotations

HIDDEN = "***"


def without_query(value: object) -> object:
    """A URL with ``***`` in place of its query; anything else as it is."""
    if not isinstance(value, str) or "://" not in value or "?" not in value:
        return value
    return f"{value.partition('?')[0]}?{HIDDEN}"


def query_fault(url: str) -> str | None:
    """What is wrong with a URL that has ``***`` for a query, and is not the one that is stored."""
    if not url.endswith(f"?{HIDDEN}"):
        return None
    return f"ends with ?{HIDDEN}, which stands for the query that is stored with another address; give the query itself"


def shown_url(url: str) -> str:
    """``without_query`` of a URL."""
    return str(without_query(url))
