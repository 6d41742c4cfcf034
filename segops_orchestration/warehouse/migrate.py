"""Numbered migrations of a tenant's database.

Each file in ``migrations/`` is ``NNNN_name.sql``: statements that may run twice (``IF NOT EXISTS`` and the like), so
neither a crash between two of them nor two processes at once can do harm. What is applied is written in
``schema_migrations``, after the statements.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from segops_orchestration.errors import SegOpsError
from segops_orchestration.warehouse.sql import split_statements

Run = Callable[[str, Mapping[str, object] | None], object]

_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations
(
    version UInt32,
    name String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY version
"""


@dataclass(frozen=True)
class Migration:
    """One numbered file, split into statements."""

    version: int
    name: str
    statements: tuple[str, ...]


@lru_cache(maxsize=1)
def migrations() -> tuple[Migration, ...]:
    """All migrations, oldest first.

    Raises:
        SegOpsError: two files bear the same number, or a file is not named ``NNNN_name.sql``.
    """
    found: dict[int, Migration] = {}
    for entry in sorted(resources.files(__package__).joinpath("migrations").iterdir(), key=lambda item: item.name):
        if not entry.name.endswith(".sql"):
            continue
        match = _FILE.fullmatch(entry.name)
        if match is None:
            raise SegOpsError(f"migrations/{entry.name}: the name must be NNNN_name.sql")
        version = int(match.group(1))
        if version in found:
            raise SegOpsError(f"migrations/{entry.name}: number {version} is taken by {found[version].name}")
        statements = tuple(split_statements(entry.read_text(encoding="utf-8")))
        found[version] = Migration(version, match.group(2), statements)
    return tuple(found.values())


def apply_migrations(run: Run, applied: frozenset[int] | None) -> list[int]:
    """Run what is missing, in order, and return the versions that were run.

    Args:
        run: executes one statement (with parameters) in the tenant's database.
        applied: versions already in ``schema_migrations``; None when that table does not exist yet.
    """
    if applied is None:
        run(_LEDGER, None)
    missing = [migration for migration in migrations() if migration.version not in (applied or frozenset())]
    for migration in missing:
        for statement in migration.statements:
            run(statement, None)
        run(
            "INSERT INTO schema_migrations (version, name) SELECT {version:UInt32}, {name:String}",
            {"version": migration.version, "name": migration.name},
        )
    return [migration.version for migration in missing]
