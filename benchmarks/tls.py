"""What encryption costs a migration: TLS against plain TCP, in alternating pairs, their order drawn.

One idle guest, moved back and forth. Total time and blackout are QEMU's own (``query-migrate`` on the
source, kept by libvirt), and the wire's bytes are the counters of the migration ports. The CPU of a host is
what the processes of its container used during the call, those that ended included, in steps of 10 ms; what
the kernel does in interrupts is in the machine's busy time alone, which has both hosts,
the guest, the client and the controller. Run it with ``python -m benchmarks.tls`` while the lab is up; it
prints the ratios of the medians and writes every migration as JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

import psutil

from benchmarks import provenance
from benchmarks.overhead import REST_S, running_guest
from harness.analysis.stats import median_interval, ratio_of_medians
from harness.clock import NS_PER_S, MonotonicClock, realtime_ns, sleep
from harness.evidence.journal import Journal, read
from harness.evidence.observers.contract import Scene
from harness.evidence.observers.job import JobStatistics
from harness.evidence.observers.qmp import Qmp
from harness.evidence.record import Record
from harness.migration import driver
from harness.migration.options import MigrationOptions
from harness.rig import pair as pairs
from harness.rig.guest import domain
from harness.rig.lab import lab
from harness.rig.lab.machine import leader_pid
from harness.rig.rig import Rig
from harness.rig.session import open_rig

_OTHER = {"a": "b", "b": "a"}
_RATIOS = (
    *("total_s", "blackout_s", "source_cpu_s", "destination_cpu_s", "machine_cpu_s"),
    "wire_over_hypervisor",
)


@dataclass(frozen=True, slots=True)
class Timed:
    """One migration: its arm, QEMU's times, CPU seconds, and what was sent by two observers.

    Attributes:
        arm: Which of the two.
        total_s: QEMU's total time.
        blackout_s: QEMU's downtime.
        source_cpu_s: Of the source's processes.
        destination_cpu_s: Of the destination's processes.
        machine_cpu_s: Busy time of the machine that both hosts are on.
        wire_bytes: IP packets of the migration ports.
        hypervisor_bytes: What QEMU says it sent.
    """

    arm: Literal["tls", "plain"]
    total_s: float
    blackout_s: float
    source_cpu_s: float
    destination_cpu_s: float
    machine_cpu_s: float
    wire_bytes: int
    hypervisor_bytes: int

    @property
    def wire_over_hypervisor(self) -> float:
        """Bytes of IP packets for each byte that the hypervisor says it sent."""
        return self.wire_bytes / self.hypervisor_bytes


class Bench:
    """A running guest, moved with and without encryption."""

    def __init__(self, rig: Rig, folder: Path) -> None:
        self._rig = rig
        self._folder = folder
        self._clock = MonotonicClock()

    def move(self, arm: Literal["tls", "plain"], number: int) -> Timed:
        """Move the guest to the other host."""
        connections = self._rig.hypervisors.connect()
        source = domain.active_on(connections, self._rig.subject)
        destination = _OTHER[source]
        folder = self._folder / f"{number}-{arm}"
        folder.mkdir()
        job = JobStatistics()
        qmp = Qmp(job.on_qemu_event)
        with Journal(folder / "journal.jsonl", self._clock) as journal:
            record = Record(journal=journal, clock=self._clock, folder=folder, trial="tls", attempt=number)
            job.start(self._scene(), record)
            qmp.start(self._scene(), record)
            before = self._wire_bytes(source)
            try:
                with _Cpu(source, destination) as cpu, job.watch(number, source, destination):
                    outcome = driver.migrate(
                        connections[source],
                        connections[destination],
                        self._rig.subject,
                        MigrationOptions(tls=arm == "tls"),
                        address=self._rig.pair.migration_address[destination],
                        clock=self._clock,
                    )
            finally:
                qmp.stop()
                job.stop()
        if not outcome.ok:
            raise SystemExit(f"the migration failed: {outcome.error}")
        sent = self._wire_bytes(source) - before
        return _timed(arm, folder / "journal.jsonl", cpu.spent_s, wire_bytes=sent)

    def _wire_bytes(self, host: str) -> int:
        words = self._rig.hosts[host].run("nft list counter inet sodbench_wire out").split()
        return int(words[words.index("bytes") + 1])

    def _scene(self) -> Scene:
        return Scene(
            hosts=self._rig.hosts,
            client=self._rig.client,
            guest=self._rig.subject,
            connections=self._rig.hypervisors.connect(),
            heartbeat_hz=1,
        )


def _timed(
    arm: Literal["tls", "plain"], journal: Path, cpu_s: tuple[float, float, float], *, wire_bytes: int
) -> Timed:
    (said,) = [one.data for one in read(journal) if one.kind == "qemu.completed"]
    ram = said["ram"]
    if not isinstance(ram, Mapping) or said["downtime_ms"] is None:
        raise SystemExit("QEMU did not say what it sent, or how long the guest stood")
    return Timed(
        arm=arm,
        total_s=float(str(said["total_time_ms"])) / 1000,
        blackout_s=float(str(said["downtime_ms"])) / 1000,
        source_cpu_s=cpu_s[0],
        destination_cpu_s=cpu_s[1],
        machine_cpu_s=cpu_s[2],
        wire_bytes=wire_bytes,
        hypervisor_bytes=int(str(ram["transferred"])),
    )


class _Cpu:
    """CPU seconds of source, destination and machine during a block."""

    def __init__(self, source: str, destination: str) -> None:
        self._hosts = (_leader(source), _leader(destination))
        self.spent_s = (0.0, 0.0, 0.0)

    def __enter__(self) -> Self:
        self._before_s = self._now_s()
        return self

    def __exit__(self, *details: object) -> None:
        source, destination, machine = (
            after - before for after, before in zip(self._now_s(), self._before_s, strict=True)
        )
        self.spent_s = (source, destination, machine)

    def _now_s(self) -> tuple[float, ...]:
        return (*(host_cpu_s(one) for one in self._hosts), _busy_s())


def _leader(role: str) -> psutil.Process:
    """The first process of a lab host."""
    found = leader_pid(lab.Places().machine(role))
    if found is None:
        raise SystemExit(f"{role} is no running machine of the lab")
    return psutil.Process(found)


def host_cpu_s(leader: psutil.Process) -> float:
    """CPU seconds that a container's processes have used since it started.

    A process that has ended counts with the one that waited for it, so the sum of all never falls: it is read
    again where one came or went in the meantime.
    """
    while True:
        family = [leader, *leader.children(recursive=True)]
        try:
            spent_s = sum(sum(one.cpu_times()[:4]) for one in family)
        except psutil.NoSuchProcess:
            continue
        if {one.pid for one in leader.children(recursive=True)} == {one.pid for one in family[1:]}:
            return float(spent_s)


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


def measure(rig: Rig, count: int, seed: int) -> list[Timed]:
    """`count` pairs, plus one unmeasured migration each way first: the first after a boot differs."""
    order, timed = random.Random(seed), list[Timed]()
    with tempfile.TemporaryDirectory() as scratch, running_guest(rig):
        bench = Bench(rig, Path(scratch))
        for number in (-1, 0):
            bench.move("plain", number)
            sleep(REST_S)
        for number in range(1, count + 1):
            arms: list[Literal["tls", "plain"]] = ["tls", "plain"]
            order.shuffle(arms)
            for arm in arms:
                timed.append(bench.move(arm, number))
                print(f"pair {number:2d}  {arm:5s}  {timed[-1].total_s:.3f} s", flush=True)
                sleep(REST_S)
    return timed


def summarise(timed: list[Timed], rig: Rig, load_before: float) -> Mapping[str, Any]:
    """Medians and their ratios, TLS over plain, with intervals; machine, commit, every migration."""
    arms = {arm: [one for one in timed if one.arm == arm] for arm in ("tls", "plain")}
    values = {name: {arm: [getattr(one, name) for one in of] for arm, of in arms.items()} for name in _RATIOS}
    return {
        "rig": rig.pair.rig,
        "accelerator": rig.accelerator,
        "cpus": psutil.cpu_count(),
        **provenance.here("libvirt-python"),
        "hypervisor": rig.hypervisors.connect()["a"].version(),
        "load_1min_before": load_before,
        "date": datetime.fromtimestamp(realtime_ns() / NS_PER_S, tz=UTC).date().isoformat(),
        "pairs": len(arms["tls"]),
        "medians": {
            name: {arm: asdict(median_interval(numbers)) for arm, numbers in of.items()}
            for name, of in values.items()
        },
        "ratio_of_medians_tls_to_plain": {
            name: asdict(ratio_of_medians(of["tls"], of["plain"])) for name, of in values.items()
        },
        "migrations": [{**asdict(one), "wire_over_hypervisor": one.wire_over_hypervisor} for one in timed],
    }


def main() -> None:
    """Measure in the lab, print, and write the JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--pairs", type=int, default=12)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--out", type=Path, default=Path("benchmarks/measured/tls-lab.json"))
    given = arguments.parse_args()
    pair = pairs.load(lab.Places().inventory)
    with open_rig(pair, "benchmarks.tls", MonotonicClock()) as rig:
        load_before = psutil.getloadavg()[0]
        summary = summarise(measure(rig, given.pairs, given.seed), rig, load_before)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(summary, indent=2) + "\n")
    print(json.dumps(summary["ratio_of_medians_tls_to_plain"], indent=2))


if __name__ == "__main__":
    main()
