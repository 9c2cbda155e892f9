"""From a violation to its verdict: a PCR is extended on a machine that the trust monitor watches.

Each repetition has a restarted TPM and newly enrolled keys, for a contraindicated
machine stays so. The moment of the violation is drawn evenly over the interval, because no violation comes in
step with a schedule. A standing program on the machine extends the PCR and stamps before and after; where
that machine's clock is not this one's, the controller's own stamps around the request bound the moment, and
the uncertainty says by how much.

Run it with ``python -m benchmarks.violation`` while the lab is up, its host enrolled and its reference values
recorded; the keys of that host are replaced, and are valid afterwards. ``--local`` needs no lab: a software
TPM and the attester run as processes of this machine, without event log and IMA list.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import random
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks import provenance
from benchmarks.violation_sites import KEY, LabSite, LocalSite, Site, Violation
from harness.analysis.stats import median_interval
from harness.attest.examine.outcome import Round
from harness.attest.examine.round import Examiner
from harness.attest.monitor.kinds.contract import Means
from harness.attest.monitor.kinds.tpm import TpmMonitor
from harness.attest.monitor.monitor import Settings, TrustMonitor
from harness.attest.monitor.standing import Change
from harness.attest.monitor.watch import Watch
from harness.attest.result import AttestationResult
from harness.clock import NS_PER_S, Clock, MonotonicClock

ANSWER_LIMIT_S = 60.0
"""How long a verdict may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repetition:
    """One violation and its verdict; times in s.

    Attributes:
        latency_s: From the end of the extension to the verdict's change as the monitor's listener was told
            it.
        uncertainty_s: The violation may have been so much earlier.
        waited_s: From the violation to the nonce of the look that found it; below 0 where that look was under
            way.
        attested_s: RG - NS of that look.
        told_s: From its result (RG) to the listener.
        reason: The verdict's.
        same_clock: Whether the violation was stamped by the controller's own clock.
    """

    interval_s: float
    latency_s: float
    uncertainty_s: float
    waited_s: float
    attested_s: float
    told_s: float
    reason: str
    same_clock: bool


class Bench:
    """The trust monitor on one machine, and what it said."""

    def __init__(self, site: Site, clock: Clock) -> None:
        self._site = site
        self._clock = clock
        self._changes: queue.Queue[tuple[int, Change]] = queue.Queue()
        self._rounds: list[Round] = []
        self._examiner = Examiner(
            site.registry, lambda _name: site.policy, lambda _name: site.reference, clock
        )

    def repeat(self, interval_s: float, delay_s: float) -> Repetition:
        """One violation `delay_s` after the machine was found good.

        Raises:
            SystemExit: The machine is not good to begin with, or no verdict came.
        """
        self._site.fresh()
        self._rounds.clear()
        means = Means(
            examine=self._examine,
            properties=lambda _name: self._site.attester.properties(),
            accepted_violations=lambda _name: 0,
            now_ns=self._clock.now_ns,
        )
        watch = Watch(
            subject=self._site.name,
            monitor=TpmMonitor(self._site.name, means),
            interval_s=interval_s,
            lifetime_s=max(60.0, 3 * interval_s),
        )
        with TrustMonitor(
            [watch],
            clock=self._clock,
            listeners=[lambda change: self._changes.put((self._clock.now_ns(), change))],
            store=self._site.registry,
            settings=Settings(workers=1),
        ) as monitor:
            monitor.start()
            self._await("affirming")
            self._clock.wait(delay_s, threading.Event())
            violation = self._site.violate()
            told_ns, change = self._await("contraindicated")
        return self._measured(interval_s, violation, told_ns, change)

    def _examine(self, name: str) -> AttestationResult:
        found = self._examiner.examine(name, self._site.attester, key=KEY)
        self._rounds.append(found)
        return found.result

    def _await(self, tier: str) -> tuple[int, Change]:
        while True:
            try:
                told_ns, change = self._changes.get(timeout=ANSWER_LIMIT_S)
            except queue.Empty as error:
                raise SystemExit(f"no verdict {tier!r} within {ANSWER_LIMIT_S:g} s") from error
            if change.what == "tier" and change.after == tier:
                return told_ns, change
            if change.after == "contraindicated":
                raise SystemExit(f"contraindicated before the violation: {change.reason} {change.detail}")

    def _measured(self, interval_s: float, violation: Violation, told_ns: int, change: Change) -> Repetition:
        found = next(one for one in self._rounds if one.result.tier.value == "contraindicated")
        return Repetition(
            interval_s=interval_s,
            latency_s=(told_ns - violation.latest_ns) / NS_PER_S,
            uncertainty_s=(violation.latest_ns - violation.earliest_ns) / NS_PER_S,
            waited_s=(found.stamps.ns - violation.latest_ns) / NS_PER_S,
            attested_s=(found.stamps.rg - found.stamps.ns) / NS_PER_S,
            told_s=(told_ns - found.stamps.rg) / NS_PER_S,
            reason=change.reason.value,
            same_clock=violation.same_clock,
        )


