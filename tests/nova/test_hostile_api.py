"""What answers in Nova's place cannot take the memory or the time of who asks."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from keystoneauth1 import noauth
from keystoneauth1.plugin import BaseAuthPlugin

from harness.rig.openstack.cloud import Cloud, CloudError
from harness.rig.openstack.session import MOST_BYTES, Keystone

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@contextmanager
def answering(head: bytes, parts: Callable[[], Iterator[bytes]]) -> Iterator[BaseAuthPlugin]:
    """One that answers each request with `head` and then `parts`; its access, without a token."""

    def answer() -> None:
        while True:
            try:
                asker, _ = server.accept()
            except OSError:
                return
            try:
                with asker:
                    asker.recv(65536)
                    asker.sendall(head + b"\r\n")
                    for part in parts():
                        asker.sendall(part)
            except OSError:
                continue  # the asker has had enough

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer, daemon=True).start()
        auth: BaseAuthPlugin = noauth.NoAuth(endpoint=f"http://127.0.0.1:{server.getsockname()[1]}")
        try:
            yield auth
        finally:
            server.shutdown(socket.SHUT_RDWR)


def endless() -> Iterator[bytes]:
    """64 MiB, long enough for a memory that has no bound."""
    for _ in range(1024):
        yield bytes(65536)


def drops() -> Iterator[bytes]:
    """A byte now and then."""
    for _ in range(100):
        yield b" "
        time.sleep(0.05)


def test_an_answer_without_an_end_is_read_to_its_bound() -> None:
    with answering(HEAD, endless) as auth, pytest.raises(CloudError, match="too long"):
        tracemalloc.start()
        try:
            Cloud(Keystone(auth, timeout_s=5)).server("s")
        finally:
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert peak < 4 * MOST_BYTES


def test_a_packed_answer_is_not_inflated() -> None:
    packed = gzip.compress(bytes(2**24))
    head = HEAD + b"Content-Encoding: gzip\r\n"
    with answering(head, lambda: iter([packed])) as auth, pytest.raises(CloudError, match="packed"):
        Cloud(Keystone(auth, timeout_s=5)).server("s")


def test_an_answer_that_comes_in_drops_is_not_waited_for() -> None:
    began_s = time.monotonic()
    with answering(HEAD, drops) as auth, pytest.raises(CloudError, match="does not end"):
        Cloud(Keystone(auth, timeout_s=0.5)).server("s")
    assert time.monotonic() - began_s < 4


def test_an_answer_of_brackets_is_text() -> None:
    with answering(HEAD, lambda: iter([b"[" * 200_000])) as auth, pytest.raises(CloudError, match="expected"):
        Cloud(Keystone(auth, timeout_s=5)).server("s")


def test_an_answer_that_breaks_off_is_an_error() -> None:
    head = HEAD + b"Content-Length: 100\r\n"
    with answering(head, lambda: iter([b"{}"])) as auth, pytest.raises(CloudError):
        Cloud(Keystone(auth, timeout_s=5)).server("s")
