"""One user of a rig at a time: a lock on host a that names its holder and ends with the holder's connection.

The lock is an flock(2) held by a process on the host whose life hangs on our SSH channel, so that a
controller that is killed cannot leave it behind, and two controllers cannot both have it.
"""

from __future__ import annotations

import getpass
import json
import os
import queue
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import RigLockedError, UnreachableError
from harness.rig.host import Host
from harness.rig.limits import Limits
from harness.rig.lines import Answers

_PROGRAM = Path(__file__).with_name("lock_holder.py")
_SHOWN = 200
"""Characters of an answer that is no object, in a message."""


def holder_name(purpose: str) -> str:
    """Who asks for the rig: user, machine, process and what for."""
    return f"{getpass.getuser()}@{socket.gethostname()} (process {os.getpid()}): {purpose}"


@contextmanager
def hold(host: Host, purpose: str) -> Iterator[None]:
    """Hold the rig for the length of the block.

    Raises:
        RigLockedError: Another controller has it; the message says who, and since when.
        UnreachableError: The host does not answer.
    """
    answers = Answers()
    channel = host.stream(
        host.python(_PROGRAM),
        answers.put,
        on_close=lambda reason: answers.put(0, json.dumps({"state": "ended", "reason": reason})),
    )
    try:
        channel.send(holder_name(purpose))
        answer = _first(answers, host)
        if answer.get("state") == "locked":
            raise RigLockedError(
                "the rig is in use",
                where=f"host {host.role} ({host.endpoint.address})",
                why=f"held by {answer.get('holder')}",
                remedy="wait until it ends, or end that process",
                retry=True,
            )
        if answer.get("state") != "held":
            raise UnreachableError("the rig's lock cannot be taken", where=host.role, why=str(answer))
        yield
    finally:
        channel.close()


def _first(answers: Answers, host: Host) -> dict[str, str]:
    try:
        _, line = answers.get(timeout=host.endpoint.limits.answer_s)
    except queue.Empty as error:
        raise UnreachableError(
            "no answer to the rig's lock",
            where=f"host {host.role}",
            remedy=Limits.advice("answer_s", host.role),
            retry=True,
        ) from error
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        said = None
    return said if isinstance(said, dict) else {"state": line[:_SHOWN]}
