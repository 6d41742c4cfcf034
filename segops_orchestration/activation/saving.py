"""Connectors into the catalogue, with a guard: one whose audience is not empty is not pointed at another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from segops_orchestration.activation.fields import require_same_target
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.connector_records import ConnectorSaved, ConnectorSpec, SyncKind
from segops_orchestration.catalog.people_records import Actor

_DELIVERIES: Sequence[SyncKind] = ("sync", "repair", "empty")


def save_connectors(
    catalog: Catalog,
    tenant: str,
    wanted: Sequence[tuple[ConnectorSpec, Mapping[str, str]]],
    *,
    as_read: Sequence[ConnectorSpec] = (),
    actor: Actor | None = None,
) -> list[ConnectorSaved]:
    """Create connectors or bring them to what the specs and secrets say, all or none; results in their order.

    Raises:
        NotFound: no such tenant or segment.
        Conflict: another type, segment or target than the connector has delivered to; an archived tenant or segment.
            ``ChangedMeanwhile``: one is not any more as in ``as_read``.
    """
    known = {one.slug: one for one in catalog.connectors.every(tenant)}
    for spec, _ in wanted:
        before = known.get(spec.slug)
        if before is None or before.type != spec.type:
            continue
        last = catalog.connectors.list_syncs(tenant, spec.slug, kinds=_DELIVERIES, limit=1)
        if last and last[0].counts.audience != 0:
            require_same_target(spec.slug, spec.type, before.config, spec.config)
    return catalog.connectors.save(tenant, wanted, as_read=as_read, actor=actor)
