"""Other processes that use a registry: at once with others, or killed in the middle.

They are forked from a server that has opened nothing, because an open SQLite database must not be carried
across a fork (sqlite.org/howtocorrupt.html, 2.6).
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

from sqlalchemy import Engine, event

from harness.attest.evidence import RefusedError
from harness.clock import sleep
from harness.errors import SodbenchError
from harness.registry.registry import Registry, open_registry

Answer = tuple[str, Any]
"""`("ok", value)`, or the reason of a refusal or what an error says, with the whole message."""

Work = Callable[[Registry, Any], Any]

_LIMIT_S = 60


def _context() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["tests.registry.workers", "sqlalchemy.dialects.postgresql.psycopg", "psycopg"]
    )
    return context


def _answer(work: Callable[[], Any]) -> Answer:
    try:
        return "ok", work()
    except RefusedError as error:
        return error.reason.value, str(error)
    except SodbenchError as error:
        return error.what, str(error)


def _work(url: str, work: Work, argument: Any, start: Any, end: Connection) -> None:
    with open_registry(url, wait_s=_LIMIT_S) as registry:
        registry.attesters()  # connected, so that all begin at the same moment
        start.wait(_LIMIT_S)
        end.send(_answer(lambda: work(registry, argument)))


def _open(url: str, _work: Work, _argument: Any, start: Any, end: Connection) -> None:
    start.wait(_LIMIT_S)

    def work() -> int:
        with open_registry(url, wait_s=_LIMIT_S) as registry:
            return len(registry.attesters())

    end.send(_answer(work))


def nothing(_registry: Registry, _argument: Any) -> None:
    """No work: for processes that only open."""


def at_once(url: str, work: Work, arguments: Sequence[Any], *, opening: bool = False) -> list[Answer]:
    """The answers of one process for each argument, all begun at the same moment, in the arguments' order."""
    context = _context()
    start = context.Barrier(len(arguments))
    processes, ends = [], []
    for argument in arguments:
        here, there = context.Pipe(duplex=False)
        target = _open if opening else _work
        process = context.Process(target=target, args=(url, work, argument, start, there))
        process.start()
        there.close()
        processes.append(process)
        ends.append(here)
    answers = [end.recv() if end.poll(_LIMIT_S) else ("no answer", None) for end in ends]
    for process in processes:
        process.join(_LIMIT_S)
        assert process.exitcode == 0
    return answers


def _stall(url: str, work: Work, argument: Any, statements: int, end: Connection) -> None:
    seen = 0

    def stop(*_details: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == statements:
            end.send("in the middle")
            sleep(_LIMIT_S)

    def count(_connection: Any, _cursor: Any, statement: str, *_details: Any) -> None:
        if statement.startswith(("INSERT", "UPDATE", "DELETE")):
            stop()

    with open_registry(url, wait_s=_LIMIT_S) as registry:
        event.listen(Engine, "after_cursor_execute", count)
        event.listen(Engine, "commit", stop)  # called before the commit itself
        work(registry, argument)
        end.send("done")


def killed_after(url: str, work: Work, argument: Any, statements: int) -> bool:
    """Kill a process (SIGKILL) once it has sent so many writing statements; False where it was done before.

    The commit counts as the last statement, and it has not been sent when it is killed there.
    """
    context = _context()
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_stall, args=(url, work, argument, statements, there))
    process.start()
    there.close()
    assert here.poll(_LIMIT_S)
    stalled: bool = here.recv() == "in the middle"
    if stalled:
        process.kill()
    process.join(_LIMIT_S)
    assert process.exitcode == (-signal.SIGKILL if stalled else 0)
    return stalled


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


def _bound_by_permissions() -> None:
    """Give up every capability of root's, so that the bits of files bind this process.

    It stays the owner of what it owns: another user may not read a clone in root's home, and so could not
    even go on importing from it.

    Raises:
        OSError: The kernel refuses.
    """
    version_3 = 0x20080522  # linux/capability.h; twice effective, permitted, inheritable
    nothing = (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(ctypes.byref(_CapabilityHeader(version_3, 0)), nothing):
        raise OSError(ctypes.get_errno(), "capset")


def _unprivileged(url: str, work: Work, argument: Any, end: Connection) -> None:
    if os.geteuid() == 0:
        _bound_by_permissions()

    def opened() -> Any:
        with open_registry(url, wait_s=1) as registry:
            return work(registry, argument)

    end.send(_answer(opened))


def unprivileged(url: str, work: Work, argument: Any) -> Answer:
    """The answer of a process that permissions bind; they do not bind root."""
    context = _context()
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_unprivileged, args=(url, work, argument, there))
    process.start()
    there.close()
    assert here.poll(_LIMIT_S)
    answer: Answer = here.recv()
    process.join(_LIMIT_S)
    return answer
