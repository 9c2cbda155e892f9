"""The schema's version: creating a registry, upgrading an older one, and refusing one from the future.

Migrations run in one transaction of the only writer. Two programs that open a new registry at once build it
once, and a program that is killed in the middle has built nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from harness import __version__
from harness.clock import NS_PER_S, MonotonicClock, sleep
from harness.instant import Instant
from harness.registry.audit import log as audit_log
from harness.registry.database import Database
from harness.registry.errors import NoRegistryError, RegistryError
from harness.registry.translation import translated

VERSION_TABLE = "registry_version"
_POLL_S = 0.02


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    return config


def bring_up(database: Database, now: Callable[[], Instant], *, create: bool = True) -> None:
    """Make the database a registry of this program's schema: create, upgrade, or find that it is one.

    Args:
        database: Where it is.
        now: Tells the present, for the audit log's first entry.
        create: Whether to create a missing registry.

    Raises:
        RegistryError: It belongs to another program or to a newer version of this one; it is left as it is.
            Or it can be neither read nor changed.
    """
    if not create and database.is_missing_file:
        raise _nothing_there(database.place)
    with translated(database.place), database.engine.connect() as connection:
        if _is_current(connection, database.place):
            return
        if not create and not inspect(connection).get_table_names():
            raise _nothing_there(database.place)
    if database.is_sqlite:
        _write_ahead(database)
    with database.sole_connection() as connection:
        if _is_current(connection, database.place):  # another program was first
            return
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        with Session(connection) as session:
            audit_log.begin(session, now())
            session.flush()


def is_current(database: Database) -> bool:
    """Whether the database is a registry of this program's schema; it is only looked at.

    Raises:
        NoRegistryError: There is no registry.
        RegistryError: It belongs to another program or to a newer version of this one, or cannot be read.
    """
    if database.is_missing_file:
        raise _nothing_there(database.place)
    with translated(database.place), database.engine.connect() as connection:
        if not inspect(connection).get_table_names():
            raise _nothing_there(database.place)
        return _is_current(connection, database.place)


def _nothing_there(place: str) -> NoRegistryError:
    return NoRegistryError(
        "there is no registry",
        where=place,
        remedy="`sodbench attest enrol` makes it; or name the one that is meant (--registry URL)",
    )


def _is_current(connection: Connection, place: str) -> bool:
    """Whether nothing is to be done.

    Raises:
        RegistryError: Nothing may be done.
    """
    tables = set(inspect(connection).get_table_names())
    if not tables:
        return False
    if VERSION_TABLE not in tables:
        raise RegistryError(
            "this database belongs to another program",
            where=place,
            why="it has tables, among them " + ", ".join(sorted(tables)[:3]),
            remedy="give the registry a file, or a database, of its own",
        )
    found = MigrationContext.configure(
        connection, opts={"version_table": VERSION_TABLE}
    ).get_current_revision()
    scripts = ScriptDirectory.from_config(_config())
    if found is not None and found not in {script.revision for script in scripts.walk_revisions()}:
        raise RegistryError(
            "the registry was written by a newer version of sodbench",
            where=place,
            why=f"its schema is {found}; sodbench {__version__} knows {scripts.get_current_head()}",
            remedy="use the newer version; an older one would not keep its rules",
        )
    return found == scripts.get_current_head()


def _write_ahead(database: Database) -> None:
    """Switch a new file to write-ahead logging, which lets readers read during a write.

    SQLite does not wait when two programs switch at once, so this does (sqlite.org/wal.html).
    """
    clock = MonotonicClock()
    deadline_ns = clock.now_ns() + round(database.wait_s * NS_PER_S)
    with translated(database.place):
        while True:
            try:
                with database.outside_transactions() as connection:
                    connection.exec_driver_sql("PRAGMA journal_mode = WAL")
                    return
            except OperationalError as error:
                busy = "BUSY" in getattr(error.orig, "sqlite_errorname", "")
                if not busy or clock.now_ns() >= deadline_ns:
                    raise
            sleep(_POLL_S)
