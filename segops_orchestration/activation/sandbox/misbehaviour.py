"""What a sandbox can be told to do wrong, and how often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Of every sandbox; a platform's own are in its class.
KINDS: Mapping[str, str] = {
    "429": "too many requests: `wait` seconds in the vendor's header (1); null leaves the header out",
    "500": "a server error: `status` (500), `applied` before it or not (false)",
    "hang": "no answer for `seconds` (3600), then the connection is closed; `applied` or not (false)",
    "drop": "the connection is closed without an answer; `applied` or not (false)",
    "slow": "the answer comes after `seconds` (1)",
    "cap": "at most `per_second` requests (1) in any second, 429 above it; until it is called off",
    "key_revoked": "401 as if the key had been revoked",
}


@dataclass
class Misbehaviour:
    """One instruction.

    Attributes:
        times: how many calls it strikes; None for all until it is called off.
        skip: matching calls that pass before it strikes.
        calls: strikes only calls whose ``METHOD /path`` has this in it.
        chance: strikes a matching call with this probability.
        options: what the kind takes.
    """

    kind: str
    times: int | None = 1
    skip: int = 0
    calls: str = ""
    chance: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)

    def option(self, name: str, default: Any) -> Any:
        """An option, or what holds without it."""
        return self.options.get(name, default)

    @classmethod
    def from_document(cls, document: Mapping[str, Any], kinds: Mapping[str, str]) -> Misbehaviour:
        """Of a JSON object; what is not a field of this class is an option.

        Raises:
            ValueError: the kind is unknown.
        """
        fields = {name: document[name] for name in ("times", "skip", "calls", "chance") if name in document}
        kind = str(document.get("kind"))
        if kind not in kinds:
            raise ValueError(f"{kind!r} is no misbehaviour; there are {', '.join(kinds)}")
        if kind in ("cap", "key_revoked"):
            fields.setdefault("times", None)
        options = {name: value for name, value in document.items() if name != "kind" and name not in fields}
        return cls(kind, options=options, **fields)

    def as_document(self) -> dict[str, Any]:
        """The instruction as it stands now."""
        own = {"kind": self.kind, "times": self.times, "skip": self.skip, "calls": self.calls, "chance": self.chance}
        return {**own, **self.options}
