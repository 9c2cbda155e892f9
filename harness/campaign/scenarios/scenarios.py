"""What each scenario does to a guarded guest, and how its effects are undone.

A provocation does what an attacker, a customer or a provider would do, on the real machine or in the
registry, and says when. It knows nothing of responses. Its teardown undoes it, so that the next one finds
sound servers.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial

from harness.attest.attester.contract import Attester
from harness.attest.evidence import KeyType
from harness.attest.identity import authorities, enrolment
from harness.campaign.model import Scenario
from harness.campaign.scenarios.injector import Injector, Moment
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
        violations: The memory violations that each server counts now; empty where none was added.
        kept: What a teardown has to restore.
    """

    what: str
    server: str | None
    moment: Moment
    violations: Mapping[str, int] = field(default_factory=dict)
    kept: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What provocations may use.

    Attributes:
        hosts: SSH to the hosts.
        attesters: Standing channels to their attesters.
        alone: Keeps all others from asking a server for the length of a block.
        injectors: Lines through which things are done to hosts at a known moment.
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
    injectors: Mapping[str, Injector]
    registry: Registry
    vm: str
    keys: tuple[KeyType, ...]
    accepted: dict[str, int]
    clock: Clock
    interval_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Provocation:
    """What a scenario does to a guest, and how that is undone; both are functions without memory.

    Attributes:
        invoke: Does it to the guest that is on the named server; given what was done in this trial before.
        teardown: Undoes it.
    """

    invoke: Callable[[Stage, str, Sequence[Done]], Done]
    teardown: Callable[[Stage, Done], None]


class Staged:
    """One trial's provocations: what was done so far, and whether the last still stands."""

    def __init__(self, stage: Stage, provocation: Provocation | None) -> None:
        self._stage = stage
        self._provocation = provocation
        self._done: list[Done] = []
        self._standing: list[Done] = []

    @property
    def standing(self) -> bool:
        """Whether something was done that is still to be undone."""
        return bool(self._standing)

    def invoke(self, here: str) -> Done:
        """Do it to the guest that is on server `here`.

        Raises:
            PrerequisiteError: It cannot be done there.
            ValueError: The scenario provokes nothing.
        """
        if self._provocation is None:
            raise ValueError("this scenario provokes nothing")
        done = self._provocation.invoke(self._stage, here, tuple(self._done))
        self._done.append(done)
        self._standing.append(done)
        return done

    def teardown(self) -> None:
        """Undo what still stands, in its order; the second time nothing is left to do."""
        while self._provocation is not None and self._standing:
            self._provocation.teardown(self._stage, self._standing[0])
            self._standing.pop(0)


@contextmanager
def set_up(hosts: Mapping[str, Machine], clock: Clock) -> Iterator[Mapping[str, Injector]]:
    """The lines to the hosts, for the length of a trial, before and after which no violation is counted.

    Raises:
        PrerequisiteError: A host cannot play scenarios.
    """
    with ExitStack() as stack:
        injectors = {
            role: stack.enter_context(closing(Injector(host, clock))) for role, host in hosts.items()
        }
        _count_nothing(injectors)
        stack.callback(_count_nothing, injectors)
        yield injectors


def _count_nothing(injectors: Mapping[str, Injector]) -> None:
    for injector in injectors.values():
        injector.count(COUNTER, 0)


# -- memory violations


def _violate(stage: Stage, here: str, before: Sequence[Done]) -> Done:
    """One more violation on the guest's server."""
    return _counted(stage, (here,), before, "a memory violation (simulated)")


def _violate_everywhere(stage: Stage, here: str, before: Sequence[Done]) -> Done:
    """One more on every server; the guest's own comes last, when the others are known to be bad.

    Otherwise the guest would be on its way to a server that is not yet known to be bad.
    """
    others = tuple(server for server in stage.hosts if server != here)
    return _counted(stage, (*others, here), before, "memory violations on every server (simulated)")


