"""What the harness costs the thing it measures: bare ``virsh migrate`` against the same migration observed.

One guest, moved back and forth; each pair has one migration by virsh with nothing else attached and one
under all observers, in an order drawn for each pair. Both arms are timed by the same source, libvirt's own
completed statistics read from the destination afterwards, so that neither arm's stopwatch favours it. Run it
with ``python -m benchmarks.overhead`` while the lab is up; it prints the ratio and writes the pairs as JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import libvirt
import psutil

from benchmarks import provenance
from harness.analysis.stats import ratio_of_medians
from harness.campaign.model import Heartbeat as HeartbeatChoice
from harness.clock import MonotonicClock, sleep
from harness.evidence.journal import Journal
from harness.evidence.observers.contract import Observer, Scene
from harness.evidence.observers.heartbeat import Heartbeat
from harness.evidence.observers.job import JobStatistics
from harness.evidence.observers.qmp import Qmp
from harness.evidence.observers.sampler import Sampler
from harness.evidence.observers.wire import Wire
from harness.evidence.record import Record
from harness.migration import driver
from harness.migration.options import MigrationOptions
from harness.rig import pair as pairs
from harness.rig import uri
from harness.rig.guest import domain
from harness.rig.guest.guest import Guest
from harness.rig.lab import lab
from harness.rig.pair import ssh_command_text
from harness.rig.rig import Rig
from harness.rig.session import open_rig

REST_S = 4.0
"""Between migrations, so that the next one does not meet the last one's ARP, page cache or statistics."""

_OTHER = {"a": "b", "b": "a"}


@dataclass(frozen=True, slots=True)
class Timed:
    """One migration: which arm, libvirt's total time in s, and the observers' CPU seconds (observed arm)."""

    arm: str
    total_s: float
    observation_cpu_s: float | None = None
    observation_wall_s: float | None = None


class Bench:
    """A running guest and the two ways of moving it."""

    def __init__(self, rig: Rig, folder: Path) -> None:
        self._rig = rig
        self._folder = folder
        self._clock = MonotonicClock()

    def bare(self) -> Timed:
        """Move the guest with virsh alone."""
        connections = self._rig.hypervisors.connect()
        source = domain.active_on(connections, self._rig.subject)
        destination = _OTHER[source]
        commands = {}
        for role in (source, destination):
            commands[role] = self._folder / f"ssh-{role}"
            commands[role].write_text(ssh_command_text(self._rig.pair.machines[role]))
            commands[role].chmod(0o700)
        subprocess.run(
            [
                *("virsh", "--quiet", "--connect", self._rig.pair.libvirt_uri(source, commands[source])),
                *("migrate", "--live", "--unsafe", "--tls", self._rig.subject.domain),
                self._rig.pair.libvirt_uri(destination, commands[destination]),
                *("--migrateuri", uri.migration(self._rig.pair.migration_address[destination])),
            ],
            check=True,
            capture_output=True,
        )
        return Timed("bare", _total_s(connections[destination], self._rig.subject))

    def observed(self, number: int) -> Timed:
        """Move the guest as a campaign does, under every observer."""
        folder = self._folder / f"observed-{number}"
        folder.mkdir()
        with ExitStack() as stack:
            journal = stack.enter_context(Journal(folder / "journal.jsonl", self._clock))
            record = Record(
                journal=journal, clock=self._clock, folder=folder, trial="overhead", attempt=number
            )
            job = JobStatistics()
            scene = self._scene()
            for observer in _observers(job):
                stack.callback(observer.stop)
                observer.start(scene, record)
            begin_ns, begin_cpu_s = self._clock.now_ns(), _observation_cpu_s()
            sleep(REST_S)
            total_s = self._move(job, number)
            cpu_s = _observation_cpu_s() - begin_cpu_s
            wall_s = (self._clock.now_ns() - begin_ns) / 1e9
        return Timed("observed", total_s, cpu_s, wall_s)

    def _move(self, job: JobStatistics, number: int) -> float:
        connections = self._rig.hypervisors.connect()
        source = domain.active_on(connections, self._rig.subject)
        destination = _OTHER[source]
        with job.watch(number, source, destination):
            outcome = driver.migrate(
                connections[source],
                connections[destination],
                self._rig.subject,
                MigrationOptions(),
                address=self._rig.pair.migration_address[destination],
                clock=self._clock,
            )
        if not outcome.ok:
            raise SystemExit(f"the observed migration failed: {outcome.error}")
        return _total_s(connections[destination], self._rig.subject)

    def _scene(self) -> Scene:
        return Scene(
            hosts=self._rig.hosts,
            client=self._rig.client,
            guest=self._rig.subject,
            connections=self._rig.hypervisors.connect(),
            heartbeat_hz=HeartbeatChoice().rate_on(self._rig.accelerator),
        )


