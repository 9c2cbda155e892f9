"""What attesting at intervals costs a running workload: blocks with and without, in one run, in drawn order.

A guest works without a pause; its work is cut into blocks. In each block both hosts and the guest are
attested every so often, as a response loop attests them, or not at all. Whether the cost is small enough is
judged against a margin that is stated, with its reason, before the run. A load that comes at a stated rate is
served at that rate, attested or not: what it may lose is time. So where a workload reports latencies, what a
user would get who waits for each answer as long as the report says is shown next to the work. The rates go
into a file that ``sodbench report --periodic`` shows.

Run it with ``python -m benchmarks.periodic`` while the lab is up, its hosts enrolled and reference values
recorded.
"""

from __future__ import annotations

import argparse
import json
import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from benchmarks import provenance
from harness.analysis.stats import median_interval
from harness.attest.attester.channel import channel
from harness.attest.monitor.shared import SharedAttesters
from harness.campaign import file as campaign_file
from harness.campaign import plan as plans
from harness.campaign.run import attestation
from harness.campaign.run.aboard import aboard
from harness.campaign.run.appraisal_files import AppraisalFiles
from harness.campaign.run.attestation import RunAttestation
from harness.cli.attest import inputs as attest_inputs
from harness.cli.rigs import vtpm_key
from harness.clock import NS_PER_S, Clock, MonotonicClock, realtime_ns
from harness.evidence.journal import Journal
from harness.evidence.observers.output import Output
from harness.evidence.record import Record
from harness.interrupt import Interrupt
from harness.pair_name import HOSTS, ONLY_GUEST
from harness.rig import pair as pairs
from harness.rig.lab import lab
from harness.rig.rig import Rig
from harness.rig.session import open_rig
from harness.workloads.contract import Timeline

CAMPAIGN = """\
name: periodic
rig: lab
start: snapshot
workloads: [{workload}]
schedule: {{window_s: 3600, points_s: [0], baseline_s: 5, settle_timeout_s: 300}}
attest: {{interval_s: 1, keys: [ecc-p256], policy: lab, guest_policy: guest}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A stretch of the work: from when to when, and how often was attested in it (None: never)."""

    interval_s: float | None
    begin_ns: int
    end_ns: int
    attestations: int


def order(intervals_s: Sequence[float | None], count: int, draw: random.Random) -> list[float | None]:
    """`count` rounds, each with every interval once in drawn order: drift falls on all alike."""
    found: list[float | None] = []
    for _ in range(count):
        turn = list(intervals_s)
        draw.shuffle(turn)
        found += turn
    return found


