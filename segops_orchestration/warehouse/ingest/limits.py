"""What an event may hold. One place, so that files and Python callers meet the same rules."""

from __future__ import annotations

import unicodedata

USER_ID_CHARACTERS = 512
EVENT_TYPE_CHARACTERS = 256
EVENT_ID_CHARACTERS = 256
PAYLOAD_BYTES = 256 * 1024
# ClickHouse's JSON functions answer "no such property" for a document nested deeper than its parser goes (1,024).
PAYLOAD_DEPTH = 256
# DateTime64(3) holds 1900 to 2299; an instant outside these years is a mistake in the data, not an event.
FIRST_YEAR = 1970
LAST_YEAR = 2200
# What of a refused value is kept in dead_letters, and what of it is shown.
KEPT_CHARACTERS = 1000
SHOWN_CHARACTERS = 60


def event_type_fault(text: str) -> str | None:
    """Why a text cannot be an event type, or None."""
    if not text.strip():
        return "empty"
    if len(text) > EVENT_TYPE_CHARACTERS:
        return f"longer than {EVENT_TYPE_CHARACTERS} characters"
    if any(unicodedata.category(char) == "Cc" for char in text):
        return "not allowed to hold control characters"
    return None
