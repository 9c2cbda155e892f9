"""Asks a guest for a look at its vTPM, over a command that reaches its shell, such as ``ssh vm-1``."""

from __future__ import annotations

import json
import shlex
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

from harness.errors import UnreachableError
from harness.legible import legible

LIMIT_S = 120.0
MOST_BYTES = 64 * 1024
"""Of what a guest answers: a look has some hundred bytes."""
_PROGRAM = Path(__file__).with_name("look_probe.py")


def ask(via: Sequence[str], key: int, tcti: str, qualifying: bytes) -> tuple[bytes, bytes]:
    """The vTPM's attest and its signature, after its counter was incremented.

    Args:
        via: The command, which takes a line for a shell as one more argument.
        key: The persistent handle of the identity key in the vTPM.
        tcti: How the guest reaches its vTPM.
        qualifying: What the vTPM signs next to the count.

    Raises:
        UnreachableError: The guest gives no such answer within two minutes.
    """
    line = shlex.join(["/usr/bin/python3", "-c", _PROGRAM.read_text(encoding="utf-8"), f"{key:#x}", tcti])
    request = json.dumps({"qualifying": qualifying.hex()}).encode() + b"\n"
    said = _answer([*via, line], request)
    try:
        found = json.loads(said.splitlines()[-1] if said else b"")
        return bytes.fromhex(found["attest"]), bytes.fromhex(found["signature"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        why = legible(said[-300:].decode("utf-8", "replace").strip()) or "it says nothing"
        raise _silent(via, why) from error


def _answer(argv: Sequence[str], request: bytes) -> bytes:
    """What the command says, output and errors in one, as far as it is read."""
    try:
        process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except OSError as error:
        raise _silent(argv[:-1], error.strerror or str(error)) from error
    ended = threading.Timer(LIMIT_S, process.kill)
    with process:
        ended.start()
        try:
            if process.stdin is None or process.stdout is None:
                raise _silent(argv[:-1], "it has no pipes")
            try:
                process.stdin.write(request)
                process.stdin.close()
            except BrokenPipeError:
                pass  # it ended early, and what it says tells why
            said = process.stdout.read(MOST_BYTES + 1)
        finally:
            ended.cancel()
            process.kill()
    return said if len(said) <= MOST_BYTES else b""


def _silent(via: Sequence[str], why: str) -> UnreachableError:
    return UnreachableError(
        "the guest gives no look at its vTPM",
        where=legible(shlex.join(via)),
        why=why,
        remedy="see that the command reaches a shell of the guest, with python3-tpm2-pytss and the right to "
        "use /dev/tpmrm0, and that --handle names the identity key",
        retry=True,
    )
