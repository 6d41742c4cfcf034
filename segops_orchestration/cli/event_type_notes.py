"""Notes on event types that segment files name and no event of a tenant has. Only notes: the events may yet come."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from segops_orchestration.cli.output import note
from segops_orchestration.cli.segment_files import SegmentFile
from segops_orchestration.errors import WarehouseError
from segops_orchestration.settings import Settings

if TYPE_CHECKING:
    from segops_orchestration.proposals.event_types import UnknownEventType


def tell_unknown_event_types(settings: Settings, tenant: str, files: Sequence[SegmentFile]) -> None:
    """Look the files' event types up among the tenant's events, and say which are not there.

    A warehouse out of reach is no reason to fail: whoever asks has done what they were asked to do.
    """
    from segops_orchestration.proposals.event_types import unknown_event_types
    from segops_orchestration.warehouse.client import Warehouse

    definitions = {file.document.slug: file.document.definition for file in files}
    try:
        with closing(Warehouse.connect(settings)) as warehouse:
            database = warehouse.tenant(tenant)
            unknown = unknown_event_types(database, definitions) if database.exists() else []
    except WarehouseError as error:
        note(f"Event types were not compared with the tenant's events: {error}")
        return
    for message in messages(unknown, files):
        note(message)


def messages(unknown: Iterable[UnknownEventType], files: Iterable[SegmentFile]) -> list[str]:
    """One line each, with its file."""
    paths = {file.document.slug: file.path for file in files}
    return [f"{paths[one.slug]}: {one}" for one in unknown]
