"""The hosts' state before and after a trial: one command a host, recorded here and judged elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from harness.errors import SodbenchError, StorageError
from harness.evidence.events import HostStateSampled
from harness.evidence.record import Record
from harness.rig.contract import Machine
from harness.rig.state import read

OBSERVER = HostStateSampled.OBSERVER


def sample(hosts: Mapping[str, Machine], record: Record, when: Literal["before", "after"]) -> None:
    """Record the state of each host; one that does not give it is recorded as failed."""
    for role, host in hosts.items():
        try:
            found = read.state(host)
        except StorageError:
            raise
        except SodbenchError as error:
            record.failed(OBSERVER, f"{role}, {when} the trial: {error.summary}")
            continue
        record.add(HostStateSampled(machine=role, when=when, facts=found.facts, reasons=dict(found.reasons)))
