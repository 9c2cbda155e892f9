"""What the way to a TPM costs next to the TPM: round trips over the standing channel and the quotes in them.

Every round is timed twice in the same moment: by the controller from the nonce to the evidence (NS to ER)
and by the attester around TPM2_Quote alone. The ratio is therefore of one run and one load of the machine.
Both key types and two questions take turns: a bare quote, and what an attestation asks for (event log, and
IMA's list from its end on). Run it with ``python -m benchmarks.channel`` while the lab is up and its hosts
are enrolled. ``--local`` needs no lab: a software TPM and the attester run as processes of this machine,
without SSH and logs; only bare quotes are asked for, and nothing is stored.
"""

from __future__ import annotations

import argparse
import json
import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks import provenance
from harness.analysis.stats import median_interval, ratio_of_medians
from harness.attest.attester.channel import RemoteAttester
from harness.attest.attester.contract import Ask, Attester
from harness.attest.evidence import KeyType
from harness.attest.played.local_attester import LocalAttester
from harness.attest.played.local_tpm import running
from harness.clock import MonotonicClock
from harness.rig import pair as pairs
from harness.rig.host import Host
from harness.rig.lab import lab

OUT = Path(__file__).parent / "measured" / "channel-lab.json"
PCRS = tuple(range(11))
WARM_UP = 5
_KEYS: tuple[KeyType, ...] = ("ecc-p256", "rsa-2048")
_PARTS = ("trip_ms", "quote_ms", "attester_ms", "before_ms", "after_ms", "way_ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One question; durations in ms.

    Attributes:
        trip_ms: NS to ER, on the controller.
        quote_ms: TPM2_Quote, on the attester.
        attester_ms: From reading the request to handing over the answer, on the attester.
        before_ms: Of that, until TPM2_Quote was sent: opening the TPM, finding the key.
        after_ms: Of that, from TPM2_Quote's end on: PCR values, logs, the answer's text.
        way_ms: What is left of the trip: both ways, whatever clocks the machines have.
    """

    key: str
    asked: str
    trip_ms: float
    quote_ms: float
    attester_ms: float
    before_ms: float
    after_ms: float
    way_ms: float


def _ask(attester: Attester, key: KeyType, asked: str, ima_from: int) -> tuple[Round, int]:
    whole = asked == "attestation"
    question = Ask(
        key=key,
        nonce=secrets.token_bytes(32),
        pcrs=PCRS,
        event_log=whole,
        ima_from=ima_from if whole else None,
    )
    answer = attester.quote(question)
    moments, ima = answer.evidence.moments, answer.evidence.ima
    trip_ns, attester_ns = answer.received_ns - answer.sent_ns, moments.answered_ns - moments.received_ns
    done = Round(
        key=key,
        asked=asked,
        trip_ms=trip_ns / 1e6,
        quote_ms=(moments.quoted_ns - moments.quoting_ns) / 1e6,
        attester_ms=attester_ns / 1e6,
        before_ms=(moments.quoting_ns - moments.received_ns) / 1e6,
        after_ms=(moments.answered_ns - moments.quoted_ns) / 1e6,
        way_ms=(trip_ns - attester_ns) / 1e6,
    )
    return done, ima_from if ima is None else ima.total


@contextmanager
def _in_the_lab(machine: str) -> Iterator[Attester]:
    pair, clock = pairs.load(lab.Places().inventory), MonotonicClock()
    with Host(pair.machines[machine], clock) as host, closing(RemoteAttester(host, clock)) as attester:
        yield attester


@contextmanager
def _here() -> Iterator[Attester]:
    """A software TPM with its keys, and its attester."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as tpm:
        config = Path(folder, "attester.toml")
        config.write_text(f"tcti = {json.dumps(tpm.tcti)}\n")
        with closing(LocalAttester(config, MonotonicClock())) as attester:
            for key in _KEYS:
                attester.create_key(key)
            yield attester


def _measure(attester: Attester, asking: Sequence[str], count: int) -> list[Round]:
    rounds: list[Round] = []
    known = 0
    for turn in range(count + WARM_UP):
        for key in _KEYS:
            for asked in asking:
                done, known = _ask(attester, key, asked, known)
                if turn >= WARM_UP:
                    rounds.append(done)
    return rounds


def _summary(rounds: list[Round], asking: Sequence[str]) -> list[dict[str, object]]:
    table: list[dict[str, object]] = []
    for key in _KEYS:
        for asked in asking:
            mine = [one for one in rounds if (one.key, one.asked) == (key, asked)]
            of = {name: [getattr(one, name) for one in mine] for name in _PARTS}
            ratio = ratio_of_medians(of["trip_ms"], of["quote_ms"])
            parts = {name: asdict(median_interval(values)) for name, values in of.items()}
            table.append({"key": key, "asked": asked, "n": len(mine), **parts, "ratio": asdict(ratio)})
    return table


def _told(row: Mapping[str, Any]) -> str:
    """One line of the table: medians in ms, and the ratio with its interval."""
    parts = ", ".join(f"{name.removesuffix('_ms')} {row[name]['median']:.3f}" for name in _PARTS)
    ratio = row["ratio"]
    times = f"{ratio['value']:.2f} ({ratio['interval_low']:.2f} to {ratio['interval_high']:.2f})"
    return f"{row['key']}, {row['asked']}, n = {row['n']}: ms {parts}; trip / quote {times}"


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=200, help="rounds of each kind")
    parser.add_argument("--machine", default="a", choices=("a", "b"))
    parser.add_argument("--local", action="store_true", help="processes of this machine, no lab")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    asking = ("quote",) if arguments.local else ("quote", "attestation")
    with _here() if arguments.local else _in_the_lab(arguments.machine) as attester:
        rounds = _measure(attester, asking, arguments.count)
    table = _summary(rounds, asking)
    for row in table:
        print(_told(row))
    if arguments.local:
        return
    environment = {
        **provenance.here("cryptography"),
        "cpus": psutil.cpu_count(),
        "load_after": list(psutil.getloadavg()),
    }
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(
        json.dumps({"environment": environment, "summary": table, "rounds": [asdict(one) for one in rounds]})
        + "\n"
    )


if __name__ == "__main__":
    main()
