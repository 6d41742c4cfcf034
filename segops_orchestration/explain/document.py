"""An explanation as a JSON document; instants stay datetimes, for the writer to spell."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from segops_orchestration.explain.explain import ExplainedCondition, Explanation


def explanation_document(found: Explanation) -> dict[str, Any]:
    """All that was found out. Fields are always there, null where they do not apply."""
    return {
        "tenant": found.tenant,
        "segment_id": found.segment.id,
        "slug": found.segment.slug,
        "name": found.segment.name,
        "version": found.segment.version,
        "status": found.segment.status,
        "user_id": found.user_id,
        "at": found.at,
        "events": found.events,
        "is_member": found.is_member,
        "flips_at": found.flips_at,
        "no_flip_before": found.no_flip_before,
        "stored": asdict(found.stored) if found.stored else None,
        "definition": _condition(found.definition),
    }


def _condition(found: ExplainedCondition) -> dict[str, Any]:
    return {
        "path": found.path,
        "type": found.type,
        "asks": found.asks,
        "holds": found.holds,
        "flips_at": found.flips_at,
        "actual": found.actual,
        "threshold": found.threshold,
        "decided_by": [asdict(event) for event in found.decided_by],
        "slug": found.segment,
        "unfolded_at": found.unfolded_at,
        # Of what combines conditions the document is that of all below, which say it themselves.
        "document": found.document if found.threshold is not None else None,
        "conditions": [_condition(inner) for inner in found.conditions],
    }
