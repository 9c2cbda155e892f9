"""What verifying costs, and how it grows: next to a process of tpm2-tools, along a log, and over a fleet.

Everything is measured in one run on one machine, and what is compared is done in turns. Attesters are
simulated: each has a key of its own in software and signs before the clock starts; what is timed is the real
verifier on what they signed. Nothing here asks a TPM or a network. Run it on a quiet machine with
``python -m benchmarks.attestation``: it prints the figures, writes them as JSON with the environment they
were made in, and draws docs/images/fleet.png from that JSON (``--draw`` alone draws the stored one again).
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import statistics
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from cryptography.hazmat.backends.openssl import backend as openssl

from benchmarks import fleet_figure, provenance
from harness.analysis.stats import ratio_of_medians
from harness.attest.evidence import Evidence, KeyType
from harness.attest.logs import eventlog, ima
from harness.attest.logs.ima import ImaState
from harness.attest.played import logs, marshal
from harness.attest.played.logs import Line
from harness.attest.played.platform import (
    KINDS,
    NONCE,
    NOW_NS,
    Platform,
    challenge,
    later,
    platform,
    policy,
    question,
    require,
)
from harness.attest.played.software_tpm import CLOCK, SoftwareTpm
from harness.attest.tpm.algorithms import Alg
from harness.attest.verify import quote_steps
from harness.attest.verify.memory import Memory
from harness.attest.verify.question import Question
from harness.attest.verify.verifier import verify
from harness.clock import realtime_ns

EVENTS = 120
"""About what a PC's start leaves in its event log."""
ENTRIES = 100
"""IMA entries that each attester of the fleet has had judged before."""
NEW = 5
"""IMA entries between two attestations of a machine that does its work."""
LIST = 100_000
"""Entries of a long IMA list."""
FEWEST_ROUNDS, MOST_ROUNDS = 5, 300

QUOTE_ONLY = policy(require=require("check", "ignore", "ignore"))
ALL = policy()

MEASURED = Path("benchmarks/measured/attestation-pure.json")
FIGURE = Path("docs/images/fleet.png")


def beside_checkquote(kind: KeyType, pairs: int, seed: int) -> Mapping[str, Any]:
    """The verifier and one process of tpm2_checkquote on the same quote, in pairs of a drawn order.

    Both check signature, nonce and the digest over eleven PCR values; the verifier checks the rest of its
    first nine steps and appraises the PCR values as well. The process starts, reads four files and ends.
    """
    machine = platform(SoftwareTpm(kind))
    sent, asked = machine.evidence(), question(machine, policy=QUOTE_ONLY)
    order, taken = random.Random(seed), {"verify": list[float](), "checkquote": list[float]()}
    with tempfile.TemporaryDirectory() as folder:
        command = _checkquote(machine, sent, Path(folder))
        for turn in range(pairs + 1):
            arms = ["verify", "checkquote"]
            order.shuffle(arms)
            for arm in arms:
                begin_ns = time.perf_counter_ns()
                if arm == "verify":
                    good = verify(sent, asked, tick=time.perf_counter_ns).accepted
                else:
                    good = (
                        subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0
                    )
                passed_ms = (time.perf_counter_ns() - begin_ns) / 1e6
                if not good:
                    raise SystemExit(f"{arm} did not accept the quote")
                # The first turn loads programs and keys for both.
                if turn:
                    taken[arm].append(passed_ms)
    return {
        "key": kind,
        "pairs": pairs,
        "verify_ms": _spread(taken["verify"]),
        "checkquote_ms": _spread(taken["checkquote"]),
        "ratio_checkquote_to_verify": asdict(ratio_of_medians(taken["checkquote"], taken["verify"])),
    }


