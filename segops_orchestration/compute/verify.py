"""Do the stored members follow from the definitions? A sample of users, evaluated anew at the committed instant."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.records import CommittedSegment, Segment
from segops_orchestration.compiler.segment import compile_members
from segops_orchestration.compiler.source import ONE_BUCKET
from segops_orchestration.compute.compute import read_watermark
from segops_orchestration.compute.lease import HeldLease
from segops_orchestration.compute.plan import Resolver
from segops_orchestration.compute.recovery import recover
from segops_orchestration.compute.session import ComputeSession
from segops_orchestration.dsl.parse import parse_definition
from segops_orchestration.dsl.references import referenced_segments
from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse

SAMPLE_USERS = 1000
_EXAMPLES = 5

_COMPARE = """SELECT
  countIf(is_in > was), countIf(is_in < was), arraySort(groupArrayIf({examples})(user_id, is_in != was))
FROM (
  SELECT user_id, sum(now_in) AS is_in, sum(was_in) AS was
  FROM (
    SELECT user_id, 1 AS now_in, 0 AS was_in FROM (
{members}
    )
    UNION ALL
    SELECT user_id, 0 AS now_in, 1 AS was_in FROM segment_memberships FINAL
    WHERE segment_id = {{segment_id:UInt64}} AND {sample}
  )
  GROUP BY user_id
)"""


@dataclass(frozen=True)
class SegmentVerification:
    """What the sample says about one segment.

    Attributes:
        skipped: why it could not be judged; empty when it was.
        missing: users who should be members and are not; ``surplus``: members who should not be.
        examples: some of these users.
    """

    slug: str
    skipped: str = ""
    missing: int = 0
    surplus: int = 0
    examples: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether no difference was found."""
        return not self.missing and not self.surplus


@dataclass(frozen=True)
class Verification:
    """A tenant's verification: users whose ``cityHash64(user_id) % buckets`` is ``bucket`` were looked at."""

    tenant: str
    users: int
    bucket: int
    buckets: int
    segments: tuple[SegmentVerification, ...]

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

    Judged is only what must agree: segments of which no event has arrived, no definition changed and no referenced
    segment moved since they were computed. The tenant's lease is held meanwhile.

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
        block = read_watermark(database).block
        resolver = Resolver(tenant, segments)
        committed = catalog.committed_state(tenant)
        return Verification(
            tenant,
            sample.users,
            sample.bucket,
            sample.buckets,
            tuple(_verify(database, one, resolver, committed, block, sample) for one in segments),
        )


@dataclass(frozen=True)
class _Sample:
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
        return cls(int(users), chosen, buckets)


def _verify(
    warehouse: TenantWarehouse,
    segment: Segment,
    resolver: Resolver,
    committed: Mapping[int, CommittedSegment],
    block: int,
    sample: _Sample,
) -> SegmentVerification:
    definition = parse_definition(segment.definition)
    references = [resolver.id(key) for key in referenced_segments(definition)]
    skipped = _skip_reason(segment, references, committed, block)
    if skipped:
        return SegmentVerification(segment.slug, skipped)
    state = committed[segment.id]
    query = compile_members(definition, ONE_BUCKET, resolver.id)
    session = ComputeSession(warehouse, state.computation_id, 0, state.at, run_id=None)
    sql = _COMPARE.format(members=query.sql, sample=" AND ".join(ONE_BUCKET.user_filters), examples=_EXAMPLES)
    ((missing, surplus, examples),) = session.rows(
        sql,
        {
            **query.parameters,
            "segment_id": segment.id,
            "bucket": sample.bucket,
            "buckets": sample.buckets,
        },
    )
    return SegmentVerification(segment.slug, "", int(missing), int(surplus), tuple(examples))


def _skip_reason(segment: Segment, references: list[int], committed: Mapping[int, CommittedSegment], block: int) -> str:
    """Why stored members may rightly differ from an evaluation now; empty when they may not."""
    state = committed.get(segment.id)
    if state is None:
        return "never computed"
    if state.segment_version != segment.version:
        return "its definition was edited since"
    if state.watermark_block != block:
        return "events have arrived since"
    if any(one not in committed or committed[one].at != state.at for one in references):
        return "a segment that it refers to was computed at another instant"
    return ""
