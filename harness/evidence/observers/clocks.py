"""The machines' clocks against the controller's: how stamps taken elsewhere can be compared at all.

A machine is asked for its clocks several times over SSH; the exchange with the shortest round trip bounds
the offset best (the minimum filter of RFC 5905, section 10). Machines that turn out to run on the
controller's own kernel, as in the lab, share its clocks exactly.
"""

from __future__ import annotations

import os
import queue
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.clock import NS_PER_S, Clock, ClockOffset, realtime_ns
from harness.errors import UnreachableError
from harness.evidence.events import ClockSampled
from harness.evidence.record import Record
from harness.rig.contract import Machine
from harness.rig.limits import Limits
from harness.rig.lines import Answers

PROGRAM = Path(__file__).with_name("clocks_probe.py")
EXCHANGES = 15
JUMP_NS = NS_PER_S
"""By more than this no machine's clock drifts from the controller's in a trial."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One question and answer, in ns: sent and received by the controller, the machine's clocks between.

    `boot_id` is the machine's boot, empty where it did not say.
    """

    sent_ns: int
    received_ns: int
    monotonic_ns: int
    realtime_ns: int
    kernel: str
    boot_id: str = ""

    @property
    def round_trip_ns(self) -> int:
        """How long the exchange took."""
        return self.received_ns - self.sent_ns


def offset(
    machine: str, exchanges: Iterable[Exchange], *, kernel: str, monotonic_to_realtime_ns: int
) -> ClockOffset:
    """The offset that the best exchange shows.

    Args:
        machine: Its role.
        exchanges: At least one.
        kernel: The controller's own release and version.
        monotonic_to_realtime_ns: The controller's CLOCK_REALTIME minus its CLOCK_MONOTONIC.

    A machine whose kernel has the same build and whose monotonic clock, counted from its boot, agrees with
    the controller's to within the round trip runs on the same kernel: two machines booted within the same
    millisecond are not met by chance. (Containers hide the kernel's boot id, so it cannot tell.)
    """
    best = min(exchanges, key=lambda one: one.round_trip_ns)
    middle = (best.sent_ns + best.received_ns) // 2
    uncertainty = (best.round_trip_ns + 1) // 2
    monotonic = middle - best.monotonic_ns
    same = best.kernel == kernel and abs(monotonic) <= uncertainty
    return ClockOffset(
        machine=machine,
        monotonic_offset_ns=0 if same else monotonic,
        realtime_offset_ns=-monotonic_to_realtime_ns if same else middle - best.realtime_ns,
        uncertainty_ns=0 if same else uncertainty,
        same_kernel=same,
        boot_id=best.boot_id,
    )


def own_kernel() -> str:
    """The controller's kernel in the form that the probe uses."""
    name = os.uname()
    return f"{name.release}/{name.version}".replace(" ", "_")


def restarted(
    hosts: Collection[str], before: Mapping[str, ClockOffset], after: Mapping[str, ClockOffset]
) -> list[str]:
    """Why the machines sampled `before` did not run through until sampled again, in words; none if they did.

    One of the `hosts` that does not answer any more is not known to have. Another machine that does not, such
    as a client whose link is down, costs its observer alone.

    Boots differ by their ids; where a machine does not tell them, by its monotonic clock, which starts again
    and else drifts by far less than a second a trial. A clock that stood still, as in a machine that was
    suspended, is found as well.
    """
    silent = [
        f"{host} did not answer at the trial's end: whether it was rebooted is not known"
        for host in hosts
        if host in before and host not in after
    ]
    both = [machine for machine in before if machine in after]
    return silent + [why for one in both if (why := _restart(one, before[one], after[one]))]


def _restart(machine: str, before: ClockOffset, after: ClockOffset) -> str | None:
    if before.boot_id and after.boot_id and before.boot_id != after.boot_id:
        return f"{machine} was rebooted during the trial"
    moved_ns = abs(after.monotonic_offset_ns - before.monotonic_offset_ns)
    if moved_ns > JUMP_NS + before.uncertainty_ns + after.uncertainty_ns:
        return (
            f"the clock of {machine} moved by {moved_ns / NS_PER_S:.1f} s against the controller's during "
            "the trial: it was rebooted or stood still"
        )
    return None


def sample(
    machines: Mapping[str, Machine], record: Record, commands: Mapping[str, str] | None = None
) -> dict[str, ClockOffset]:
    """Record and return the clock offset of each machine; one that does not answer is recorded as failed.

    A machine that `commands` names is asked by that command, which answers as the probe does.
    """
    found: dict[str, ClockOffset] = {}
    for role, host in machines.items():
        try:
            command = (commands or {}).get(role) or host.python(PROGRAM)
            exchanges = _exchange(host, command, record.clock)
        except (UnreachableError, TimeoutError) as error:
            record.failed("clocks", f"{role}: {error}")
            continue
        to_realtime = realtime_ns() - record.clock.now_ns()
        found[role] = offset(role, exchanges, kernel=own_kernel(), monotonic_to_realtime_ns=to_realtime)
        record.add(ClockSampled.model_validate(asdict(found[role])))
    return found


def _exchange(host: Machine, command: str, clock: Clock) -> list[Exchange]:
    answers = Answers()
    channel = host.stream(command, answers.put, root=False)
    try:
        return [_ask(channel.send, answers, clock, host) for _ in range(EXCHANGES)]
    finally:
        channel.close()


def _ask(send: Callable[[str], None], answers: Answers, clock: Clock, host: Machine) -> Exchange:
    limit_s = host.endpoint.limits.answer_s
    sent = clock.now_ns()
    try:
        send("?")
        received, line = answers.get(timeout=limit_s)
        monotonic, realtime, kernel, boot = line.split(" ")
        return Exchange(
            sent_ns=sent,
            received_ns=received,
            monotonic_ns=int(monotonic),
            realtime_ns=int(realtime),
            kernel=kernel,
            boot_id="" if boot == "-" else boot,
        )
    except queue.Empty as error:
        raise UnreachableError(
            f"no clock reading within {limit_s:g} s",
            where=host.role,
            remedy=Limits.advice("answer_s", host.role),
            retry=True,
        ) from error
    except ValueError as error:
        raise UnreachableError(
            "no clock reading", where=host.role, why=f"it answered {line[:80]!r}", retry=True
        ) from error