def _checkquote(machine: Platform, sent: Evidence, folder: Path) -> list[str]:
    """Lay the quote out in `folder` as tpm2-tools want it; the command that checks it there."""
    values = machine.pcrs
    for name, content in (
        ("ak.pub", marshal.sized(machine.tpm.ak_public)),
        ("quote", sent.attest),
        ("signature", sent.signature),
        ("pcrs", _serialised(values)),
    ):
        (folder / name).write_bytes(content)
    return [
        *("tpm2_checkquote", "-u", "ak.pub", "-m", "quote", "-s", "signature", "-q", NONCE.hex()),
        *("-g", "sha256", "-f", "pcrs"),
    ]


def _serialised(values: Mapping[int, bytes]) -> bytes:
    """PCR values as tpm2_quote leaves them: structures of the TSS as they lie in memory, little endian.

    A TPML_PCR_SELECTION, then how many TPML_DIGEST follow, of eight digests at most.
    """
    bits = sum(1 << index for index in values).to_bytes(4, "little")
    selection = struct.pack("<IHB4sx", 1, Alg.SHA256, 3, bits).ljust(4 + 16 * 8, b"\0")
    digests = [struct.pack("<H64s", 32, values[index]) for index in sorted(values)]
    lists = [digests[start : start + 8] for start in range(0, len(digests), 8)]
    packed = [struct.pack("<I", len(one)) + b"".join(one).ljust(8 * 66, b"\0") for one in lists]
    return selection + struct.pack("<I", len(lists)) + b"".join(packed)


def quotes(kind: KeyType, count: int) -> Mapping[str, Any]:
    """One quote verified `count` times: the whole, and each step."""
    machine = platform(SoftwareTpm(kind))
    sent, asked = machine.evidence(), question(machine, policy=QUOTE_ONLY)
    whole: list[float] = []
    each: dict[str, list[float]] = {}
    for _ in range(count):
        begin_ns = time.perf_counter_ns()
        done = verify(sent, asked, tick=time.perf_counter_ns)
        whole.append((time.perf_counter_ns() - begin_ns) / 1e3)
        for step in done.steps:
            each.setdefault(step.name, []).append(step.ns / 1e3)
    return {
        "key": kind,
        "whole_us": _spread(whole),
        "steps_us": {name: _spread(values) for name, values in each.items()},
    }


def event_logs(count: int) -> Mapping[str, Any]:
    """An event log of 120 events, read and replayed `count` times."""
    data = logs.event_log(logs.boot(EVENTS))
    taken = _timed(count, lambda: eventlog.replay(eventlog.parse(data), "sha256"))
    return {"events": EVENTS, "parse_and_replay_ms": _spread([one * 1e3 for one in taken])}


def ima_lists(count: int) -> Mapping[str, Any]:
    """A long IMA list: read, replayed, and in the verifier with its appraisal; entries a second."""
    machine = platform(SoftwareTpm("ecc-p256"), entries=LIST)
    sent, asked = machine.evidence(), question(machine)
    excerpt, expected = sent.ima, machine.pcrs[10]
    if excerpt is None:
        raise SystemExit("the evidence has no IMA list")
    entries = ima.parse(excerpt)
    start = ImaState.start("sha256")
    parse_s = _timed(count, lambda: ima.parse(excerpt))
    replay_s = _timed(count, lambda: ima.replay(start, entries, bank="sha256", expected=expected))
    whole_s = []
    for _ in range(count):
        gc.collect()
        done = verify(sent, asked, tick=time.perf_counter_ns)
        if not done.accepted:
            raise SystemExit(f"the list was not accepted: {done.result.detail}")
        whole_s.append(sum(one.ns for one in done.steps if one.name in {"ima", "appraisal"}) / 1e9)
    return {
        "entries": LIST,
        "bytes": len(excerpt.data),
        "parse_entries_per_s": _spread([LIST / one for one in parse_s]),
        "replay_entries_per_s": _spread([LIST / one for one in replay_s]),
        "parse_replay_appraise_entries_per_s": _spread([LIST / one for one in whole_s]),
    }


