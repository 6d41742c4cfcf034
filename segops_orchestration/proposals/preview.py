"""How many users a definition matches, before anything of it is saved or computed."""

from __future__ import annotations

import json
import math
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import nsmallest
from typing import Any

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.records import Segment
from segops_orchestration.catalog.tables import to_milliseconds
from segops_orchestration.compiler.conditions import ResolveSegment
from segops_orchestration.compiler.parameters import instant_text
from segops_orchestration.compiler.segment import CompiledQuery, compile_members
from segops_orchestration.compiler.source import EVERYONE, ONE_BUCKET
from segops_orchestration.compute.buckets import MOST_BUCKETS, first_buckets, in_buckets
from segops_orchestration.compute.plan import Resolver
from segops_orchestration.compute.session import ComputeSession, memory_settings
from segops_orchestration.dsl.models import Definition
from segops_orchestration.dsl.parse import parse_definition
from segops_orchestration.dsl.references import referenced_segments
from segops_orchestration.dsl.segment_file import SegmentDocument
from segops_orchestration.errors import InvalidDocument, Problem, SegOpsError, WarehouseError
from segops_orchestration.warehouse.client import TenantWarehouse

MAX_SECONDS = 20
# So many users are counted one by one; of more, an estimate looks at a part.
COUNTED_USERS = 200_000
# What one preview may hold: several go on at a time, beside computations.
_MEMORY_SHARE = 2

_COUNT = "SELECT count(), groupArraySorted({sample})(user_id) FROM (\n{members}\n)"
_PLACEHOLDER = re.compile(r"\{(\w+):([^{}]+)\}")
_SOURCE = "preview"


class TooSlow(SegOpsError):
    """Evaluating the definition took longer than a preview may."""

    def __init__(self) -> None:
        super().__init__(
            f"evaluating this took longer than the {MAX_SECONDS} seconds allowed; narrow it (a window, an event type), "
            "or save it and compute it"
        )


@dataclass(frozen=True)
class Preview:
    """Users that match now: how many, the first of them by id, and the SQL that finds them."""

    matched_users: int
    sample: tuple[str, ...]
    sql: str


@dataclass(frozen=True)
class Estimate:
    """How many users match now. ``sampled``: only a part of the users was looked at, and the number scaled up."""

    matched_users: int
    sampled: bool


def preview(catalog: Catalog, database: TenantWarehouse, definition: Definition, sample: int) -> Preview:
    """Evaluate a definition for everyone, now; the segments that it refers to as they are defined now.

    Raises:
        NotFound, Conflict: no such tenant, or it is archived.
        InvalidDocument: it refers to no active segment; by the path in the field ``definition``.
        TooSlow: it took too long.
        WarehouseError: ClickHouse refused or could not be reached.
    """
    evaluation = _Evaluation(definition, _checked(catalog, database.slug, definition), database)
    matched, found = evaluation.count(sample)
    return Preview(matched, found, evaluation.sql())


