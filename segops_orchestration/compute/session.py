"""One computation's way to ClickHouse: what it binds in every query, and what it reads back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from segops_orchestration.compiler.parameters import instant_text
from segops_orchestration.warehouse.client import TenantWarehouse

# A query of a computation may run for an hour.
MAX_QUERY_SECONDS = 3600
_MOST_BLOCK_BYTES = 256 << 20
# Planning a small statement takes longer than running it; splitting fewer than these gains nothing.
_LEAST_PER_BATCH = 3

T = TypeVar("T")


@dataclass(frozen=True)
class ComputeSession:
    """A tenant's warehouse during one computation."""

    warehouse: TenantWarehouse
    computation_id: int
    membership_version: int
    at: datetime
    run_id: str | None

    @property
    def query_memory(self) -> int:
        """Bytes that one query may hold on the server."""
        return self.warehouse.query_memory

    def run(
        self,
        sql: str,
        parameters: Mapping[str, object] | None = None,
        *,
        segment: str | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> int:
        """Run an INSERT or DDL; returns the rows that ClickHouse read for it."""
        summary = self.warehouse.command(sql, self._bind(parameters), {**self._settings(segment), **(settings or {})})
        return _rows_read(summary)

    def rows(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[tuple[Any, ...]]:
        """Run a SELECT and return its rows."""
        result = self.warehouse.query(sql, self._bind(parameters), self._settings(None))
        return [tuple(row) for row in result.result_rows]

    def _bind(self, parameters: Mapping[str, object] | None) -> dict[str, object]:
        return {
            "at": instant_text(self.at),
            "computation_id": self.computation_id,
            "membership_version": self.membership_version,
            **(parameters or {}),
        }

    def _settings(self, segment: str | None) -> dict[str, object]:
        comment = {
            "tenant": self.warehouse.slug,
            "computation": self.computation_id,
            "segment": segment,
            "run_id": self.run_id,
        }
        return {
            "log_comment": json.dumps({key: value for key, value in comment.items() if value is not None}),
            "max_execution_time": MAX_QUERY_SECONDS,
            **memory_settings(self.query_memory),
            # The deliveries of one event have one occurred_at, so they share a partition.
            "do_not_merge_across_partitions_select_final": 1,
        }


def memory_settings(limit: int) -> dict[str, object]:
    """ClickHouse settings that keep a query within ``limit`` bytes: what can go to disk does so in time."""
    return {
        "max_memory_usage": limit,
        # A strict sequence of 500,000 users took 1.3 to 1.6 times as long when it had to; dividing costs less.
        "max_bytes_before_external_group_by": limit // 2,
        "max_bytes_before_external_sort": limit // 2,
        # Blocks of an INSERT are held twice while they are sorted.
        "min_insert_block_size_bytes": min(limit // 16, _MOST_BLOCK_BYTES),
    }


def _rows_read(summary: Any) -> int:
    fields: Mapping[str, Any] = getattr(summary, "summary", {}) or {}
    return int(fields.get("read_rows", 0))


def split_evenly(items: Sequence[T], most: int) -> list[Sequence[T]]:
    """Batches of at most ``most`` items, and at least two where there is enough: the server then plans two at once."""
    if len(items) <= _LEAST_PER_BATCH:
        return [items] if items else []
    batches = max(2, -(-len(items) // most))
    size = -(-len(items) // batches)
    return [items[start : start + size] for start in range(0, len(items), size)]
