"""Addresses of Postgres databases, as SQLAlchemy wants them."""

from __future__ import annotations

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from segops_orchestration.errors import SegOpsError

_EXAMPLE = "postgresql://user:password@host:5432/database"


def is_postgres(url: URL) -> bool:
    """Whether it speaks of Postgres, by whatever name and driver."""
    return url.get_backend_name() == "postgresql" or url.drivername == "postgres"


def postgres_url(variable: str, text: str) -> URL:
    """The address, with the driver that is installed; ``variable`` names it in errors, which never show the text.

    Raises:
        SegOpsError: it is no URL, or not one of Postgres.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise SegOpsError(f"{variable} is not a database URL; it looks like {_EXAMPLE}") from None
    if url.drivername not in ("postgresql", "postgres", "postgresql+psycopg2"):
        raise SegOpsError(f"{variable}: {url.drivername!r} is not supported; it looks like {_EXAMPLE}")
    if not url.database:
        raise SegOpsError(f"{variable} names no database; it looks like {_EXAMPLE}")
    # Without a driver, what SQLAlchemy takes depends on its version.
    return url.set(drivername="postgresql+psycopg2")


def in_schema(url: URL, schema: str) -> URL:
    """The same database, where tables are made and looked for in ``schema``."""
    given = url.query.get("options", "")
    options = [*(given if isinstance(given, tuple) else (given,)), f"-csearch_path={schema}"]
    return url.update_query_dict({"options": " ".join(filter(None, options))})
