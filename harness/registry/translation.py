"""A database's failures in words that an operator can act on.

SQLite names its result codes (sqlite.org/rescode.html), PostgreSQL has SQLSTATE (PostgreSQL manual, appendix
A). Nothing here decides whether the failed transaction counted: it never does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnectionError

from harness.registry.errors import ConstraintError, RegistryError


@dataclass(frozen=True, slots=True)
class _Words:
    what: str
    remedy: str
    retry: bool = False


_LOCKED = _Words(
    "another process is writing to the registry and does not end",
    "try again; if it stays so, end the process that holds it",
    retry=True,
)
_READ_ONLY = _Words(
    "the registry cannot be written",
    "let this user write to the file and to its folder, where the -wal and -shm files are",
)
_FULL = _Words(
    "no space is left for the registry",
    "free space on its disk; nothing of what was stored is lost",
    retry=True,
)
_NOT_OPEN = _Words(
    "the registry cannot be opened", "check that its folder is there and that this user may write to it"
)
_FOREIGN = _Words("this file is not a registry", "name another file; this one was left as it is")
_DAMAGED = _Words("the registry is damaged", "restore it from a copy (docs/registry.md)")
_DISK = _Words(
    "the registry's disk fails", "look at the kernel's log; restore the registry from a copy if need be"
)
_GONE = _Words(
    "the registry's server does not answer",
    "check that PostgreSQL runs and that the URL is right",
    retry=True,
)
_NO_ACCESS = _Words(
    "the registry's server refuses this user", "check user, password and rights (docs/registry.md)"
)
_NO_DATABASE = _Words("the registry's database is not there", "create it (docs/registry.md)")
_NO_LOCKS = _Words(
    "the registry's file cannot be locked",
    "keep it on a disk of this machine, or use PostgreSQL (docs/registry.md): locks of network file systems, "
    "such as NFS, do not hold; on a local disk, try again when fewer processes open it at once",
    retry=True,
)
_NO_MEMORY = _Words("no memory is left for the registry", "end other programs, and try again", retry=True)
_UNKNOWN = _Words(
    "the registry's database failed",
    "look at the reason above; docs/registry.md says how the registry is checked and restored",
)

_SQLITE = {
    "SQLITE_BUSY": _LOCKED,
    "SQLITE_LOCKED": _LOCKED,
    "SQLITE_READONLY": _READ_ONLY,
    "SQLITE_PERM": _READ_ONLY,
    "SQLITE_FULL": _FULL,
    "SQLITE_CANTOPEN": _NOT_OPEN,
    "SQLITE_NOTADB": _FOREIGN,
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_IOERR": _DISK,
    "SQLITE_PROTOCOL": _NO_LOCKS,
    "SQLITE_IOERR_LOCK": _NO_LOCKS,
    "SQLITE_IOERR_RDLOCK": _NO_LOCKS,
    "SQLITE_IOERR_UNLOCK": _NO_LOCKS,
    "SQLITE_IOERR_CHECKRESERVEDLOCK": _NO_LOCKS,
    "SQLITE_IOERR_SHMOPEN": _NO_LOCKS,
    "SQLITE_IOERR_SHMMAP": _NO_LOCKS,
    "SQLITE_IOERR_SHMLOCK": _NO_LOCKS,
    "SQLITE_IOERR_NOMEM": _NO_MEMORY,
    "SQLITE_NOMEM": _NO_MEMORY,
}
"""By extended result code, or else by primary result code; an extended code begins with its primary one."""

_POSTGRES = {
    "55P03": _LOCKED,
    "57014": _LOCKED,
    "40": _LOCKED,
    "25006": _READ_ONLY,
    "53100": _FULL,
    "58": _DISK,
    "XX": _DAMAGED,
    "08": _GONE,
    "53": _GONE,
    "57": _GONE,
    "28": _NO_ACCESS,
    "42501": _NO_ACCESS,
    "3D000": _NO_DATABASE,
}
"""By SQLSTATE, or by its class where all codes of the class mean the same here."""


def _words(error: SQLAlchemyError) -> _Words:
    if isinstance(error, NoConnectionError):
        return _LOCKED
    if not isinstance(error, DBAPIError):
        return _UNKNOWN
    name = getattr(error.orig, "sqlite_errorname", None)
    if isinstance(name, str):
        primary = "_".join(name.split("_")[:2])
        return _SQLITE.get(name) or _SQLITE.get(primary, _UNKNOWN)
    state = getattr(error.orig, "sqlstate", None)
    if isinstance(state, str):
        return _POSTGRES.get(state) or _POSTGRES.get(state[:2]) or _UNKNOWN
    if "Could not decode to UTF-8" in str(error.orig):
        return _DAMAGED  # a text of SQLite that this program never wrote; its driver has no code for it
    # psycopg has no SQLSTATE for a connection that was never made or that broke
    return _GONE if type(error.orig).__name__ == "OperationalError" else _UNKNOWN


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Turn a database's failure inside the block into a :class:`RegistryError` that names `place`.

    Raises:
        ConstraintError: A rule of the schema forbids the change.
        RegistryError: Anything else; `retry` where another try may succeed.
    """
    try:
        yield
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        why = " ".join(str(cause).split())
        if isinstance(error, IntegrityError):
            raise ConstraintError("the registry's rules forbid this change", where=place, why=why) from error
        words = _words(error)
        raise RegistryError(
            words.what, where=place, why=why, remedy=words.remedy, retry=words.retry
        ) from error
