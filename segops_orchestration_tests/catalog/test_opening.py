from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, inspect, text
from sqlalchemy.exc import IntegrityError

from segops_orchestration.catalog import migrate as migrating
from segops_orchestration.catalog import service_tables
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.database import WRITES, connect
from segops_orchestration.catalog.tables import Base
from segops_orchestration.errors import CatalogueError, SegOpsError
from segops_orchestration.settings import Settings
from segops_orchestration_tests.catalog.helpers import document, save, spec
from segops_orchestration_tests.catalog.racing import race

_A_SEGMENT_OF_THE_FIRST_TABLES = (
    "INSERT INTO segments (tenant_id, slug, name, description, segment_type, status, version, created_at, updated_at)"
    " SELECT id, 'vip', 'vip', '', 'rule', 'active', 1, '2026-01-01 00:00:00.000000', '2026-01-01 00:00:00.000000'"
    " FROM tenants",
    "INSERT INTO segment_versions (segment_id, version, definition, created_at)"
    " SELECT id, 1, '{}', '2026-01-01 00:00:00.000000' FROM segments",
)


@pytest.fixture
def engine(catalog_settings: Settings) -> Engine:
    return connect(catalog_settings.database_url)


def test_opening_creates_home_and_every_table(catalog_settings: Settings, engine: Engine) -> None:
    Catalog.open(catalog_settings).close()

    assert set(inspect(engine).get_table_names()) == {*Base.metadata.tables, "alembic_version"}
    assert service_tables.EventSchemaRow.__tablename__ in Base.metadata.tables


def test_what_was_saved_is_there_when_opened_again(catalog_settings: Settings) -> None:
    with Catalog.open(catalog_settings) as first:
        first.create_tenant("acme")

    with Catalog.open(catalog_settings) as second:
        assert [tenant.slug for tenant in second.list_tenants()] == ["acme"]


def test_the_migrations_make_exactly_the_tables_that_the_code_speaks_of(
    catalog_settings: Settings, engine: Engine
) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    Catalog.open(catalog_settings).close()

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_every_migration_file_is_in_the_list_of_revisions() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(migrating.MIGRATIONS))
    script = ScriptDirectory.from_config(config)

    assert [one.revision for one in script.walk_revisions()] == list(reversed(migrating.REVISIONS))


def test_an_up_to_date_catalogue_opens_without_importing_alembic(catalog_settings: Settings) -> None:
    Catalog.open(catalog_settings).close()
    program = (
        "import sys; from pathlib import Path\n"
        "from segops_orchestration.catalog.catalog import Catalog\n"
        "from segops_orchestration.settings import Settings\n"
        "Catalog.open(Settings(Path(sys.argv[1]), None, sys.argv[2])).list_tenants()\n"
        "sys.exit('alembic' in sys.modules)"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, str(catalog_settings.home), catalog_settings.database_url], check=False
    )

    assert done.returncode == 0


def test_several_processes_may_open_a_new_catalogue_at_once(catalog_settings: Settings) -> None:
    assert race(catalog_settings, "open", processes=4) == ["0 tenants"] * 4


def test_of_several_processes_exactly_one_creates_a_tenant(catalog: Catalog, catalog_settings: Settings) -> None:
    assert sorted(race(catalog_settings, "create", processes=3)) == ["conflict", "conflict", "created"]
    assert [tenant.slug for tenant in catalog.list_tenants()] == ["acme"]


def test_processes_that_save_the_same_segment_at_once_lose_no_version(
    acme: Catalog, catalog_settings: Settings
) -> None:
    outcomes = ",".join(race(catalog_settings, "save", processes=3)).split(",")

    assert sorted(outcomes) == ["created"] + ["versioned"] * 59
    assert [one.version for one in acme.versions("acme", "vip")] == list(range(1, 61))


