"""Do the stored members follow from the definitions? Users evaluated anew at the committed instant.

Of a segment with few members all users are looked at, since hardly any member of it would be in a sample.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.records import CommittedSegment, Segment
from segops_orchestration.compiler.parameters import instant_text
from segops_orchestration.compiler.segment import compile_members
from segops_orchestration.compiler.source import ONE_BUCKET
from segops_orchestration.compute.buckets import first_buckets, in_buckets
from segops_orchestration.compute.compared import compared_with_stored
from segops_orchestration.compute.compute import read_watermark
from segops_orchestration.compute.lease import HeldLease
from segops_orchestration.compute.plan import Resolver, Watermark, full_reason
from segops_orchestration.compute.recovery import recover
from segops_orchestration.compute.session import ComputeSession
from segops_orchestration.dsl.parse import parse_definition
from segops_orchestration.dsl.references import referenced_segments
from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse

SAMPLE_USERS = 1000
_EXAMPLES = 5

_COMPARE = """SELECT
  countIf(is_in > was), countIf(is_in < was), arraySort(groupArrayIf({examples})(user_id, is_in != was))
FROM {compared}
WHERE user_id NOT IN ({drifted})"""

# Whom a computation of that time did not know yet: see candidates.Arrived.
_DRIFTED = """SELECT user_id FROM arrivals
WHERE (_block_number > {since_block:UInt64} OR ingested_at > {since_at:DateTime64(3, 'UTC')})"""


@dataclass(frozen=True)
class SegmentVerification:
    """What the sample says about one segment.

    Attributes:
        skipped: why it could not be judged; empty when it was.
        users: how many users were looked at, ``drifted`` ones included: those of whom events have arrived since the
            computation, so that the stored answer may rightly differ. They are not judged.
        missing: users who should be members and are not; ``surplus``: members who should not be.
        examples: some of these users.
    """

    slug: str
    skipped: str = ""
    users: int = 0
    drifted: int = 0
    missing: int = 0
    surplus: int = 0
    examples: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether no difference was found."""
        return not self.missing and not self.surplus


@dataclass(frozen=True)
class Verification:
    """A tenant's verification.

    Attributes:
        users: the size of the sample: users whose ``cityHash64(user_id) % buckets`` is ``bucket``.
        behind: the time since the instant of the oldest members; None when nothing is computed.
    """

    tenant: str
    users: int
    bucket: int
    buckets: int
    segments: tuple[SegmentVerification, ...]
    behind: timedelta | None = None

    @property
    def mismatches(self) -> tuple[SegmentVerification, ...]:
        """The segments with a difference."""
        return tuple(segment for segment in self.segments if not segment.agrees)


def verify(
    catalog: Catalog,
    warehouse: Warehouse,
    tenant: str,
    *,
    sample_users: int = SAMPLE_USERS,
    bucket: int | None = None,
    run_id: str | None = None,
) -> Verification:
    """Evaluate every active segment for about ``sample_users`` users, and compare with the stored members.

    Of segments that have no more members than that, all users are looked at. Judged is only what must agree: users of
    whom no event has arrived, in segments whose definition is the same and whose referenced segments have not moved
    since they were computed. The tenant's lease is held meanwhile.

    Args:
        bucket: which part of the users to look at; a random one by default.

    Raises:
        NotFound, Conflict: no such tenant, or it is archived.
        TenantBusy: the tenant is being computed.
        WarehouseError: ClickHouse refused or could not be reached.
    """
    database = warehouse.tenant(catalog.get_tenant(tenant).slug)
    with HeldLease(catalog, tenant, run_id) as held:
        committed = catalog.committed_state(tenant)
        segments = catalog.list_segments(tenant)
        if not any(segment.id in committed for segment in segments):
            return Verification(
                tenant, 0, 0, 1, tuple(SegmentVerification(one.slug, "never computed") for one in segments)
            )
        recover(catalog, database, held.lease)
        sample = _Sample.of(database, sample_users, bucket)
        watermark = read_watermark(database)
        resolver = Resolver(tenant, segments)
        committed = catalog.committed_state(tenant)
        verified = tuple(_verify(database, one, resolver, committed, watermark, sample) for one in segments)
    oldest = min(committed[one.id].at for one in segments if one.id in committed)
    return Verification(tenant, sample.users, sample.bucket, sample.buckets, verified, watermark.at - oldest)


