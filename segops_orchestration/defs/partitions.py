"""Tenants and segments as dynamic partitions: data, never definitions, so that new ones need no reload."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import dagster as dg

TENANTS = "tenants"
SEGMENTS = "segments"

tenant_partitions = dg.DynamicPartitionsDefinition(name=TENANTS)
segment_partitions = dg.DynamicPartitionsDefinition(name=SEGMENTS)

# One policy for the whole spine: only assets that agree in it share the runs of a backfill.
SPINE_BACKFILLS = dg.BackfillPolicy.multi_run(max_partitions_per_run=25)

# One INSERT or SELECT names at most this many keys: SQLite limits the variables of a statement.
_KEYS_AT_ONCE = 1000


def segment_key(tenant: str, slug: str) -> str:
    """The partition key of a segment. ``/`` lets the UI select ``acme/*``."""
    return f"{tenant}/{slug}"


def split_segment_key(key: str) -> tuple[str, str]:
    """(tenant, slug) of a segment's partition key."""
    tenant, _, slug = key.partition("/")
    return tenant, slug


def tenant_of(key: str) -> str:
    """The tenant that a partition key of either kind belongs to."""
    return split_segment_key(key)[0]


def by_tenant(segment_keys: Iterable[str]) -> dict[str, list[str]]:
    """Slugs by tenant. A range follows the order in which keys were added, so one range can hold many tenants."""
    grouped: dict[str, list[str]] = {}
    for key in segment_keys:
        tenant, slug = split_segment_key(key)
        grouped.setdefault(tenant, []).append(slug)
    return grouped


def missing_keys(instance: dg.DagsterInstance, name: str, keys: Sequence[str]) -> list[str]:
    """Those of ``keys`` that are no partitions yet, in their order."""
    existing: set[str] = set()
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        existing |= set(instance.get_existing_dynamic_partitions(name, keys[start : start + _KEYS_AT_ONCE]))
    return [key for key in keys if key not in existing]


def register(instance: dg.DagsterInstance, name: str, keys: Sequence[str]) -> None:
    """Make partitions of those of ``keys`` that are none yet."""
    missing = missing_keys(instance, name, keys)
    for start in range(0, len(missing), _KEYS_AT_ONCE):
        instance.add_dynamic_partitions(name, missing[start : start + _KEYS_AT_ONCE])
