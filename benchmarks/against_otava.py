"""The changes that a trend shows next to those that Apache Otava finds in the same series by its defaults.

Otava pins versions of its dependencies that are not ours, so it runs in an environment of its own:

    uv venv .venv/otava
    uv pip install --python .venv/otava/bin/python apache-otava==0.8.0
    python -m benchmarks.against_otava --python .venv/otava/bin/python

Neither is the truth: the steps are drawn, and known. Otava looks for a change at 0.1 % in each series, a
trend at 5 % over the page, which has one series here.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import provenance
from benchmarks.simulation import SEED
from benchmarks.trend import BEFORE, DRAWN, NEAR, STEPPED, is_near, series
from harness.analysis.trend import changes

OUT = Path("benchmarks/measured/otava.json")
PROBE = Path(__file__).with_name("otava_probe.py")
SINCE: Sequence[int] = (5, 14)
STEPS: Sequence[float] = (2.0, 5.0)


def by_otava(python: Path, values: Sequence[Sequence[float]]) -> tuple[str, list[list[int]]]:
    """Otava's version, and the changes that it finds in each series."""
    done = subprocess.run(
        [str(python), str(PROBE)],
        input=json.dumps({"series": values}),
        capture_output=True,
        text=True,
        check=True,
    )
    said = json.loads(done.stdout)
    return str(said["version"]), said["found"]


def shares(found: Sequence[Sequence[int]], since: int) -> float:
    """How many series show a change: near the step where there is one, else any."""
    return round(sum(is_near(one, BEFORE) if since else bool(one) for one in found) / len(found), 4)


def measure(python: Path, rounds: int, seed: int) -> dict[str, Any]:
    """Both on the same series, quiet and with steps."""
    cases = [(kind, 0.0, 0) for kind in DRAWN]
    cases += [(kind, step, since) for kind in STEPPED for step in STEPS for since in SINCE]
    rows, version = [], ""
    for kind, step, since in cases:
        values = series(kind, BEFORE + since, step, since, rounds, seed).tolist()
        version, other = by_otava(python, values)
        ours = [changes.found(one) for one in values]
        row = {"kind": kind, "step": step, "since": since}
        rows.append({**row, "trend": shares(ours, since), "otava": shares(other, since)})
    return {"schema": 1, "seed": seed, "rounds": rounds, "near": NEAR, "otava": version, "rows": rows}


def table(found: Mapping[str, Any]) -> str:
    """The rows in Markdown."""
    lines = [
        "| nights | step | nights since | sodbench trend | Otava |",
        "| :--- | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row['kind']} | {row['step']:.0f} | {row['since'] or ''} "
        f"| {row['trend']:.2f} | {row['otava']:.2f} |"
        for row in found["rows"]
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure with the Otava of an environment, write the JSON, and print its table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--python", type=Path, help="the Python of the environment that has apache-otava")
    arguments.add_argument("--rounds", type=int, default=50, help="series drawn for each row")
    arguments.add_argument("--table", action="store_true", help="only print the stored rows as Markdown")
    given = arguments.parse_args()
    if given.python is not None and not given.table:
        found = {**provenance.here("numpy", "scipy"), **measure(given.python, given.rounds, SEED)}
        OUT.write_text(json.dumps(found, indent=2) + "\n")
    print(table(json.loads(OUT.read_text())))


if __name__ == "__main__":
    main()