def _observers(job: JobStatistics) -> list[Observer]:
    return [job, Qmp(job.on_qemu_event), Wire(), Sampler(), Heartbeat()]


def _total_s(destination: libvirt.virConnect, guest: Guest) -> float:
    """libvirt's total time of the migration that just arrived."""
    flags = libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED | libvirt.VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED
    stats = destination.lookupByName(guest.domain).jobStats(flags)
    return float(stats["time_elapsed"]) / 1000


def _observation_cpu_s() -> float:
    """CPU seconds of this process, its children, and every probe on the lab's machines (one kernel)."""
    own = psutil.Process()
    spent = sum(_cpu_s(one) for one in [own, *own.children(recursive=True)])
    # The children that a probe has waited for (nft) count with it.
    for process in psutil.process_iter(["cmdline"]):
        if (process.info["cmdline"] or [])[:3] == ["python3", "-u", "-c"]:
            spent += _cpu_s(process, with_waited=True)
    return spent


def _cpu_s(process: psutil.Process, *, with_waited: bool = False) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    waited = times.children_user + times.children_system if with_waited else 0.0
    return float(times.user + times.system + waited)


@contextmanager
def running_guest(rig: Rig) -> Iterator[None]:
    """A freshly booted idle guest for the length of the block."""
    spec = rig.specify(memory_mib=1024, vcpus=1)
    rig.clear(spec)
    try:
        domain.boot(rig.hypervisors.connect()["a"], rig.hosts["a"], spec)
        domain.await_login(rig.guest, rig.hosts["a"], spec, timeout_s=300, clock=MonotonicClock())
        yield
    finally:
        rig.clear(spec)


def measure(rig: Rig, count: int, seed: int) -> list[Timed]:
    """`count` pairs, plus one unmeasured migration each way first: the first after a boot differs."""
    order, timed = random.Random(seed), []
    with tempfile.TemporaryDirectory() as scratch, running_guest(rig):
        bench = Bench(rig, Path(scratch))
        bench.bare()
        sleep(REST_S)
        bench.bare()
        for number in range(1, count + 1):
            arms = ["bare", "observed"]
            order.shuffle(arms)
            for arm in arms:
                sleep(REST_S)
                timed.append(bench.bare() if arm == "bare" else bench.observed(number))
                print(f"pair {number:2d}  {arm:8s}  {timed[-1].total_s:.3f} s", flush=True)
    return timed


def summarise(timed: list[Timed], rig: Rig) -> Mapping[str, Any]:
    """The ratio of the medians with its interval, and what observing cost."""
    bare = [one.total_s for one in timed if one.arm == "bare"]
    observed = [one.total_s for one in timed if one.arm == "observed"]
    cpu = [
        one.observation_cpu_s / one.observation_wall_s
        for one in timed
        if one.observation_cpu_s is not None and one.observation_wall_s
    ]
    return {
        "rig": rig.pair.rig,
        "accelerator": rig.accelerator,
        "cpus": psutil.cpu_count(),
        **provenance.here("libvirt-python"),
        "load_1min_after": psutil.getloadavg()[0],
        "heartbeat_hz": HeartbeatChoice().rate_on(rig.accelerator),
        "pairs": len(bare),
        "ratio_of_medians_observed_to_bare": asdict(ratio_of_medians(observed, bare)),
        "observation_cores_mean": sum(cpu) / len(cpu),
        "observation_cores_max": max(cpu),
        "migrations": [asdict(one) for one in timed],
    }


def main() -> None:
    """Measure in the lab, print, and write the JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--pairs", type=int, default=12)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--out", type=Path, default=Path("benchmarks/measured/overhead-lab.json"))
    given = arguments.parse_args()
    if shutil.which("virsh") is None:
        # The bare arm is what a person types on the controller, so it runs there.
        sys.exit(
            "virsh is not installed, and bare migrations are made with it: `make setup` installs it,\n"
            "or apt-get install libvirt-clients"
        )
    pair = pairs.load(lab.Places().inventory)
    with open_rig(pair, "benchmarks.overhead", MonotonicClock()) as rig:
        summary = summarise(measure(rig, given.pairs, given.seed), rig)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(summary, indent=2) + "\n")
    ratio = summary["ratio_of_medians_observed_to_bare"]
    print(json.dumps({**ratio, "cores": summary["observation_cores_mean"]}, indent=2))


if __name__ == "__main__":
    main()
