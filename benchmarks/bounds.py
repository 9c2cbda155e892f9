"""What it costs to bound an answer before it is read, next to reading and verifying it.

Each round does the same answer twice, in an order that alternates: with the look at its form
(``attester/bounds.py``) and without it. So the ratio is of one run, and load is in both. The
answer has an event log and an IMA list; a software TPM in this process signed it. The way to a machine is not
in it, so that the ratio is larger than that of an attestation. Run it with ``python -m benchmarks.bounds``.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

import psutil

from benchmarks import provenance
from harness.analysis.stats import median_interval, ratio_of_medians
from harness.attest.attester import bounds
from harness.attest.attester.contract import said_evidence
from harness.attest.played.platform import Platform, judged, platform
from harness.attest.played.software_tpm import SoftwareTpm
from harness.attest.reasons import Reason

OUT = Path(__file__).parent / "measured" / "bounds.json"
MARGIN = 0.03
WARM_UP = 20


def _once(machine: Platform, line: str, *, bounded: bool) -> float:
    """Milliseconds from the answer's line to its verdict."""
    began_ns = time.perf_counter_ns()
    if bounded:
        bounds.check(line)
    sent = said_evidence(json.loads(line)["ok"], where="a")
    found = judged(machine, sent).result
    spent_ns = time.perf_counter_ns() - began_ns
    assert found.reason is Reason.ACCEPTED, found.reason
    return spent_ns / 1e6


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=400, help="rounds")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    machine = platform(SoftwareTpm("ecc-p256"))
    line = json.dumps({"id": 1, "ok": machine.evidence().model_dump(mode="json")})
    spent: dict[bool, list[float]] = {True: [], False: []}
    load = list(psutil.getloadavg())
    for turn in range(given.count + WARM_UP):
        for bounded in (True, False) if turn % 2 else (False, True):
            took_ms = _once(machine, line, bounded=bounded)
            if turn >= WARM_UP:
                spent[bounded].append(took_ms)
    ratio = ratio_of_medians(spent[True], spent[False])
    low, high = ratio.interval_low, ratio.interval_high
    print(f"{len(line)} characters; with / without {ratio.value:.4f} ({low} to {high})")
    found = {
        **provenance.here("pydantic", "cryptography"),
        "load_before": load,
        "margin": MARGIN,
        "characters": len(line),
        "with_ms": asdict(median_interval(spent[True])),
        "without_ms": asdict(median_interval(spent[False])),
        "ratio": asdict(ratio),
        "rounds": {"with_ms": spent[True], "without_ms": spent[False]},
    }
    given.out.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
