"""Reads a host's state over SSH: one command, which changes nothing."""

from __future__ import annotations

from pathlib import Path

from harness.rig.contract import CommandError, Machine
from harness.rig.state.facts import HostFacts, parse

PROBE = Path(__file__).with_name("state_probe.py")
_SHOWN = 200


def state(host: Machine) -> HostFacts:
    """The host's state now.

    Raises:
        CommandError: The probe fails there, or prints something else.
        UnreachableError: The host does not answer.
    """
    output = host.run(host.python(PROBE), limit="answer_s")
    try:
        return parse(output)
    except (ValueError, RecursionError) as error:
        raise CommandError(
            "the host's state cannot be read",
            where=f"{host.role} ({host.endpoint.address})",
            why=f"{error}: it printed {output[:_SHOWN]!r}",
        ) from error
