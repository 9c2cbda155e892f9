"""What happens to a guarded guest in each scenario, and how the world is put right after it.

A provocation does what an attacker, a customer or a provider would do, on the real machine or in the
registry, and says when. It knows nothing of responses. What it broke it mends, so that the next one finds a
world that is well; a machine that was found bad is started anew and enrolled anew, as an operator would.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from harness.attest.attester.contract import Attester
from harness.attest.evidence import KeyType
from harness.attest.identity import authorities, enrolment
from harness.campaign.model import Scenario
from harness.campaign.scenarios.injector import Moment, Provoker
from harness.clock import Clock
from harness.errors import PrerequisiteError
from harness.json_types import Json
from harness.policy.known import WITHDRAWN
from harness.policy.request import Request, request
from harness.policy.threats import CELLS
from harness.registry.registry import Registry
from harness.rig.contract import Machine

COUNTER = "/var/lib/sodbench/memory_violations"
"""Where a lab host's simulated number of memory violations is (``sodbench_simulated`` of the inventory)."""
TPM = "swtpm:path=/run/sodbench/swtpm.sock"
PCR = 4
"""Where a boot loader is measured; nothing extends it once a machine is up."""
_LOOKS = 1.5
"""After so many intervals a server was looked at, whatever its phase."""
OTHERS = ("1", "5", "6", "7")
"""What the customer asks for instead: the package of medical records, in options."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What was done.

    Attributes:
        what: In words.
        server: To which server; None where to none.
        moment: When.
    """

    what: str
    server: str | None
    moment: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What provocations may use.

    Attributes:
        hosts: SSH to the hosts.
        attesters: Standing channels to their attesters.
        alone: Keeps everybody else from asking a server for the length of a block.
        provokers: Lines through which bad things are done at a known moment.
        registry: Where requests and properties are.
        vm: The guest's name in it.
        keys: Types of keys that hosts are enrolled with.
        accepted: Memory violations that were looked at and accepted, by server; provocations add to them.
        clock: The controller's.
        interval_s: From one look at a server to the next.
    """

    hosts: Mapping[str, Machine]
    attesters: Mapping[str, Attester]
    alone: Callable[[str], AbstractContextManager[object]]
    provokers: Mapping[str, Provoker]
    registry: Registry
    vm: str
    keys: tuple[KeyType, ...]
    accepted: dict[str, int]
    clock: Clock
    interval_s: float


class Provocation(Protocol):
    """One scenario's."""

    def provoke(self, here: str) -> Done:
        """Do it to the guest that is on server `here`."""
        ...

    def mend(self) -> None:
        """Put right what was done last; nothing is left to do the second time."""
        ...


class Violation:
    """HyperWall's number of memory violations goes up, on the guest's server or on all."""

    def __init__(self, stage: Stage, *, everywhere: bool = False) -> None:
        self._stage = stage
        self._everywhere = everywhere
        self._counted = dict.fromkeys(stage.hosts, 0)

    def provoke(self, here: str) -> Done:
        """One more violation; the guest's own server comes last, so that the other is known to be bad."""
        servers = [server for server in self._stage.hosts if server != here] if self._everywhere else []
        for server in servers:
            self._count(server)
        if servers:
            # Else the guest would be on its way to a server of which nobody knows yet that it is bad.
            self._stage.clock.wait(_LOOKS * self._stage.interval_s, threading.Event())
        moment = self._count(here)
        what = "memory violations on every server" if self._everywhere else "a memory violation"
        return Done(what=f"{what} (simulated)", server=here, moment=moment)

    def _count(self, server: str) -> Moment:
        self._counted[server] += 1
        return self._stage.provokers[server].count(COUNTER, self._counted[server])

    def mend(self) -> None:
        """What was counted has been looked at and is accepted; a suspended guest is the loop's to move."""
        self._stage.accepted.update(self._counted)