class Fleet:
    """`size` attesters with a P-256 key each, which booted and measured alike; none of them exists."""

    def __init__(self, size: int, *, whole: bool) -> None:
        first = platform(SoftwareTpm("ecc-p256"), events=EVENTS, entries=ENTRIES)
        self._policy = ALL if whole else QUOTE_ONLY
        self._whole = whole
        self._machines = [replace(first, tpm=SoftwareTpm("ecc-p256", ek=first.tpm.ek)) for _ in range(size)]
        self._log = logs.event_log(first.events)
        self._new = [Line(path=b"/usr/bin/%d" % number, content=b"%d" % number) for number in range(NEW)]
        self._reference = first.measured(*self._new).reference
        self._keys = [machine.key for machine in self._machines]
        self._pcrs = {False: first.pcrs, True: first.measured(*self._new).pcrs}
        self._excerpts = {False: logs.excerpt(first.lines), True: logs.excerpt(self._new, first=ENTRIES)}
        self.memories: list[Memory | None] = [None] * size

    def answers(self, turn: int) -> list[tuple[Evidence, Question]]:
        """An answer of every attester with a fresh signature, and what it is judged by.

        In the first turn that is the whole IMA list, in every later one the entries that are new since then.
        """
        again = turn > 0
        clock = later(CLOCK, ms=1_000 * turn)
        found = []
        for number, machine in enumerate(self._machines):
            nonce = random.Random(turn << 32 | number).randbytes(32)
            sent = machine.tpm.evidence(
                nonce,
                self._pcrs[again],
                clock=clock,
                event_log=self._log if self._whole else None,
                ima=self._excerpts[again] if self._whole else None,
            )
            memory = self.memories[number]
            asked = Question(
                key=self._keys[number],
                challenge=challenge(nonce=nonce, ima_from=ENTRIES if again else 0),
                memory=memory,
                reference=self._reference,
                policy=self._policy,
                now_ns=NOW_NS,
                software_tpm=False,
                held=False,
            )
            found.append((sent, asked))
        return found


def fleet(size: int, rounds: int, *, whole: bool) -> Mapping[str, Any]:
    """All of a fleet attested again, `rounds` times: seconds for each round, and how many a second.

    Every round has fresh signatures over fresh nonces and goes on from what the first round left; its
    evidence is made before the clock starts. The first round is timed apart: no key is loaded then, and no
    entry known.
    """
    attesters = Fleet(size, whole=whole)
    quote_steps._loaded.cache_clear()
    first_s, kept = _round(attesters.answers(0))
    attesters.memories = kept
    taken = [_round(attesters.answers(turn))[0] for turn in range(1, rounds + 1)]
    return {
        "attesters": size,
        "rounds": rounds,
        "first_s": first_s,
        "round_s": _spread(taken),
        "attesters_per_s": _spread([size / one for one in taken]),
    }


def _round(answers: Sequence[tuple[Evidence, Question]]) -> tuple[float, list[Memory | None]]:
    kept: list[Memory | None] = []
    gc.collect()
    begin_ns = time.perf_counter_ns()
    for sent, asked in answers:
        kept.append(verify(sent, asked, tick=time.perf_counter_ns).memory)
    taken_s = (time.perf_counter_ns() - begin_ns) / 1e9
    if None in kept:
        raise SystemExit("an honest attester was refused")
    return taken_s, kept