def test_an_upgrade_that_fails_leaves_nothing(
    catalog_settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade = migrating._upgrade

    def fail_at_the_end(connection: object) -> None:
        upgrade(connection)  # type: ignore[arg-type]
        raise RuntimeError("the machine stops")

    monkeypatch.setattr(migrating, "_upgrade", fail_at_the_end)
    with pytest.raises(RuntimeError):
        Catalog.open(catalog_settings)
    assert inspect(engine).get_table_names() == []
    monkeypatch.undo()

    with Catalog.open(catalog_settings) as catalog:
        assert catalog.list_tenants() == []


def test_an_older_catalogue_is_brought_to_the_newest_tables_and_keeps_what_it_has(
    catalog_settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrating, "REVISIONS", migrating.REVISIONS[:1])
    with Catalog.open(catalog_settings) as old:
        old.create_tenant("acme")
    with engine.begin() as connection:
        for statement in _A_SEGMENT_OF_THE_FIRST_TABLES:
            connection.execute(text(statement))
    monkeypatch.undo()

    with Catalog.open(catalog_settings) as new:
        assert [one.slug for one in new.list_segments("acme")] == ["vip"]
        assert [one.created_by for one in new.versions("acme", "vip")] == [None]
        assert new.connectors.create("acme", spec()).status == "active"


def test_a_catalogue_of_a_newer_version_is_refused(catalog_settings: Settings, engine: Engine) -> None:
    Catalog.open(catalog_settings).close()
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(SegOpsError, match=r"at revision '9999'.*upgrade segops-orchestration"):
        Catalog.open(catalog_settings)


def test_references_between_rows_are_enforced(acme: Catalog, engine: Engine) -> None:
    orphan = text("INSERT INTO segment_versions VALUES (99, 1, '{}', '2026-01-01 00:00:00.000000', NULL)")

    with engine.connect() as connection, pytest.raises(IntegrityError):
        connection.execute(orphan)


def test_a_refused_save_is_rolled_back_whole(acme: Catalog, engine: Engine) -> None:
    def stop(*arguments: object) -> None:
        raise RuntimeError("the machine stops")

    # The fault comes after the rows were written and before the commit.
    event.listen(acme._writers, "commit", stop)
    with pytest.raises(RuntimeError):
        save(acme, document("a"), document("b"))
    event.remove(acme._writers, "commit", stop)

    assert acme.list_segments("acme") == []
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM segment_versions")) == 0


# SQLite


@pytest.fixture
def sqlite(tmp_path: Path) -> Settings:
    return Settings.from_env({"SEGOPS_HOME": str(tmp_path / "home")})


def test_sqlite_writes_ahead_checks_references_and_waits(sqlite: Settings) -> None:
    with Catalog.open(sqlite) as catalog, catalog._readers.connect() as connection:
        pragma = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "foreign_keys", "busy_timeout")
        }

    assert pragma == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 30_000}


def test_sqlite_readers_go_on_while_somebody_writes(sqlite: Settings) -> None:
    with Catalog.open(sqlite) as catalog:
        catalog.create_tenant("acme")
        with catalog._readers.connect().execution_options(**WRITES) as writer:
            writer.execute(text("UPDATE tenants SET name = 'changed'"))

            assert catalog.get_tenant("acme").name == "acme"


def test_a_home_that_cannot_be_made_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = Settings(tmp_path / "file/home", None, f"sqlite:///{tmp_path}/file/home/catalog.db")

    with pytest.raises(SegOpsError, match=r"cannot create .*/file/home for the catalogue: Not a directory"):
        Catalog.open(settings)


def test_a_file_that_is_no_database_is_one_message(sqlite: Settings) -> None:
    sqlite.home.mkdir()
    (sqlite.home / "catalog.db").write_text("this is not a database, although it is long enough for a header" * 9)

    with pytest.raises(
        SegOpsError, match=r"catalogue at sqlite:///.*catalog\.db cannot be used: file is not a database"
    ):
        Catalog.open(sqlite)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite://", "needs the path of a file"),
        ("sqlite:///:memory:", "needs the path of a file"),
        ("mysql://root:secret@host/db", "'mysql' is not supported; allowed: postgresql, sqlite"),
        ("postgresql://me:secret@host:port/db", "is not a database URL"),
        ("me:secret@host", "is not a database URL"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_its_password(
    sqlite: Settings, url: str, message: str
) -> None:
    with pytest.raises(SegOpsError, match=message) as failure:
        Catalog.open(replace(sqlite, database_url=url))

    assert "secret" not in str(failure.value)


def test_an_unreachable_server_is_one_message_without_the_password(sqlite: Settings) -> None:
    settings = replace(sqlite, database_url="postgresql://me:secret@127.0.0.1:1/segops")

    with pytest.raises(SegOpsError, match=r"catalogue at postgresql.*127\.0\.0\.1:1/segops cannot be used") as failure:
        Catalog.open(settings)

    assert "secret" not in str(failure.value)


def test_when_all_connections_are_in_use_the_catalogue_is_busy(catalog: Catalog) -> None:
    engine = catalog._readers
    engine.pool._timeout = 0.01  # type: ignore[attr-defined]
    with ExitStack() as taken:
        for _ in range(15):
            taken.enter_context(engine.connect())
        with pytest.raises(CatalogueError, match="busy"):
            catalog.list_tenants()


def test_errors_of_the_database_do_not_show_values(catalog: Catalog) -> None:
    statement = text("INSERT INTO tenants (slug) VALUES (:slug)")
    with catalog._readers.connect() as connection, pytest.raises(IntegrityError) as refused:
        connection.execute(statement, {"slug": "a-value-to-look-for"})
    assert "a-value-to-look-for" not in str(refused.value).partition("[SQL")[2]
