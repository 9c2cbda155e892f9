"""A small HTTP server that answers as Keystone and Nova do, in orders that a real cloud cannot be brought to.

What it answers with are the recorded payloads; only what happens, and when, is played.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.nova.test_notifications import RECORDED

COMPLETED = RECORDED["completed"]
SERVER = COMPLETED["server"]["id"]
REQUEST = "req-0c5b2a6e-4d0c-4d6c-9d0b-6a1f00000001"


class LostError(Exception):
    """The connection ends without an answer."""


@dataclass
class Api:
    """What the cloud does.

    Attributes:
        statuses: The migration's status, look by look; the last one stays.
        host: Where the server is, once the migration is over.
        order: What happens when the order arrives: a status and a body, or an exception.
        taken: Whether an order that is lost on its way back was taken.
        keeps: Whether `order` itself says so.
        lost_aborts: How many orders to stop the migration are lost.
        look: What happens at a look at the migrations, by its number; None for a plain answer.
        gone: Whether the server has been deleted.
        refuse_tokens: How many requests are refused for their token; -1 for all.
        asked: Every request, as method and path.
    """

    statuses: list[str] = field(default_factory=lambda: ["running", "completed"])
    host: str = "c"
    order: Callable[[], tuple[int, Any]] = lambda: (202, None)
    taken: bool = True
    keeps: bool = False
    lost_aborts: int = 0
    look: Callable[[int], tuple[int, Any] | None] = lambda _number: None
    gone: bool = False
    refuse_tokens: int = 0
    asked: list[tuple[str, str]] = field(default_factory=list)
    looks: int = 0
    ordered: bool = False
    aborted: bool = False
    tokens: int = 0

    @property
    def orders(self) -> int:
        """How many orders to migrate reached the server."""
        return sum(1 for method, path in self.asked if method == "POST" and path.endswith("/action"))

    def answer(self, method: str, path: str) -> tuple[int, Any]:
        """The answer to a request of which the token counts."""
        self.asked.append((method, path))
        if method == "DELETE":
            if self.lost_aborts:
                self.lost_aborts -= 1
                raise LostError
            self.aborted = True
            return 202, None
        if path.endswith("/action"):
            try:
                found = self.order()
            except LostError:
                self.ordered = self.taken
                raise
            self.ordered = self.ordered if self.keeps else found[0] == 202
            return found
        if "/os-instance-actions/" in path:
            return 200, {"instanceAction": COMPLETED["action"]}
        if "/os-migrations" in path:
            return self._migrations()
        if self.gone:
            return 404, {"itemNotFound": {"code": 404, "message": f"Instance {SERVER} could not be found."}}
        return 200, {"server": COMPLETED["server"] | {"OS-EXT-SRV-ATTR:host": self.host}}

    def _migrations(self) -> tuple[int, Any]:
        self.looks += 1
        special = self.look(self.looks)
        if special is not None:
            return special
        if not self.ordered:
            return 200, {"migrations": []}
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        status = "cancelled" if self.aborted else status
        return 200, {"migrations": [COMPLETED["migrations"][0] | {"status": status}]}


def _handler(api: Api, address: Callable[[], str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

        def _any(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {"x-openstack-request-id": REQUEST}
            try:
                if self.path.endswith("/auth/tokens"):
                    api.tokens += 1
                    headers["X-Subject-Token"] = f"token-{api.tokens}"
                    status, body = 201, {"token": _token(address())}
                elif api.refuse_tokens:
                    api.refuse_tokens -= 1
                    status, body = 401, {"error": {"code": 401, "message": "The request requires a token."}}
                else:
                    status, body = api.answer(self.command, self.path)
            except LostError:
                self.close_connection = True
                return
            content = (
                b"" if body is None else (body if isinstance(body, bytes) else json.dumps(body).encode())
            )
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _any  # noqa: N815

    return Handler


def _token(address: str) -> dict[str, Any]:
    endpoint = {"interface": "public", "region": "r", "region_id": "r", "url": f"{address}/v2.1", "id": "e"}
    return {
        "expires_at": "2100-01-01T00:00:00.000000Z",
        "issued_at": "2026-11-28T00:00:00.000000Z",
        "methods": ["password"],
        "user": {"id": "u", "name": "u", "domain": {"id": "default", "name": "Default"}},
        "catalog": [{"type": "compute", "id": "s", "name": "nova", "endpoints": [endpoint]}],
    }


@contextmanager
def served(api: Api) -> Iterator[str]:
    """The server, while it answers; its address."""
    at: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(api, lambda: at[0]))
    at.append(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield at[0]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
