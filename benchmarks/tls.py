"""What encryption costs a migration: TLS against plain TCP, in alternating pairs, their order drawn.

One idle guest, moved back and forth. Total time and blackout are QEMU's own (``query-migrate`` on the
source, kept by libvirt), the wire's bytes are the counters of the migration ports, and the CPU is the busy
time of the machine during the call: in the lab both hosts, guest, client and controller are one kernel, in
both arms alike. A source's QEMU ends with its migration, so processes cannot be asked one by one. Run it
with ``python -m benchmarks.tls`` while the lab is up; it prints the ratios of the medians and writes every
migration as JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

import psutil

from benchmarks.overhead import REST_S, running_guest
from harness.analysis.stats import ratio_of_medians
from harness.clock import NS_PER_S, MonotonicClock, realtime_ns, sleep
from harness.evidence.journal import Journal, read
from harness.evidence.observers.contract import Scene
from harness.evidence.observers.job import JobStatistics
from harness.evidence.record import Record
from harness.migration import driver
from harness.migration.options import MigrationOptions
from harness.rig import pair as pairs
from harness.rig.guest import domain
from harness.rig.lab import lab
from harness.rig.rig import Rig
from harness.rig.session import open_rig

_OTHER = {"a": "b", "b": "a"}
_RATIOS = ("total_s", "blackout_s", "cpu_s", "wire_over_hypervisor")


@dataclass(frozen=True, slots=True)
class Timed:
    """One migration: its arm, QEMU's times, the machine's CPU time, and what was sent by two observers."""

    arm: Literal["tls", "plain"]
    total_s: float
    blackout_s: float
    cpu_s: float
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
        with Journal(folder / "journal.jsonl", self._clock) as journal, _Cpu() as cpu:
            record = Record(journal=journal, clock=self._clock, folder=folder, trial="tls", attempt=number)
            job.start(self._scene(), record)
            before = self._wire_bytes(source)
            try:
                with job.watch(number, source, destination):
                    outcome = driver.migrate(
                        connections[source],
                        connections[destination],
                        self._rig.subject,
                        MigrationOptions(tls=arm == "tls"),
                        address=self._rig.pair.migration_address[destination],
                        clock=self._clock,
                    )
            finally:
                job.stop()
        if not outcome.ok:
            raise SystemExit(f"the migration failed: {outcome.error}")
        sent = self._wire_bytes(source) - before
        return _timed(arm, folder / "journal.jsonl", cpu.spent_s, sent)

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


def _timed(arm: Literal["tls", "plain"], journal: Path, cpu_s: float, wire_bytes: int) -> Timed:
    (said,) = [one.data for one in read(journal) if one.kind == "qemu.completed"]
    ram = said["ram"]
    if not isinstance(ram, Mapping) or said["downtime_ms"] is None:
        raise SystemExit("QEMU did not say what it sent, or how long the guest stood")
    return Timed(
        arm=arm,
        total_s=float(str(said["total_time_ms"])) / 1000,
        blackout_s=float(str(said["downtime_ms"])) / 1000,
        cpu_s=cpu_s,
        wire_bytes=wire_bytes,
        hypervisor_bytes=int(str(ram["transferred"])),
    )


class _Cpu:
    """Busy CPU seconds of the machine during a block: the lab's hosts and its controller are one kernel."""

    def __enter__(self) -> Self:
        self.spent_s = 0.0
        self._before_s = _busy_s()
        return self

    def __exit__(self, *details: object) -> None:
        self.spent_s = _busy_s() - self._before_s


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


def summarise(timed: list[Timed], rig: Rig) -> Mapping[str, Any]:
    """The ratios of the medians, TLS over plain, with intervals; machine, commit, every migration."""
    arms = {arm: [one for one in timed if one.arm == arm] for arm in ("tls", "plain")}
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "rig": rig.pair.rig,
        "accelerator": rig.accelerator,
        "machine": f"{platform.machine()}, {psutil.cpu_count()} CPUs",
        "commit": commit.stdout.strip() or None,
        "date": datetime.fromtimestamp(realtime_ns() / NS_PER_S, tz=UTC).date().isoformat(),
        "pairs": len(arms["tls"]),
        "ratio_of_medians_tls_to_plain": {
            name: asdict(
                ratio_of_medians(
                    [getattr(one, name) for one in arms["tls"]],
                    [getattr(one, name) for one in arms["plain"]],
                )
            )
            for name in _RATIOS
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
        summary = summarise(measure(rig, given.pairs, given.seed), rig)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(summary, indent=2) + "\n")
    print(json.dumps(summary["ratio_of_medians_tls_to_plain"], indent=2))


if __name__ == "__main__":
    main()