def measure(
    site: Site, clock: Clock, intervals_s: Sequence[float], count: int, seed: int
) -> list[Repetition]:
    """`count` violations at each interval, in turns, each violation at a moment drawn for it."""
    draw, bench, done = random.Random(seed), Bench(site, clock), []
    for number in range(1, count + 1):
        for interval_s in intervals_s:
            one = bench.repeat(interval_s, draw.uniform(0.0, interval_s))
            done.append(one)
            print(
                f"{number:3d}  every {interval_s:g} s  {one.latency_s:7.3f} s  "
                f"(waited {one.waited_s:6.3f}, attested {one.attested_s:6.3f})  {one.reason}",
                flush=True,
            )
    return done


def environment(site: Site) -> Mapping[str, Any]:
    """What it was measured on."""
    identity = site.attester.identify()
    return {
        **provenance.here(),
        "cpus": psutil.cpu_count(),
        "load_1min": os.getloadavg()[0],
        "tpm": {
            "software": identity.software,
            "manufacturer": identity.tpm_manufacturer,
            "vendor": identity.tpm_vendor,
            "firmware": f"{identity.tpm_firmware:016x}",
        },
        "attester": dict(identity.versions),
        "key": KEY,
        "path": "ESAPI in the attester's process; the violation by a process of tpm2-tools",
        "pcrs": list(site.policy.pcrs),
        "policy": site.policy.name,
    }


def summarise(site: Site, done: Sequence[Repetition], around: Mapping[str, Any]) -> Mapping[str, Any]:
    """The medians with their intervals, by the monitor's interval, and every repetition."""
    table = []
    for interval_s in sorted({one.interval_s for one in done}):
        rows = [one for one in done if one.interval_s == interval_s]
        table.append(
            {
                "interval_s": interval_s,
                **{
                    name: asdict(median_interval([getattr(one, name) for one in rows]))
                    for name in ("latency_s", "waited_s", "attested_s", "told_s", "uncertainty_s")
                },
                "latency_max_s": max(one.latency_s for one in rows),
            }
        )
    return {
        "rig": site.rig,
        "environment": around,
        "by_interval": table,
        "repetitions": [asdict(one) for one in done],
    }


def show(summary: Mapping[str, Any]) -> None:
    """The table for people."""
    print("\nviolation to verdict (median, 95 % interval, longest) and its parts (medians), in s")
    for row in summary["by_interval"]:
        latency = row["latency_s"]
        low, high = latency["interval_low"], latency["interval_high"]
        within = "" if low is None else f" [{low:.3f}, {high:.3f}]"
        print(
            f"every {row['interval_s']:g} s  n={latency['n']}  {latency['median']:.3f}{within}"
            f"  longest {row['latency_max_s']:.3f}  waited {row['waited_s']['median']:.3f}"
            f"  attested {row['attested_s']['median']:.3f}  told {row['told_s']['median']:.4f}"
        )


def main() -> None:
    """Measure, print, and write the JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--host", choices=("a", "b"), default="a")
    arguments.add_argument("--local", action="store_true", help="no lab: processes of this machine")
    arguments.add_argument("--intervals", type=float, nargs="+", default=[0.5, 2.0, 10.0], metavar="S")
    arguments.add_argument("--count", type=int, default=12, help="violations at each interval")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--out", type=Path)
    given = arguments.parse_args()
    out = given.out or Path(f"benchmarks/measured/violation-{'local' if given.local else 'lab'}.json")
    clock = MonotonicClock()
    with ExitStack() as stack:
        site: Site = LocalSite(stack, clock) if given.local else LabSite(given.host, stack, clock)
        around = environment(site)
        summary = summarise(site, measure(site, clock, given.intervals, given.count, given.seed), around)
        site.fresh()  # keys that are valid, of a TPM that was not violated
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(summary, indent=2) + "\n")
    show(summary)


if __name__ == "__main__":
    main()
