"""What the UI shows and plots: metadata of assets, and of what one computation did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from segops_orchestration.compute.result import ComputationResult, SegmentResult
from segops_orchestration.warehouse.client import database_name

OWNERS = ["team:segops"]

Metadata = Mapping[str, Any]


def table_metadata(table: str, columns: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    """Spec metadata of a table that every tenant's database has; ``columns`` are (name, type, description)."""
    return {
        "dagster/table_name": f"segops_<tenant>.{table}",
        "dagster/column_schema": dg.TableSchema(
            columns=[dg.TableColumn(name, kind, description) for name, kind, description in columns]
        ),
    }


def tenant_metadata(result: ComputationResult) -> dict[str, Any]:
    """A computation of a tenant: totals that plot, and a table of its segments."""
    segments = result.segments
    return {
        "segments": len(segments),
        "segments_changed": sum(segment.changed for segment in segments),
        "members": sum(segment.members for segment in segments),
        "entered": sum(segment.entered for segment in segments),
        "exited": sum(segment.exited for segment in segments),
        "milliseconds": result.milliseconds,
        "rows_read": sum(segment.rows_read for segment in segments),
        "computed_at": dg.MetadataValue.timestamp(result.at),
        "mode": result.mode,
        "computation_id": str(result.computation_id),
        "watermark_block": str(result.watermark_block),
        "by_segment": dg.MetadataValue.md(_segment_table(segments)),
        "dagster/table_name": f"{database_name(result.tenant)}.segment_memberships",
        "dagster/partition_row_count": sum(segment.members for segment in segments),
    }


def segment_metadata(result: ComputationResult, segment: SegmentResult, history: Sequence[int]) -> dict[str, Any]:
    """One segment's part of a computation; ``history`` is how many members it had lately, oldest first.

    Dagster plots numbers over the partitions of an asset or over all of its events, never over one partition's events;
    so the course of this segment is drawn here, and ids are text, because a plot of them says nothing.
    """
    metadata: dict[str, Any] = {
        "members": segment.members,
        "members_lately": sparkline(history),
        "entered": segment.entered,
        "exited": segment.exited,
        "milliseconds": segment.milliseconds,
        "rows_read": segment.rows_read,
        "computed_at": dg.MetadataValue.timestamp(result.at),
        "mode": segment.mode,
        "version": str(segment.version),
        "segment_id": str(segment.segment_id),
        "computation_id": str(result.computation_id),
        "dagster/table_name": f"{database_name(result.tenant)}.segment_memberships",
        "dagster/partition_row_count": segment.members,
    }
    if segment.candidates is not None:
        metadata["candidates"] = segment.candidates
    if segment.reason:
        metadata["reason"] = segment.reason
    return metadata


_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[int]) -> str:
    """A course of numbers as a row of bars with its ends: ``▁▃▅█ 672 → 734``."""
    if not values:
        return ""
    low, span = min(values), max(values) - min(values)
    bars = "".join(_BARS[(value - low) * (len(_BARS) - 1) // span] if span else _BARS[0] for value in values)
    return f"{bars} {values[0]:,} → {values[-1]:,}"


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown; numbers get thousands separators."""
    head = [" | ".join(columns), " | ".join("---" for _ in columns)]
    lines = [*head, *(" | ".join(_cell(value) for value in row) for row in rows)]
    return "\n".join(f"| {line} |" for line in lines)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|")


def _segment_table(segments: Sequence[SegmentResult]) -> str:
    columns = ("segment", "members", "entered", "exited", "mode", "candidates", "ms", "reason")
    return markdown_table(
        columns,
        [
            (one.slug, one.members, one.entered, one.exited, one.mode, one.candidates, one.milliseconds, one.reason)
            for one in segments
        ],
    )
