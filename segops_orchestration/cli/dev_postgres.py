"""One Postgres database for all that ``segops dev`` keeps beside events."""

from __future__ import annotations

from sqlalchemy import URL, create_engine, inspect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateSchema

from segops_orchestration.errors import SegOpsError
from segops_orchestration.postgres_url import in_schema, postgres_url

# Both the catalogue and Dagster keep their revision in a table `alembic_version`, so they cannot share a schema.
DAGSTER_SCHEMA = "dagster"


def on_postgres(text: str) -> dict[str, str]:
    """The variables that put the catalogue into the database and Dagster into a schema of it, which is made if missing.

    Raises:
        SegOpsError: it is no address of a Postgres database, or the database cannot be used.
    """
    url = postgres_url("--postgres", text)
    _ensure_schema(url)
    return {
        "SEGOPS_DATABASE_URL": url.render_as_string(hide_password=False),
        "SEGOPS_DAGSTER_PG_URL": in_schema(url, DAGSTER_SCHEMA).render_as_string(hide_password=False),
    }


def _ensure_schema(url: URL) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 10})
    try:
        with engine.connect() as connection:
            if DAGSTER_SCHEMA not in inspect(connection).get_schema_names():
                connection.execute(CreateSchema(DAGSTER_SCHEMA, if_not_exists=True))
    except SQLAlchemyError as error:
        said = " ".join(str(getattr(error, "orig", error)).split())
        raise SegOpsError(f"{url.render_as_string(hide_password=True)} cannot be used: {said}") from error
    finally:
        engine.dispose()