@dataclass(frozen=True)
class _Sample:
    most: int
    all_users: int
    users: int
    bucket: int
    buckets: int

    @classmethod
    def of(cls, warehouse: TenantWarehouse, sample_users: int, bucket: int | None) -> _Sample:
        ((total,),) = warehouse.query("SELECT uniqExact(user_id) FROM users").result_rows
        buckets = max(1, -(-int(total) // sample_users))
        chosen = secrets.randbelow(buckets) if bucket is None else bucket % buckets
        parameters = {"bucket": chosen, "buckets": buckets}
        ((users,),) = warehouse.query(
            f"SELECT uniqExact(user_id) FROM users WHERE {ONE_BUCKET.user_filters[0]}", parameters
        ).result_rows
        return cls(sample_users, int(total), int(users), chosen, buckets)


def _verify(
    warehouse: TenantWarehouse,
    segment: Segment,
    resolver: Resolver,
    committed: Mapping[int, CommittedSegment],
    watermark: Watermark,
    sample: _Sample,
) -> SegmentVerification:
    definition = parse_definition(segment.definition)
    references = [resolver.id(key) for key in referenced_segments(definition)]
    skipped = _skip_reason(segment, references, committed, watermark)
    if skipped:
        return SegmentVerification(segment.slug, skipped)
    state = committed[segment.id]
    session = ComputeSession(warehouse, state.computation_id, 0, state.at, run_id=None)
    query = compile_members(definition, ONE_BUCKET, resolver.id)
    of_bucket = " AND ".join(ONE_BUCKET.user_filters)
    drifted = f"{_DRIFTED}\n  AND {of_bucket}"
    compare = _COMPARE.format(
        compared=compared_with_stored(query.sql, ONE_BUCKET.user_filters), drifted=drifted, examples=_EXAMPLES
    )
    found: list[tuple[int, int, int, list[str]]] = []

    def look(bucket: int, buckets: int) -> int:
        bound = {
            **query.parameters,
            "segment_id": segment.id,
            "bucket": bucket,
            "buckets": buckets,
            "since_block": state.watermark_block,
            "since_at": instant_text(state.watermark_at or state.at),
        }
        ((missing, surplus, examples),) = session.rows(compare, bound)
        ((left_out,),) = session.rows(f"SELECT uniqExact(user_id) FROM ({drifted})", bound)
        found.append((int(left_out), int(missing), int(surplus), examples))
        return 0

    everyone = state.members <= sample.most
    if everyone:
        buckets = first_buckets(session, sample.all_users, [definition])
        in_buckets(f"segment {segment.slug}", buckets, look, lambda bucket, of: None)
    else:
        look(sample.bucket, sample.buckets)
    return SegmentVerification(
        segment.slug,
        users=sample.all_users if everyone else sample.users,
        drifted=sum(one[0] for one in found),
        missing=sum(one[1] for one in found),
        surplus=sum(one[2] for one in found),
        examples=tuple(sorted(user for one in found for user in one[3])[:_EXAMPLES]),
    )


def _skip_reason(
    segment: Segment, references: list[int], committed: Mapping[int, CommittedSegment], watermark: Watermark
) -> str:
    """Why stored members may rightly differ from an evaluation now, whoever it is; empty when they may not."""
    state = committed.get(segment.id)
    if state is None:
        return "never computed"
    if state.segment_version != segment.version:
        return "its definition was edited since"
    reason = full_reason(segment, state, state.at, watermark)
    if reason:
        return reason
    if any(one not in committed or committed[one].at != state.at for one in references):
        return "a segment that it refers to was computed at another instant"
    return ""