class Tampering:
    """A PCR of the guest's server is extended, as if something else had booted there."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._bad: str | None = None

    def provoke(self, here: str) -> Done:
        """Extend it with something that nobody has a reference value for."""
        moment = self._stage.provokers[here].extend(PCR, "sha256", secrets.token_bytes(32), TPM)
        self._bad = here
        return Done(what=f"PCR {PCR} was extended", server=here, moment=moment)

    def mend(self) -> None:
        """Start the server's software TPM anew, which measures again, and enrol it anew."""
        if self._bad is None:
            return
        name, host, stage = self._bad, self._stage.hosts[self._bad], self._stage
        renewed = enrolment.Request(
            name=name,
            kind="host",
            authorities=authorities.of_machine(host, authorities.HOST_AUTHORITY),
            keys=stage.keys,
            renew=True,
        )
        # A look in between would find new keys that nobody has stored yet, and accuse the server for good.
        with stage.alone(name):
            host.run(f"tpm2_shutdown --tcti {TPM} --clear && systemctl restart sodbench-swtpm.service")
            enrolment.enrol(stage.attesters[name], stage.registry, renewed, stage.clock)
        self._bad = None


class OtherRequest:
    """The customer asks for another protection than the guest's server gives, and back again."""

    def __init__(self, stage: Stage, first: Request) -> None:
        self._stage = stage
        self._turns = (request(OTHERS), first)
        self._turn = 0

    def provoke(self, here: str) -> Done:
        """Change the request."""
        del here
        wanted = self._turns[self._turn % 2]
        self._turn += 1
        moment = _bracketed(
            self._stage.clock,
            lambda: self._stage.registry.protection.set(
                self._stage.vm, wanted.to_json(), by="customer", why="the scenario's"
            ),
        )
        return Done(what=f"the request became {', '.join(wanted.texts())}", server=None, moment=moment)

    def mend(self) -> None:
        """Nothing is broken."""


class Withdrawal:
    """The provider withdraws what the guest's server could do until now."""

    def __init__(self, stage: Stage, first: Request) -> None:
        self._stage = stage
        self._cells: list[Json] = [str(cell) for cell in CELLS if cell in first.cells]
        self._bad: str | None = None
        self._before: Json = []

    def provoke(self, here: str) -> Done:
        """Withdraw the cells that the guest asks for."""
        stored = self._stage.registry.properties(here).get(WITHDRAWN)
        self._bad, self._before = here, [] if stored is None else stored.value
        moment = _bracketed(self._stage.clock, lambda: self._set(here, self._cells))
        return Done(what=f"withdrawn: {', '.join(map(str, self._cells))}", server=here, moment=moment)

    def mend(self) -> None:
        """Give them back; what had been withdrawn before stays so."""
        if self._bad is not None:
            self._set(self._bad, self._before)
        self._bad = None

    def _set(self, server: str, cells: Json) -> object:
        return self._stage.registry.set_property(server, WITHDRAWN, cells, source="provider", simulated=False)


def of_scenario(scenario: Scenario, stage: Stage, first: Request) -> Provocation | None:
    """The provocation of `scenario`, for a guest that was deployed with the request `first`.

    None where none is needed: a moving target moves by itself.

    Raises:
        PrerequisiteError: It cannot be played on these machines.
    """
    match scenario:
        case "violation":
            return Violation(stage)
        case "suspend" | "shut-down":
            return Violation(stage, everywhere=True)
        case "attestation":
            return Tampering(stage)
        case "request":
            return OtherRequest(stage, first)
        case "properties":
            return Withdrawal(stage, first)
        case "moving-target":
            return None


def check_playable(tpm: Mapping[str, str], servers: tuple[str, ...]) -> None:
    """Refuse to play on machines that cannot be put right again from here.

    Raises:
        PrerequisiteError: A server's TPM is of hardware: what extends its PCRs is undone by a reboot only.
    """
    for server in servers:
        if tpm.get(server) != "software":
            raise PrerequisiteError(
                "scenarios are played on software TPMs only",
                where=f"host {server}",
                why="a PCR of a hardware TPM that was extended stays so until the machine reboots",
                remedy="play them in the lab; `sodbench watch` guards guests on any rig",
            )


def _bracketed(clock: Clock, act: Callable[[], object]) -> Moment:
    earliest_ns = clock.now_ns()
    act()
    return Moment(earliest_ns=earliest_ns, latest_ns=clock.now_ns())
