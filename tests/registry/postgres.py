"""A real PostgreSQL for tests: a server of their own in a folder of their own, on a socket and no port.

Debian's binaries are run as an unprivileged user (PostgreSQL refuses root). The machine's own clusters and
services are neither started nor touched.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import OperationalError

from harness.clock import sleep

DATABASES = ("sqlite", pytest.param("postgresql", marks=pytest.mark.programs))
"""What a registry can be kept in; a test of the second starts a server."""

GIVEN_URL = "SODBENCH_TEST_POSTGRES_URL"
"""A server to use instead: a URL of a user that may create schemas in its database."""


def binaries() -> Path:
    """The folder with the newest installed `initdb` and `postgres`.

    Raises:
        FileNotFoundError: There is none.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    if found:
        return found[-1].parent
    if on_path is None:
        raise FileNotFoundError(
            f"no PostgreSQL on this machine: `make setup` installs it, or {GIVEN_URL} names a server"
        )
    return Path(on_path).resolve().parent


def _user() -> str:
    names = {entry.pw_name for entry in pwd.getpwall()}
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid()).pw_name
    return "postgres" if "postgres" in names else "nobody"


class Server:
    """A server that can be ended and started again."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.folder = folder
        self._programs = programs
        self._user = _user()
        self._process: subprocess.Popen[bytes] | None = None
        shutil.chown(folder, self._user)
        self._run("initdb", "--auth=trust", "--username=sodbench", "--encoding=UTF8", "--no-sync")

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://sodbench@/postgres?host={self.folder}"

    def _command(self, name: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
        # the server's folder is the working one, because an unprivileged user may not enter the tests' own
        argv = [str(self._programs / name), "-D", str(self.folder / "data"), *arguments]
        return argv, {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}

    def _run(self, name: str, *arguments: str) -> None:
        argv, environment = self._command(name, *arguments)
        subprocess.run(
            argv,
            cwd=self.folder,
            env=environment,
            user=self._switch(),
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def _switch(self) -> str | None:
        return self._user if os.geteuid() == 0 else None

    def start(self) -> None:
        # no test of ours cuts the machine's power
        settings = ("listen_addresses=", "shared_buffers=16MB", "fsync=off")
        options = [option for setting in settings for option in ("-c", setting)]
        argv, environment = self._command("postgres", "-k", str(self.folder), *options)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                argv, cwd=self.folder, env=environment, user=self._switch(), stdout=log, stderr=log
            )
        for _ in range(200):
            try:
                _execute(self.url, "SELECT 1")
            except OperationalError:
                if self._process.poll() is not None:
                    raise RuntimeError((self.folder / "log").read_text()) from None
                sleep(0.1)
            else:
                return
        raise RuntimeError("the test's PostgreSQL does not answer")

    def end(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # fast shutdown: open connections are ended
            self._process.wait(timeout=30)
            self._process = None


def _execute(url: str, statement: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
    finally:
        engine.dispose()


def new_schema(url: str, name: str) -> str:
    """The URL of a new, empty schema in the database at `url`; far quicker than a database of its own."""
    _execute(url, f"CREATE SCHEMA {name}")
    return make_url(url).update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(False)


def drop_schema(url: str, name: str) -> None:
    """Remove what :func:`new_schema` made, with all that is in it."""
    _execute(url, f"DROP SCHEMA {name} CASCADE")


@contextmanager
def server() -> Iterator[Server]:
    """A running server, ended and removed afterwards."""
    programs = binaries()
    folder = Path(tempfile.mkdtemp(prefix="sodbench-pg-"))
    try:
        started = Server(programs, folder)
        started.start()
        try:
            yield started
        finally:
            started.end()
    finally:
        shutil.rmtree(folder)