def _counted(stage: Stage, servers: Sequence[str], before: Sequence[Done], what: str) -> Done:
    number = dict.fromkeys(servers, 1)
    for server in servers:
        number[server] += sum(server in one.violations for one in before)
    *others, last = servers
    for server in others:
        stage.injectors[server].count(COUNTER, number[server])
    if others:
        stage.clock.wait(_LOOKS * stage.interval_s, threading.Event())
    moment = stage.injectors[last].count(COUNTER, number[last])
    return Done(what=what, server=last, moment=moment, violations=number)


def _accept(stage: Stage, done: Done) -> None:
    """What was counted has been looked at and is accepted; a suspended guest is the loop's to move."""
    stage.accepted.update(done.violations)


# -- a machine that booted something else


def _tamper(stage: Stage, here: str, before: Sequence[Done]) -> Done:
    """Extend a PCR of the guest's server with something that no reference value matches."""
    del before
    moment = stage.injectors[here].extend(PCR, "sha256", secrets.token_bytes(32), TPM)
    return Done(what=f"PCR {PCR} was extended", server=here, moment=moment)


def _restart_tpm(stage: Stage, done: Done) -> None:
    """Restart the server's software TPM, which measures again, and enrol it again, as an operator would."""
    name = str(done.server)
    host = stage.hosts[name]
    renewed = enrolment.Request(
        name=name,
        kind="host",
        authorities=authorities.of_machine(host, authorities.HOST_AUTHORITY),
        keys=stage.keys,
        renew=True,
    )
    # A look in between would find new keys that are not stored yet, and accuse the server for good.
    with stage.alone(name):
        host.run(f"tpm2_shutdown --tcti {TPM} --clear && systemctl restart sodbench-swtpm.service")
        enrolment.enrol(stage.attesters[name], stage.registry, renewed, stage.clock)


# -- another request, other properties


def _ask_otherwise(first: Request, stage: Stage, here: str, before: Sequence[Done]) -> Done:
    """The customer asks for another protection than the guest's server gives, and back again."""
    del here
    wanted = first if len(before) % 2 else request(OTHERS)
    moment = _bracketed(
        stage.clock,
        lambda: stage.registry.protection.set(
            stage.vm, wanted.to_json(), by="customer", why="the scenario's"
        ),
    )
    return Done(what=f"the request became {', '.join(wanted.texts())}", server=None, moment=moment)


def _leave(stage: Stage, done: Done) -> None:
    """Nothing is broken."""
    del stage, done


def _withdraw(first: Request, stage: Stage, here: str, before: Sequence[Done]) -> Done:
    """The provider withdraws the cells that the guest asks for from the guest's server."""
    del before
    stored = stage.registry.properties(here).get(WITHDRAWN)
    cells: list[Json] = [str(cell) for cell in CELLS if cell in first.cells]
    moment = _bracketed(stage.clock, lambda: _set_withdrawn(stage, here, cells))
    kept = [] if stored is None else stored.value
    return Done(what=f"withdrawn: {', '.join(map(str, cells))}", server=here, moment=moment, kept=kept)


def _give_back(stage: Stage, done: Done) -> None:
    """What had been withdrawn before stays so."""
    _set_withdrawn(stage, str(done.server), done.kept)


def _set_withdrawn(stage: Stage, server: str, cells: Json) -> object:
    return stage.registry.set_property(server, WITHDRAWN, cells, source="provider", simulated=False)


def of_scenario(scenario: Scenario, first: Request) -> Provocation | None:
    """The provocation of `scenario`, for a guest that was deployed with the request `first`.

    None where none is needed: a moving target moves by itself.
    """
    match scenario:
        case "violation":
            return Provocation(invoke=_violate, teardown=_accept)
        case "suspend" | "shut-down":
            return Provocation(invoke=_violate_everywhere, teardown=_accept)
        case "attestation":
            return Provocation(invoke=_tamper, teardown=_restart_tpm)
        case "request":
            return Provocation(invoke=partial(_ask_otherwise, first), teardown=_leave)
        case "properties":
            return Provocation(invoke=partial(_withdraw, first), teardown=_give_back)
        case "moving-target":
            return None


def check_playable(tpm: Mapping[str, str], servers: tuple[str, ...]) -> None:
    """Refuse to play on machines that cannot be restored from here.

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