def estimate(catalog: Catalog, database: TenantWarehouse, segment: Segment) -> Estimate:
    """About how many users a segment's definition matches now.

    Raises:
        As ``preview``.
    """
    definition = parse_definition(segment.definition)
    evaluation = _Evaluation(definition, _checked(catalog, database.slug, definition), database)
    parts = min(MOST_BUCKETS, -(-evaluation.users // COUNTED_USERS))
    if parts <= 1:
        return Estimate(evaluation.count(0)[0], sampled=False)
    return Estimate(evaluation.count_part(parts) * parts, sampled=True)


def _checked(catalog: Catalog, tenant: str, definition: Definition) -> Mapping[int | str, Definition]:
    """The definitions of the tenant's active segments by id and slug, once the references are known to be good."""
    document = SegmentDocument(slug=f"preview-{secrets.token_hex(8)}", name=_SOURCE, definition=definition)
    try:
        changes = catalog.plan_segments(tenant, [document], sources={document.slug: _SOURCE})
    except InvalidDocument as error:
        raise InvalidDocument(
            [Problem(problem.path.removeprefix(f"{_SOURCE}: "), problem.message) for problem in error.problems]
        ) from None
    segments = [change.segment for change in changes if change.segment is not None]
    return _reached(definition, Resolver(tenant, segments))


def _reached(definition: Definition, resolver: Resolver) -> Mapping[int | str, Definition]:
    """The definitions that one refers to, through chains, by the keys under which it does."""
    found: dict[int | str, Definition] = {}
    waiting = [definition]
    while waiting:
        for key in referenced_segments(waiting.pop()):
            if key not in found:
                found[key] = parse_definition(resolver.segment(key).definition)
                waiting.append(found[key])
    return found


class _Evaluation:
    """One definition at one instant. Nothing is written."""

    def __init__(
        self, definition: Definition, reached: Mapping[int | str, Definition], database: TenantWarehouse
    ) -> None:
        self._definition = definition
        self._reached = reached
        self._resolve: ResolveSegment = reached.__getitem__
        self._database = database
        self._at = to_milliseconds(datetime.now(UTC))
        self._give_up_at = time.monotonic() + MAX_SECONDS
        ((self.users, now),) = self._rows("SELECT uniq(user_id), toUnixTimestamp64Milli(now64(3)) FROM users", {})
        self._at = datetime.fromtimestamp(now / 1000, UTC)

    def count(self, sample: int) -> tuple[int, tuple[str, ...]]:
        """How many users match, and the first of them by id."""
        total = 0
        samples: list[str] = []

        def one_bucket(bucket: int, of: int) -> int:
            nonlocal total, samples
            count, users = self._count(bucket, of, sample)
            total += count
            # In the order of ClickHouse: that of the UTF-8 bytes.
            samples = nsmallest(sample, [*samples, *users], key=str.encode)
            return 0

        session = ComputeSession(self._database, 0, 0, self._at, run_id=None)
        buckets = first_buckets(session, self.users * _MEMORY_SHARE, [self._definition, *self._reached.values()])
        in_buckets("the preview", buckets, one_bucket, lambda bucket, of: None)
        return total, tuple(samples)

    def count_part(self, parts: int) -> int:
        """How many match of one in ``parts`` users."""
        return self._count(0, parts, 0)[0]

    def sql(self) -> str:
        """The query with its values in their places: to be read, never to be run."""
        query = compile_members(self._definition, EVERYONE, self._resolve)
        return readable(query, {"at": instant_text(self._at)})

    def _count(self, bucket: int, of: int, sample: int) -> tuple[int, list[str]]:
        query = compile_members(self._definition, EVERYONE if of == 1 else ONE_BUCKET, self._resolve)
        # An aggregate over 0 sorted values is refused.
        sql = _COUNT.format(sample=max(1, sample), members=query.sql)
        bound = {} if of == 1 else {"bucket": bucket, "buckets": of}
        ((count, users),) = self._rows(sql, {**query.parameters, **bound})
        return int(count), list(users)[:sample]

    def _rows(self, sql: str, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
        left = math.ceil(self._give_up_at - time.monotonic())
        if left <= 0:
            raise TooSlow
        settings = {
            **memory_settings(self._database.query_memory // _MEMORY_SHARE),
            # What is left for all of the buckets: 0 would be for ever.
            "max_execution_time": left,
            "do_not_merge_across_partitions_select_final": 1,
            "log_comment": json.dumps({"tenant": self._database.slug, "look": "preview"}),
        }
        try:
            result = self._database.query(sql, {"at": instant_text(self._at), **parameters}, settings)
        except WarehouseError as error:
            if "(TIMEOUT_EXCEEDED)" in str(error):
                raise TooSlow from error
            raise
        return [tuple(row) for row in result.result_rows]


def readable(query: CompiledQuery, bound: Mapping[str, object]) -> str:
    """A query's text with its values in the places of its parameters."""
    values: dict[str, object] = {**query.parameters, **bound}

    def value(match: re.Match[str]) -> str:
        name, kind = match.groups()
        return _literal(values[name], kind) if name in values else match[0]

    return _PLACEHOLDER.sub(value, query.sql)


def _literal(value: object, kind: str) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_literal(one, 'String') for one in value)}]"
    if isinstance(value, int):
        return str(value)
    text = str(value)
    if kind.startswith("Decimal"):
        return text
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\0", "\\0").replace("\n", "\\n")
    return f"'{escaped}'"
