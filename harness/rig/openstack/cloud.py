"""Nova's REST API, as far as a response needs it: the order to migrate, and looks at what became of it.

An order is given once. Where the answer is lost, whether Nova took it is unknown, and it is not given again:
a look at the migrations says so. The token is held and renewed by who asks (``session.py``), so that no order
waits for one.

Never poll a server: each look at one makes Nova ask Neutron, which slows down the migration that is watched.
A look at its migrations does not.

Source: the Compute API, microversions 2.30 (``force`` and named hosts) to 2.68 (``force`` is gone).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Protocol
from urllib.parse import quote

from harness.errors import UnreachableError
from harness.json_types import Json

MICROVERSION: Final = "2.84"
"""From 2.68 on no order can go around the scheduler; 2.84 tells why an event failed. Since Nova 21.0."""


class CloudError(UnreachableError):
    """Nova does not answer, or answers with what it should not; the order's fate is unknown if it was one."""

    kind: ClassVar[str] = "cloud"


class TokenError(CloudError):
    """Nova takes no token of this user, not even a new one."""

    kind: ClassVar[str] = "token"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What Nova answered.

    Attributes:
        status: HTTP's status.
        body: The JSON values; None where there are none.
        request: The id that Nova gave the request; None where it gave none.
    """

    status: int
    body: Json
    request: str | None


class Transport(Protocol):
    """Asks Nova with a token; :class:`harness.rig.openstack.session.Keystone` does."""

    def ask(self, method: str, path: str, body: Json, headers: Mapping[str, str]) -> Answer:
        """Nova's answer, whatever its status.

        Raises:
            CloudError: None came.
        """
        ...


class Cloud:
    """One cloud's Nova.

    Args:
        transport: How it is asked.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def live_migrate(self, server: str, host: str | None) -> Answer:
        """Order a live migration; every answer of Nova is an answer, refusals included.

        Args:
            server: The server's id.
            host: Where to; None leaves it to the scheduler. Either way its filters are asked.

        Raises:
            CloudError: No answer came; whether Nova has taken the order is unknown.
        """
        body = {"os-migrateLive": {"host": host, "block_migration": "auto"}}
        return self._ask("POST", f"/servers/{quote(server, safe='')}/action", body)

    def abort(self, server: str, migration: int) -> Answer:
        """Order the end of a migration that is under way. Raises as :meth:`live_migrate`."""
        return self._ask("DELETE", f"/servers/{quote(server, safe='')}/migrations/{migration}")

    def newest_migration(self, server: str, after: int = 0) -> Mapping[str, Json] | None:
        """The record of the server's newest live migration whose number is beyond `after`; None without one.

        Raises:
            CloudError: No answer came, or another than the one that is expected.
        """
        path = f"/os-migrations?instance_uuid={quote(server, safe='')}&migration_type=live-migration&limit=1"
        body = self._expected(path, "migrations")
        found = body if isinstance(body, list) else []
        newest = found[0] if found and isinstance(found[0], Mapping) else None
        number = None if newest is None else newest.get("id")
        return newest if isinstance(number, int) and number > after else None

    def server(self, server: str) -> Mapping[str, Json] | None:
        """The server; None where it is gone. Asked before and after a migration, never in between.

        Raises:
            CloudError: As :meth:`newest_migration`.
        """
        found = self._expected(f"/servers/{quote(server, safe='')}", "server", gone=True)
        return found if isinstance(found, Mapping) else None

    def action(self, server: str, request: str) -> Mapping[str, Json] | None:
        """What was done for one request to a server, with its events; None where Nova knows of none.

        Raises:
            CloudError: As :meth:`newest_migration`.
        """
        path = f"/servers/{quote(server, safe='')}/os-instance-actions/{quote(request, safe='')}"
        found = self._expected(path, "instanceAction", gone=True)
        return found if isinstance(found, Mapping) else None

    def act(self, server: str, what: str) -> Answer:
        """Order an action that takes no arguments, such as ``pause``. Raises as :meth:`live_migrate`."""
        return self._ask("POST", f"/servers/{quote(server, safe='')}/action", {what: None})

    def _expected(self, path: str, name: str, *, gone: bool = False) -> Json:
        answer = self._ask("GET", path)
        if gone and answer.status == 404:
            return None
        if answer.status == 401:
            raise TokenError(
                "Nova takes no token of this user",
                where=path.partition("?")[0],
                why=str(answer.body),
                remedy="look at the user's roles and password",
            )
        if answer.status != 200 or not isinstance(answer.body, Mapping) or name not in answer.body:
            raise CloudError(
                "Nova's answer is not the expected one",
                where=path.partition("?")[0],
                why=f"HTTP {answer.status}",
                remedy="look at nova-api's log",
                retry=answer.status >= 500,
            )
        return answer.body[name]

    def _ask(self, method: str, path: str, body: Mapping[str, Json] | None = None) -> Answer:
        return self._transport.ask(method, path, body, {"OpenStack-API-Version": f"compute {MICROVERSION}"})
