"""Which column of a file says what about an event."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from segops_orchestration.warehouse.ingest.limits import event_type_fault
from segops_orchestration.warehouse.ingest.time_format import check_time_format


@dataclass(frozen=True)
class ColumnMapping:
    """How columns become events. A value left at None means the column of that very name.

    Attributes:
        user_id: column holding the user's id.
        occurred_at: column holding the time of the event.
        event_type: a column if the file has one of that name, else the event type of every row.
        event_id: column holding the event's id; without one, ids come from the file's content and row numbers.
        payload: column holding the payload as a JSON object. Without one, every column that is neither mapped nor
            dropped becomes a payload property.
        occurred_at_format: ``epoch_seconds``, ``epoch_milliseconds`` or a strptime format such as ``%Y%m%d``;
            None means ISO dates and times.
        drop: columns to leave out.
    """

    user_id: str | None = None
    occurred_at: str | None = None
    event_type: str | None = None
    event_id: str | None = None
    payload: str | None = None
    occurred_at_format: str | None = None
    drop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a time format that could not name a day.

        Raises:
            SegOpsError: occurred_at_format is none of the allowed forms.
        """
        check_time_format(self.occurred_at_format)


@dataclass(frozen=True)
class Roles:
    """A mapping applied to one file's columns. Exactly one of the two event type attributes is set."""

    user_id: str
    occurred_at: str
    event_type_column: str | None
    event_type_constant: str | None
    event_id: str | None
    payload: str | None
    properties: tuple[str, ...]
    drop: tuple[str, ...]
    occurred_at_format: str | None

    @property
    def identity(self) -> bytes:
        """What, beside the file's content and the row, a derived event id depends on."""
        parts = [
            self.user_id,
            self.event_type_column,
            self.event_type_constant,
            self.occurred_at,
            self.occurred_at_format,
        ]
        return json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode()

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that has to be read."""
        named = (self.user_id, self.occurred_at, self.event_type_column, self.event_id, self.payload)
        return tuple(dict.fromkeys([each for each in named if each is not None] + list(self.properties)))


# Of events whose fields have the names that we give them.
EVENT_ROLES = Roles(
    user_id="user_id",
    occurred_at="occurred_at",
    event_type_column="event_type",
    event_type_constant=None,
    event_id="event_id",
    payload="payload",
    properties=(),
    drop=(),
    occurred_at_format=None,
)


def resolve(mapping: ColumnMapping, columns: Sequence[str], *, open_ended: bool = False) -> tuple[Roles, list[str]]:
    """Apply a mapping to the columns of a file.

    Args:
        columns: the file's columns in order.
        open_ended: further columns may turn up later (JSON lines), so a column to drop need not be there.

    Returns:
        The roles, and what is wrong with them: one message a fault, none when the mapping fits.
    """
    faults: list[str] = []
    event_type_column, constant = _event_type(mapping, columns, faults)
    roles = Roles(
        user_id=_required("user_id", mapping.user_id, columns, faults),
        occurred_at=_required("occurred_at", mapping.occurred_at, columns, faults),
        event_type_column=event_type_column,
        event_type_constant=constant,
        event_id=_optional("event_id", mapping.event_id, columns, mapping.drop, open_ended, faults),
        payload=_optional("payload", mapping.payload, columns, mapping.drop, open_ended, faults),
        properties=(),
        drop=mapping.drop,
        occurred_at_format=mapping.occurred_at_format,
    )
    faults += _drop_faults(mapping.drop, columns, roles, open_ended)
    rest = tuple(each for each in columns if each not in mapping.drop and each not in roles.columns)
    if roles.payload is not None and rest and not open_ended:
        faults.append(
            f"{_listed(rest)} beside the payload column {roles.payload!r}: a payload is taken whole, so leave out"
            " what is not part of it with --drop, or drop the payload column to use the others"
        )
    return replace(roles, properties=() if roles.payload is not None else rest), faults


# Of two spellings as near as this, one is taken for a slip of the other: event_typ, evnt_type.
_SLIP = 0.85


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the nearest spelling, or nothing."""
    folded = {each.strip().casefold().replace(" ", "_"): each for each in known}
    found = difflib.get_close_matches(name.casefold().replace(" ", "_"), folded, n=1, cutoff=0.6)
    return f"; did you mean {folded[found[0]]!r}?" if found else ""


def _required(role: str, given: str | None, columns: Sequence[str], faults: list[str]) -> str:
    name = given or role
    if name in columns:
        return name
    option = "--" + role.replace("_", "-")
    how = "" if given else f" (name the right one with {option})"
    faults.append(f"no column {name!r}{how}{nearest(name, columns) or '; ' + _has(columns)}")
    return name


def _optional(
    role: str,
    given: str | None,
    columns: Sequence[str],
    dropped: Sequence[str],
    open_ended: bool,
    faults: list[str],
) -> str | None:
    if given is None:
        return role if (open_ended or role in columns) and role not in dropped else None
    if given not in columns:
        faults.append(f"no column {given!r}{nearest(given, columns) or '; ' + _has(columns)}")
    return given


def _event_type(mapping: ColumnMapping, columns: Sequence[str], faults: list[str]) -> tuple[str | None, str | None]:
    name = mapping.event_type if mapping.event_type is not None else "event_type"
    if name in columns:
        return name, None
    if mapping.event_type is None:
        faults.append(
            "no column 'event_type': give --event-type a column, or the event type that every row is"
            f"{nearest(name, columns) or '; ' + _has(columns)}"
        )
        return name, None
    fault = event_type_fault(name)
    if fault:
        faults.append(f"event type {name!r} is {fault}")
    # Events loaded under a mistyped column's name would be there for good.
    used = [column for column in columns if column not in mapping.drop]
    slip = difflib.get_close_matches(name, used, n=1, cutoff=_SLIP)
    if slip:
        faults.append(
            f"no column {name!r} for --event-type; did you mean {slip[0]!r}? If it is the type of every row,"
            f" say so with --drop {slip[0]}"
        )
    return None, name


def _drop_faults(drop: Sequence[str], columns: Sequence[str], roles: Roles, open_ended: bool) -> list[str]:
    faults = []
    for name in drop:
        if name in roles.columns:
            faults.append(f"column {name!r} is both used and dropped")
        elif name not in columns and not open_ended:
            faults.append(f"no column {name!r} to drop{nearest(name, columns) or '; ' + _has(columns)}")
    return faults


def _has(columns: Sequence[str]) -> str:
    return f"the file has {_listed(columns)}"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name if len(name) <= 40 else name[:39] + "…") for name in names[:12])
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"column{'s' if len(names) != 1 else ''} {shown}{more}" if names else "no columns"
