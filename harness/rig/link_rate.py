"""The migration link at a lower rate for the length of a block, in both directions.

What each host sends to the other is limited by a program there whose life hangs on our SSH channel, so that a
controller that is killed leaves no slow link behind.
"""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from harness.errors import PrerequisiteError, UnreachableError
from harness.legible import legible
from harness.rig.contract import Machine
from harness.rig.lines import Answers

PROGRAM = Path(__file__).with_name("link_rate_holder.py")
_LONGEST = 300


@contextmanager
def held(
    hosts: Mapping[str, Machine], addresses: Mapping[str, str], rate_bit_s: int, stated_bit_s: int | None
) -> Iterator[Mapping[str, str]]:
    """Hold the link at `rate_bit_s`; by host, the device that was limited.

    Args:
        hosts: Both hosts by role.
        addresses: By host, the address that migrations to it connect to.
        rate_bit_s: What each host may send to the other.
        stated_bit_s: The link's own rate as the inventory states it, to which a limit of the lab is put back.

    Raises:
        PrerequisiteError: A host cannot limit what it sends, or could not put back what is there.
        UnreachableError: A host does not answer.
    """
    with ExitStack() as stack:
        devices = {}
        for role, host in hosts.items():
            (other,) = (address for name, address in addresses.items() if name != role)
            answers = Answers()
            arguments = f"{other} {rate_bit_s} {stated_bit_s or 0}"
            channel = host.stream(host.python(PROGRAM, arguments), answers.put)
            stack.callback(channel.close)
            devices[role] = _device(answers, host)
        yield devices


def _device(answers: Answers, host: Machine) -> str:
    try:
        _, line = answers.get(timeout=host.endpoint.limits.answer_s)
    except queue.Empty as error:
        raise UnreachableError(
            "no answer about the link's rate", where=f"host {host.role}", retry=True
        ) from error
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        said = {}
    if not isinstance(said, dict) or said.get("state") != "held":
        why = said.get("why") if isinstance(said, dict) else None
        raise PrerequisiteError(
            "the link's rate cannot be set",
            where=f"host {host.role}",
            why=legible(str(why or line)[:_LONGEST]),
            remedy="leave link_bit_s out of the variants, or give the device its default discipline",
        )
    return legible(str(said.get("device"))[:64])
