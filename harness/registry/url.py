"""URLs of registries: read, and as they may be shown, stored and passed on."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote_plus

from sqlalchemy import make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from harness.registry.errors import RegistryError

_SECRET = re.compile(r"password|passwd|passphrase|pwd|secret|token|scram_\w*key|conninfo|dsn", re.IGNORECASE)
"""Parameters that hold a secret, or a whole connection string with one. libpq's ``passfile`` is a path."""

_USER = re.compile(r"(://[^:/@]*):.*@", re.DOTALL)
_PARAMETER = re.compile(r"([?&])([^?&=]*)=([^&]*)")
_REMEDY = "sqlite:///FILE, or postgresql+psycopg://USER@HOST/DATABASE"


def sqlite_url(path: Path) -> str:
    """The URL of a registry in the file `path`, with any characters in its name.

    Raises:
        RegistryError: It is not UTF-8, as SQLite wants it.
    """
    _require_utf_8(str(path))
    return URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)


def shown(url: URL) -> str:
    """The URL as it may be shown and stored: its password hidden, secrets among its parameters left out."""
    secret = [name for name in url.query if _SECRET.search(name)]
    return url.difference_update_query(secret).render_as_string(hide_password=True)


def without_secrets(argument: str) -> str:
    """An argument of the command line with ``***`` for each secret of a URL in it; all else as it was given.

    The argument need not be a URL that can be read: of one with several ``@``, all that the password may
    have been is hidden.
    """
    if "://" not in argument:
        return argument
    return _PARAMETER.sub(_masked, _USER.sub(r"\1:***@", argument))


def _masked(parameter: re.Match[str]) -> str:
    mark, name, value = parameter.groups()
    # Names are decoded before they count: %77 is a w.
    return f"{mark}{name}={'***' if _SECRET.search(unquote_plus(name)) else value}"


def parsed(url: str) -> URL:
    """The URL of a registry.

    Raises:
        RegistryError: This is no URL, or no registry can be kept there. The message has no password,
            and no part of what may be one.
    """
    _require_utf_8(url)
    if not url.startswith("sqlite") and url.partition("?")[0].count("@") > 1:
        raise RegistryError(
            "the URL of the registry has more than one @ before its parameters",
            where=without_secrets(url),
            why="the password would end at the first",
            remedy="write %40 for each @ of user, password and database",
        )
    try:
        made = make_url(url)
    except ArgumentError as error:
        raise RegistryError("not the URL of a registry", why=str(error), remedy=_REMEDY) from error
    except ValueError:
        # What the error quotes stands in the port's place, and may be a password's end.
        why = "what stands in the port's place is no number"
        raise RegistryError("not the URL of a registry", why=why, remedy=_REMEDY) from None
    if made.drivername == "postgresql":
        made = made.set(drivername="postgresql+psycopg")
    if made.drivername not in {"sqlite", "sqlite+pysqlite", "postgresql+psycopg"}:
        raise RegistryError(f"no registry can be kept in {made.drivername}", remedy=_REMEDY)
    in_memory = made.database in {None, "", ":memory:"} or made.query.get("mode") == "memory"
    if made.get_backend_name() == "sqlite" and in_memory:
        raise RegistryError(
            "a registry needs a file",
            why="one in memory would forget spent nonces and what was accepted last",
            remedy="sqlite:///FILE",
        )
    return made


def _require_utf_8(place: str) -> None:
    try:
        place.encode()
    except UnicodeEncodeError as error:
        raise RegistryError(
            "a registry's name has to be UTF-8",
            where=without_secrets(place),
            remedy="choose another place: --registry, SODBENCH_REGISTRY, or XDG_DATA_HOME for all your data",
        ) from error
