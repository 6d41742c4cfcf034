"""What the event sensor remembers from tick to tick. Losing it costs nothing but a few repeated observations."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

_VERSION = 1


@dataclass
class Cursor:
    """The sensor's memory, by tenant.

    Attributes:
        observed: the arrival block that was last reported as an observation.
        registered: how many active segments there were when their partitions were last registered.
        waiting_since: unix seconds at which the tenant was first seen to wait.
    """

    observed: dict[str, int] = field(default_factory=dict)
    registered: dict[str, int] = field(default_factory=dict)
    waiting_since: dict[str, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> Cursor:
        """Read a cursor; whatever is unreadable or of another version counts as none."""
        try:
            document = json.loads(text or "{}")
            if document.get("v") != _VERSION:
                return cls()
            return cls(*(_numbers(document[name]) for name in ("observed", "registered", "waiting_since")))
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls()

    def text(self) -> str:
        """The same as text."""
        document = {
            "v": _VERSION,
            "observed": self.observed,
            "registered": self.registered,
            "waiting_since": self.waiting_since,
        }
        return json.dumps(document, separators=(",", ":"), sort_keys=True)


def _numbers(document: dict[str, Any]) -> dict[str, int]:
    return {str(key): int(value) for key, value in document.items()}