def fleets(sizes: Sequence[int], attestations: int) -> Iterator[Mapping[str, Any]]:
    """Fleets of every size, without logs and with; about `attestations` are timed for each."""
    for whole in (False, True):
        found = []
        for size in sizes:
            one = fleet(size, min(MOST_ROUNDS, max(FEWEST_ROUNDS, attestations // size)), whole=whole)
            print(
                f"{size:6d} attesters, logs {whole}: {one['attesters_per_s']['median']:,.0f} a second",
                flush=True,
            )
            found.append(one)
        yield {
            "what": "quote, event log and new IMA entries" if whole else "quote and PCR values",
            "with_logs": whole,
            "key": "ecc-p256",
            "events": EVENTS if whole else 0,
            "new_ima_entries": NEW if whole else 0,
            "sizes": found,
            "growth_exponent": _growth(found),
        }


def _growth(found: Sequence[Mapping[str, Any]]) -> float | None:
    """The k of time ~ attesters^k, by least squares of the logarithms; 1 is proportional."""
    if len(found) < 2:
        return None
    sizes = np.log([one["attesters"] for one in found])
    taken = np.log([one["round_s"]["median"] for one in found])
    return float(np.polyfit(sizes, taken, 1)[0])


def _timed(count: int, call: Callable[[], object]) -> list[float]:
    """Seconds that each of `count` calls took."""
    taken = []
    for _ in range(count):
        gc.collect()
        begin_ns = time.perf_counter_ns()
        call()
        taken.append((time.perf_counter_ns() - begin_ns) / 1e9)
    return taken


def _spread(values: Sequence[float]) -> dict[str, float | int]:
    low, middle, high = np.percentile(values, [25, 50, 75])
    return {
        "n": len(values),
        "median": float(middle),
        "q1": float(low),
        "q3": float(high),
        "min": min(values),
        "max": max(values),
        "mean": statistics.fmean(values),
    }


def environment() -> Mapping[str, Any]:
    """What the figures were made with."""
    tools = subprocess.run(
        ["tpm2_checkquote", "--version"], capture_output=True, text=True, check=False
    ).stdout
    return {
        "made_realtime_ns": realtime_ns(),
        **provenance.here("cryptography", "pydantic", "pyjwt", "numpy"),
        "cores": psutil.cpu_count(),
        "load_1min_before": psutil.getloadavg()[0],
        "openssl": openssl.openssl_version_text(),
        "tpm2_tools": tools.strip() or None,
        "path": "evidence by keys in software; no TPM, no network; one process, one thread",
    }


def measure(given: argparse.Namespace) -> Mapping[str, Any]:
    """Everything, in the order in which it is printed."""
    before = environment()
    found: dict[str, Any] = {"environment": before}
    found["quotes"] = [quotes(kind, given.quotes) for kind in KINDS]
    found["beside_checkquote"] = [beside_checkquote(kind, given.pairs, given.seed) for kind in KINDS]
    found["event_log"] = event_logs(given.quotes)
    found["ima"] = ima_lists(given.lists)
    found["fleets"] = list(fleets(given.sizes, given.attestations))
    return {**found, "environment": {**before, "load_1min_after": psutil.getloadavg()[0]}}


def main() -> None:
    """Measure, print, write the JSON, and draw."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quotes", type=int, default=2_000, help="verifications of one quote")
    arguments.add_argument("--pairs", type=int, default=200, help="pairs with tpm2_checkquote")
    arguments.add_argument("--lists", type=int, default=10, help="passes over the long IMA list")
    arguments.add_argument(
        "--attestations", type=int, default=30_000, help="timed for each size of the fleet"
    )
    arguments.add_argument(
        "--sizes", type=int, nargs="+", default=[10, 30, 100, 300, 1_000, 2_000, 3_000, 5_000, 7_000, 10_000]
    )
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--out", type=Path, default=MEASURED)
    arguments.add_argument("--figure", type=Path, default=FIGURE)
    arguments.add_argument("--draw", action="store_true", help="only draw what is stored")
    given = arguments.parse_args()
    if not given.draw:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(measure(given), indent=2) + "\n")
    found = json.loads(given.out.read_text())
    given.figure.parent.mkdir(parents=True, exist_ok=True)
    fleet_figure.draw(found, given.figure)
    for one in found["beside_checkquote"]:
        print(json.dumps({"key": one["key"], **one["ratio_checkquote_to_verify"]}, indent=2))
    print(f"written: {given.out}, {given.figure}")


if __name__ == "__main__":
    main()
