"""Asks Nova with a token that is held, and renewed when it expires: keystoneauth does that.

An answer is read as far as its bound, in the time that it may take, and never inflated.

It needs the extra ``openstack``. Importing this module is the only thing that does.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Final

from keystoneauth1 import adapter, exceptions
from keystoneauth1 import session as keystone
from keystoneauth1.plugin import BaseAuthPlugin
from requests import Response
from urllib3.exceptions import HTTPError

from harness.json_types import Json
from harness.rig.openstack.cloud import Answer, CloudError

MOST_BYTES: Final = 4_000_000
"""How long an answer may be that is read."""
TIMEOUT_S: Final = 30.0
_PART_BYTES: Final = 65_536


class Keystone:
    """One cloud's Nova, with the token of one user.

    Args:
        auth: Who asks, e.g. ``keystoneauth1.identity.v3.Password``.
        region: The region; None where the catalog has one.
        verify: Whether the certificates of the APIs are checked; or the file with the authority.
        timeout_s: How long an answer may take.
    """

    def __init__(
        self,
        auth: BaseAuthPlugin,
        *,
        region: str | None = None,
        verify: bool | str = True,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._timeout_s = timeout_s
        self._adapter = adapter.Adapter(
            keystone.Session(auth=auth, verify=verify, timeout=timeout_s, redirect=False),
            service_type="compute",
            interface="public",
            region_name=region,
            connect_retries=0,
            status_code_retries=0,
        )

    def ask(self, method: str, path: str, body: Json, headers: Mapping[str, str]) -> Answer:
        """Nova's answer, whatever its status; no order is given twice.

        A token that has expired is renewed once: what was refused for it has not been carried out.

        Raises:
            CloudError: None came.
        """
        try:
            found = self._adapter.request(
                path,
                method,
                json=body,
                headers={**headers, "Accept-Encoding": "identity"},
                raise_exc=False,
                stream=True,
            )
        except (exceptions.Unauthorized, exceptions.MissingAuthPlugin) as error:
            return Answer(status=401, body=f"no token: {error}", request=None)
        except exceptions.ClientException as error:
            raise CloudError(
                "Nova does not answer",
                where=path.partition("?")[0],
                why=" ".join(str(error).split()),
                remedy="look whether nova-api and the identity service run",
                retry=True,
            ) from error
        try:
            content = self._content(found, path.partition("?")[0])
        finally:
            found.close()
        try:
            values: Json = json.loads(content)
        except (ValueError, RecursionError):
            values = content[:1_000].decode(errors="replace") or None
        return Answer(
            status=found.status_code, body=values, request=found.headers.get("x-openstack-request-id")
        )

    def _content(self, found: Response, where: str) -> bytes:
        """The bytes of an answer, each part as it comes."""
        if found.headers.get("content-encoding", "identity") != "identity":
            raise CloudError("Nova's answer is packed, which was not asked for", where=where)
        content, until_s = bytearray(), time.monotonic() + self._timeout_s
        try:
            while part := found.raw.read1(_PART_BYTES, decode_content=False):
                content += part
                if len(content) > MOST_BYTES:
                    raise CloudError(
                        "Nova's answer is too long", where=where, why=f"more than {MOST_BYTES} bytes"
                    )
                if time.monotonic() > until_s:
                    raise CloudError(
                        "Nova's answer does not end", where=where, why=f"{self._timeout_s:g} s", retry=True
                    )
        except (HTTPError, OSError) as error:
            raise CloudError(
                "Nova's answer breaks off", where=where, why=" ".join(str(error).split()), retry=True
            ) from error
        return bytes(content)