class Bench:
    """A guest at work, and the means to attest it and its hosts."""

    def __init__(self, rig: Rig, workload: str, clock: Clock, folder: Path, stack: ExitStack) -> None:
        plan = plans.expand(campaign_file.loads(CAMPAIGN.format(workload=workload), "periodic.yml"))
        assert plan.attest is not None
        trial = plan.trials[0]
        journal = stack.enter_context(Journal(folder / "journal.jsonl", clock))
        self.record = Record(journal=journal, clock=clock, folder=folder, trial=trial.id, attempt=1)
        interrupt = Interrupt()
        (self._guest,) = aboard(rig, plan, trial, self.record, interrupt)
        self.load = self._guest.load
        self._rig, self._clock = rig, clock
        registry = stack.enter_context(attest_inputs.registry(None))
        policies = {
            name: attest_inputs.policy(name, rig.pair, None, "guest") for name in (*HOSTS, ONLY_GUEST)
        }
        references = {
            name: attest_inputs.reference(name, attest_inputs.reference_place(name, rig.pair), policies[name])
            for name in (*HOSTS, ONLY_GUEST)
        }
        self._run_attestation = RunAttestation(
            attest=plan.attest,
            appraisal=AppraisalFiles(policies=policies, references=references),
            registry=registry,
            run="periodic",
        )

    @contextmanager
    def at_work(self) -> Iterator[tuple[SharedAttesters, list[str], Output]]:
        """The guest, enrolled and at its work; how all three machines are asked, their names, its output."""
        with ExitStack() as stack:
            stack.callback(self._guest.clear)
            self._rig.vacate()
            self._guest.clear()
            self._guest.start()
            name = attestation.guest_name(self._run_attestation, self.record)
            machines = {**self._rig.hosts, name: self._rig.guest}
            channels = {who: channel(host, self.record, stack) for who, host in machines.items()}
            stack.enter_context(
                attestation.enrolled(self._run_attestation, self._rig, channels[name], name, self.record)
            )
            names = {role: role for role in self._rig.hosts} | {ONLY_GUEST: name}
            shared = SharedAttesters(
                attestation.examiner(self._run_attestation, names, self.record), channels, self._clock
            )
            self.load.prepare()
            output = stack.enter_context(self.load.running())
            self.load.await_steady(output)
            yield shared, list(channels), output

    def block(
        self,
        shared: SharedAttesters,
        names: Sequence[str],
        interval_s: float | None,
        block_s: float,
        draw: random.Random,
    ) -> Block:
        """One block in which each machine is attested at the interval, from a drawn moment of it on."""
        begin_ns, never = self._clock.now_ns(), threading.Event()
        end_ns = begin_ns + round(block_s * NS_PER_S)
        asked: list[str] = []

        def regularly(name: str, due_ns: int) -> None:
            while due_ns < end_ns:
                self._clock.wait((due_ns - self._clock.now_ns()) / NS_PER_S, never)
                shared.examine(name, "ecc-p256")
                asked.append(name)
                due_ns += round((interval_s or block_s) * NS_PER_S)

        threads = [
            threading.Thread(
                target=regularly, args=(name, begin_ns + round(draw.uniform(0, interval_s) * NS_PER_S))
            )
            for name in (names if interval_s is not None else ())
            if interval_s is not None
        ]
        for thread in threads:
            thread.start()
        self._clock.wait((end_ns - self._clock.now_ns()) / NS_PER_S, never)
        for thread in threads:
            thread.join()
        return Block(
            interval_s=interval_s, begin_ns=begin_ns, end_ns=self._clock.now_ns(), attestations=len(asked)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One rate of a workload in each block.

    Attributes:
        name: Of the workload, with what of it is rated.
        unit: Of the rates.
        blocks: Each with its rate.
    """

    name: str
    unit: str
    blocks: Sequence[tuple[Block, float]]


def measured(name: str, timeline: Timeline, blocks: Sequence[Block]) -> list[Measured]:
    """The rates of a workload by its own reports, of each block those whose whole time lies in it.

    Raises:
        SystemExit: There is none in a block.
    """
    # The first report in a block began before it did; from its end on all time is the block's.
    inside = [
        [one for one in timeline.samples if block.begin_ns < one.t_ns <= block.end_ns] for block in blocks
    ]
    if any(len(reports) < 2 for reports in inside):
        raise SystemExit(f"{name} reported too little in a block: longer blocks are needed")
    work = [
        sum(one.work for one in reports[1:]) / ((reports[-1].t_ns - reports[0].t_ns) / NS_PER_S)
        for reports in inside
    ]
    found = [Measured(name=name, unit=f"{timeline.work_unit}/s", blocks=list(zip(blocks, work, strict=True)))]
    waits = [[one.latency_s for one in reports[1:] if one.latency_s] for reports in inside]
    if all(waits):
        answers = [len(known) / sum(known) for known in waits]
        latency = timeline.latency.partition(" of ")[0]
        found.append(
            Measured(
                name=f"{name}, one over its {latency}",
                unit="answers/s",
                blocks=list(zip(blocks, answers, strict=True)),
            )
        )
    return found


def measure(
    bench: Bench, intervals_s: Sequence[float | None], count: int, block_s: float, draw: random.Random
) -> list[Measured]:
    """Every block with its rates."""
    with bench.at_work() as (shared, names, output):
        blocks = [
            bench.block(shared, names, interval_s, block_s, draw)
            for interval_s in order(intervals_s, count, draw)
        ]
        workload = bench.load.workload
        return measured(workload.name, workload.parse(output.lines), blocks)


def rows(one: Measured) -> list[dict[str, Any]]:
    """What the file says of one rate."""
    kinds = dict.fromkeys(block.interval_s for block, _ in one.blocks)
    return [
        {
            "workload": one.name,
            "unit": one.unit,
            "interval_s": interval_s,
            "trials": [
                {"name": f"block {number}", "rate": rate}
                for number, (block, rate) in enumerate(one.blocks, start=1)
                if block.interval_s == interval_s
            ],
        }
        for interval_s in sorted(kinds, key=lambda kind: (kind is not None, kind or 0))
    ]


def show(one: Measured) -> None:
    """A line a kind of block."""
    for interval_s in dict.fromkeys(block.interval_s for block, _ in one.blocks):
        mine = [(block, rate) for block, rate in one.blocks if block.interval_s == interval_s]
        found = median_interval([rate for _, rate in mine])
        low, high = found.interval_low, found.interval_high
        within = "" if low is None or high is None else f" [{low:.1f}, {high:.1f}]"
        asked = sum(block.attestations for block, _ in mine)
        kind = "never" if interval_s is None else f"every {interval_s:g} s"
        print(
            f"{one.name:<6} {kind:<12} n={len(mine)}  {found.median:.1f}{within} {one.unit}, "
            f"{asked} attestations",
            flush=True,
        )


def _machine() -> str:
    """CPU, cores, kernel and commit, in the one line that a report shows."""
    made = provenance.here()
    changed = ", with local changes" if made["changed"] else ""
    what = f"{made['cpu']}, {psutil.cpu_count()} cores, kernel {made['kernel']}"
    return f"{what}, commit {made['commit']}{changed}"


def main() -> None:
    """Measure, print, and write the JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--workloads", nargs="+", default=["file", "web"], metavar="NAME")
    arguments.add_argument("--intervals", type=float, nargs="+", default=[1.0, 5.0, 60.0], metavar="S")
    arguments.add_argument("--count", type=int, default=8, help="blocks of each kind")
    arguments.add_argument("--block", type=float, default=20.0, metavar="S", help="length of a block")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument(
        "--margin", type=float, default=5.0, metavar="PERCENT", help="the largest cost that does not matter"
    )
    arguments.add_argument(
        "--reason", default="a twentieth of the work may be spent on its safety", help="why it is that"
    )
    arguments.add_argument("--out", type=Path, default=Path("benchmarks/measured/periodic-lab.json"))
    given = arguments.parse_args()
    clock, draw, found = MonotonicClock(), random.Random(given.seed), list[dict[str, Any]]()
    with open_rig(
        pairs.load(lab.Places().inventory), "benchmarks.periodic", clock, vtpm_key=vtpm_key()
    ) as rig:
        for workload in given.workloads:
            with ExitStack() as stack:
                folder = Path(stack.enter_context(TemporaryDirectory()))
                bench = Bench(rig, workload, clock, folder, stack)
                rated = measure(bench, [None, *given.intervals], given.count, given.block, draw)
            for one in rated:
                show(one)
                found += rows(one)
        accelerator = rig.accelerator
    document = {
        "schema": 1,
        "machine": _machine(),
        "margin_percent": given.margin,
        "margin_reason": given.reason,
        "date": datetime.fromtimestamp(realtime_ns() / NS_PER_S, tz=UTC).date().isoformat(),
        "rig": "lab",
        "accelerator": accelerator,
        "attested": f"both hosts and the guest; blocks of {given.block:g} s of one run in drawn order",
        "rows": found,
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
