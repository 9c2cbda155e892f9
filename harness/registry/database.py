"""The database under the registry: connections, and transactions that mean the same on SQLite and PostgreSQL.

There is one writer at a time. SQLite has it so; on PostgreSQL a transaction-scoped advisory lock does it, so
that what a writing transaction has read stays true until it commits. A reader sees one snapshot and waits
for no writer.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import NoSuchModuleError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from harness.clock import NS_PER_S, MonotonicClock, sleep
from harness.pair_name import DEFAULT_PAIR
from harness.registry.errors import RegistryError
from harness.registry.models import PAIR
from harness.registry.translation import translated
from harness.registry.url import parsed, shown

_WRITER_LOCK = 0x5_0D_BE_9C
"""The advisory lock's key; any number that all versions of the program agree on."""

_ENROLMENT_LOCK = _WRITER_LOCK + 1
_POLL_S = 0.02

_TRANSACTION = "registry_transaction"


class Database:
    """An engine, and the two kinds of transaction."""

    def __init__(self, url: str, *, wait_s: float, look: bool = False, pair: str = DEFAULT_PAIR) -> None:
        """Prepare connections; none is made yet.

        Args:
            url: ``sqlite:///FILE``, or ``postgresql+psycopg://USER@HOST/DATABASE``.
            wait_s: How long to wait for another writer, in s.
            look: Whether nothing is written, so that the right to read is enough.
            pair: The pair whose machines and guests are named without it.

        Raises:
            RegistryError: The URL is invalid, or its driver is not installed.
        """
        asked = parsed(url)
        self.place = shown(asked)
        if asked.get_backend_name() == "sqlite":
            self.place = str(asked.database)
        self.wait_s = wait_s
        self.engine = _engine(asked, wait_s, look=look)
        setattr(self.engine.dialect, PAIR, pair)
        self.on_commit: Callable[[], None] = _nothing
        self._writing = self.engine.execution_options(**{_TRANSACTION: "write"})

    @property
    def is_sqlite(self) -> bool:
        """Whether the registry is a file."""
        return self.engine.dialect.name == "sqlite"

    @property
    def location(self) -> str:
        """Its place, of a file the whole path: the same wherever the program was started."""
        if not self.is_sqlite:
            return self.place
        return str(Path(self.place.removeprefix("file:").partition("?")[0]).resolve())

    @property
    def is_missing_file(self) -> bool:
        """Whether the registry is a file that connecting to would make."""
        named_by_uri = "uri" in self.engine.url.query
        if not self.is_sqlite or named_by_uri:
            return False
        try:
            return not Path(str(self.engine.url.database)).exists()
        except OSError:  # a folder that this user may not enter: connecting to it says so
            return False

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one snapshot and changes nothing."""
        with translated(self.place), Session(self.engine) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session of the only writer; everything in it is stored when the block ends, or nothing.

        Raises:
            RegistryError: Another writer did not end in time, or the database failed; nothing was stored.
        """
        with (
            translated(self.place),
            Session(self._writing, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session
        self.on_commit()

    @contextmanager
    def enrolling(self) -> Iterator[None]:
        """The right to have keys made: one holder at a time, across transactions, ended with its process.

        Raises:
            RegistryError: Another holds it and does not end in time; or it cannot be asked for.
        """
        with translated(self.place), ExitStack() as stack:
            if self.is_sqlite:
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
                try:
                    descriptor = os.open(f"{self.location}.enrol", flags, 0o600)
                except OSError as error:
                    raise RegistryError(
                        "no enrolment can be begun", where=f"{self.location}.enrol", why=str(error)
                    ) from error
                stack.callback(os.close, descriptor)
                attempt = partial(_flocked, descriptor)
            else:
                connection = stack.enter_context(self.engine.connect())
                attempt = partial(_advised, connection)
            clock = MonotonicClock()
            deadline_ns = clock.now_ns() + round(self.wait_s * NS_PER_S)
            while not attempt():
                if clock.now_ns() >= deadline_ns:
                    raise RegistryError(
                        "another enrolment is under way", where=self.place, remedy="wait for it", retry=True
                    )
                sleep(_POLL_S)
            yield

    @contextmanager
    def sole_connection(self) -> Iterator[Connection]:
        """A bare connection of the only writer, for changes of the schema; committed when the block ends."""
        with translated(self.place), self._writing.begin() as connection:
            yield connection

    @contextmanager
    def outside_transactions(self) -> Iterator[Connection]:
        """A bare connection to SQLite on which each statement stands alone, as some of its settings must."""
        with self.engine.execution_options(**{_TRANSACTION: "none"}).connect() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections; may be called twice."""
        self.engine.dispose()


def _flocked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _advised(connection: Connection) -> bool:
    # of this connection's transaction, which is left open and ends with it
    found = connection.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({_ENROLMENT_LOCK})")
    return bool(found.scalar_one())


def _nothing() -> None:
    """What follows a commit unless more is asked for."""


def _engine(url: URL, wait_s: float, *, look: bool) -> Engine:
    serializer = partial(json.dumps, allow_nan=False, separators=(",", ":"), sort_keys=True)
    options: dict[str, Any] = {"json_serializer": serializer, "pool_timeout": wait_s}
    sqlite = url.get_backend_name() == "sqlite"
    if sqlite and look and _is_settled(url):
        options["creator"] = partial(_as_it_lies, Path(str(url.database)).resolve(), wait_s)
    elif sqlite:
        options["connect_args"] = {"timeout": wait_s}
    else:
        # a server may have been restarted since the last question; snapshots need repeatable reads
        options |= {"pool_pre_ping": True, "isolation_level": "REPEATABLE READ"}
        options["connect_args"] = {"connect_timeout": max(2, round(wait_s))}
    try:
        engine = create_engine(url, **options)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise RegistryError(
            "PostgreSQL's driver is not installed", why=str(error), remedy="pip install 'sodbench[postgres]'"
        ) from error
    if look:
        options_of_look = "PRAGMA query_only = ON" if sqlite else "SET default_transaction_read_only = on"
        event.listen(engine, "connect", partial(_prepare_look, options_of_look))
    if sqlite:
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "connect", partial(_prepare_postgres, round(wait_s * 1000)))
        event.listen(engine, "begin", _begin_postgres)
    return engine


def _is_settled(url: URL) -> bool:
    """Whether the file is the whole registry, and SQLite cannot create its other files next to it.

    A file in write-ahead mode is read through a ``-shm`` file, which SQLite makes; where it cannot, it
    refuses to open (sqlite.org/wal.html, "Read-only databases"). Without a ``-wal`` file all that was
    committed is in the file itself.
    """
    file = Path(str(url.database))
    wal = file.with_name(f"{file.name}-wal")
    if "uri" in url.query or os.access(file.resolve().parent, os.W_OK):
        return False
    return not os.path.lexists(wal) and os.access(file, os.R_OK)


def _as_it_lies(file: Path, wait_s: float) -> sqlite3.Connection:
    """A connection to a file that is read without a lock and without further files."""
    uri = f"file:{quote(str(file))}?mode=ro&immutable=1"
    return sqlite3.connect(uri, uri=True, timeout=wait_s, check_same_thread=False)


def _prepare_look(statement: str, connection: Any, _entry: ConnectionPoolEntry) -> None:  # noqa: ANN401
    cursor = connection.cursor()
    cursor.execute(statement)
    cursor.close()


def _prepare_sqlite(connection: Any, _entry: ConnectionPoolEntry) -> None:  # noqa: ANN401 - sqlite3 or a stand-in
    # the driver of its own would begin transactions late and never for a change of the schema
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")


def _begin_sqlite(connection: Connection) -> None:
    # a transaction that read first and then wants to write could not wait for its turn any more
    begin = {"write": "BEGIN IMMEDIATE", "none": None}.get(_kind(connection), "BEGIN")
    if begin:
        connection.exec_driver_sql(begin)


def _prepare_postgres(wait_ms: int, connection: Any, _entry: ConnectionPoolEntry) -> None:  # noqa: ANN401
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = {max(1, wait_ms)}")
    connection.commit()


def _begin_postgres(connection: Connection) -> None:
    if _kind(connection) == "write":
        # each statement must see what was committed before the lock was given, hence no snapshot here
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER_LOCK})")


def _kind(connection: Connection) -> str:
    return str(connection.get_execution_options().get(_TRANSACTION, "read"))
