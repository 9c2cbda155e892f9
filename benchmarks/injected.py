"""Whether the gate sees a link that became slower without a word, and no regression where nothing changed.

One campaign runs four times on the lab's hosts: as a baseline, once more as it was, with host a's link at
600 Mb/s instead of 1 Gb/s, and with that link as much slower as makes total time worse by 1.2 times the
smallest effect that the campaign says matters. The queueing discipline is replaced from outside while the
inventory says what it always said, so that plan and checked metadata are equal. ``sodbench gate`` judges each
later run against the baseline.

Run it with ``python -m benchmarks.injected --results FOLDER`` while the lab is up and provisioned; FOLDER
keeps the four runs. It prints the outcomes and writes them, with every row of every gate, as JSON. Archives
of the runs are kept next to it, so that the gates can be judged again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks import provenance
from harness.clock import NS_PER_S, realtime_ns
from harness.evidence import archive
from harness.evidence import folder as store
from harness.rig.lab import lab, machine

SMALLEST_EFFECT = 0.10
_SODBENCH = (str(Path(sys.executable).with_name("sodbench")),)
LARGE_BIT_S = 600_000_000
OUT = Path("benchmarks/measured/injected-lab.json")

CAMPAIGN = """\
name: injected
description: A small guest that writes to its memory, moved there and back, for a gate on total time.
rig: lab
seed: 7
repetitions: 8
guest: {image: small, memory_mib: 256}
workloads:
  - name: memory
    options: {rate_mib_s: 4, size_mib: 160}
schedule: {window_s: 14, points_s: [1, 7], baseline_s: 3}
gate:
  primary:
    - {metric: total_time, better: lower, smallest_effect_percent: 10}
"""


@dataclass(frozen=True, slots=True)
class Night:
    """A run of the campaign: its name, and how fast host a's link is meanwhile (bit/s)."""

    name: str
    link_bit_s: int


def nights() -> tuple[Night, ...]:
    """The baseline first. Copying at the link's speed takes longer by the factor that the link is slower."""
    return (
        Night("baseline", lab.LINK_BIT_S),
        Night("unchanged", lab.LINK_BIT_S),
        Night("large", LARGE_BIT_S),
        Night("small", round(lab.LINK_BIT_S / (1 + 1.2 * SMALLEST_EFFECT))),
    )


@contextmanager
def link_of_a(rate_bit_s: int) -> Iterator[None]:
    """Limit host a's link to `rate_bit_s` in both directions during the block, and put the lab's back."""
    host = lab.Places().machine("a")
    machine.shape(host, rate_bit_s)
    try:
        yield
    finally:
        machine.shape(host, lab.LINK_BIT_S)


def run(night: Night, results: Path) -> Path:
    """Run the campaign once; returns the run's folder.

    Raises:
        subprocess.CalledProcessError: The campaign did not end with 0: it has a trial that is not valid.
    """
    folder = results / night.name
    folder.mkdir(parents=True)
    (folder / "injected.yml").write_text(CAMPAIGN)
    with link_of_a(night.link_bit_s):
        subprocess.run(
            [*_SODBENCH, "run", str(folder / "injected.yml"), "--results", str(folder)], check=True
        )
    return store.find(folder).root


def keep(folder: Path, night: Night, measured: Path) -> Path:
    """Pack the run into `measured`, in place of what an earlier benchmark kept there; returns `folder`."""
    kept = measured / "injected" / night.name
    shutil.rmtree(kept, ignore_errors=True)
    kept.parent.mkdir(parents=True, exist_ok=True)
    archive.pack(store.find(folder), kept)
    return folder


def judge(folder: Path, baseline: Path) -> Mapping[str, Any]:
    """What ``sodbench gate --json`` says of a run, and its exit code."""
    done = subprocess.run(
        [*_SODBENCH, "gate", str(folder), "--against", str(baseline), "--json"],
        check=False,
        capture_output=True,
        text=True,
    )
    if not done.stdout:
        raise SystemExit(f"no outcome of {folder}: {done.stderr}")
    return {"exit_code": done.returncode, **json.loads(done.stdout)}


def main() -> None:
    """Run four nights in the lab, judge three, print the outcomes, and write the JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--results", type=Path, required=True, help="a new folder, which keeps the runs")
    arguments.add_argument("--out", type=Path, default=OUT)
    given = arguments.parse_args()
    made = {
        **provenance.here(),
        "rig": "lab",
        "cpus": psutil.cpu_count(),
        "load_1min_before": psutil.getloadavg()[0],
        "date": datetime.fromtimestamp(realtime_ns() / NS_PER_S, tz=UTC).date().isoformat(),
        "smallest_effect": SMALLEST_EFFECT,
    }
    baseline, *later = nights()
    first = keep(run(baseline, given.results), baseline, given.out.parent)
    outcomes = list[dict[str, Any]]()
    for one in later:
        outcome = judge(keep(run(one, given.results), one, given.out.parent), first)
        outcomes.append({"night": one.name, "link_bit_s": one.link_bit_s, "gate": outcome})
        print(
            f"{one.name:10s} {one.link_bit_s / 1e6:6.0f} Mb/s  exit code {outcome['exit_code']}", flush=True
        )
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps({**made, "campaign": CAMPAIGN, "nights": outcomes}, indent=2) + "\n")


if __name__ == "__main__":
    main()
