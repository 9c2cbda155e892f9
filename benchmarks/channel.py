"""What the way to a TPM costs beside the TPM: round trips over the standing channel and the quotes in them.

Every round is timed twice in the same moment: by the controller from the nonce to the evidence (NS to ER)
and by the attester around TPM2_Quote alone. So the ratio is of one run, whatever else the machine was doing.
Both key types and two questions take turns: a bare quote, and what an attestation asks for (event log, and
IMA's list from its end on). Run it with ``python -m benchmarks.channel`` while the lab is up and its hosts
are enrolled.
"""

from __future__ import annotations

import argparse
import json
import platform
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from harness.attest.attester import Ask
from harness.attest.channel import RemoteAttester
from harness.attest.evidence import KeyType
from harness.clock import MonotonicClock
from harness.rig import lab
from harness.rig import pair as pairs
from harness.rig.host import Host
from harness.stats import median_interval, ratio_of_medians

OUT = Path(__file__).parent / "measured" / "channel-lab.json"
PCRS = tuple(range(11))
WARM_UP = 5
_KEYS: tuple[KeyType, ...] = ("ecc-p256", "rsa-2048")


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One question; durations in ms.

    Attributes:
        trip_ms: NS to ER, on the controller.
        quote_ms: TPM2_Quote, on the attester.
        attester_ms: From reading the request to handing over the answer, on the attester.
    """

    key: str
    asked: str
    trip_ms: float
    quote_ms: float
    attester_ms: float


def _ask(attester: RemoteAttester, key: KeyType, asked: str, ima_from: int) -> tuple[Round, int]:
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
    done = Round(
        key=key,
        asked=asked,
        trip_ms=(answer.received_ns - answer.sent_ns) / 1e6,
        quote_ms=(moments.quoted_ns - moments.quoting_ns) / 1e6,
        attester_ms=(moments.answered_ns - moments.received_ns) / 1e6,
    )
    return done, ima_from if ima is None else ima.total


def _measure(machine: str, count: int) -> list[Round]:
    pair, clock = pairs.load(lab.Places().inventory), MonotonicClock()
    rounds: list[Round] = []
    with Host(pair.machines[machine], clock) as host:
        attester = RemoteAttester(host, clock)
        known = 0
        for turn in range(count + WARM_UP):
            for key in _KEYS:
                for asked in ("quote", "attestation"):
                    done, known = _ask(attester, key, asked, known)
                    if turn >= WARM_UP:
                        rounds.append(done)
        attester.close()
    return rounds


def _summary(rounds: list[Round]) -> list[dict[str, object]]:
    table: list[dict[str, object]] = []
    for key in _KEYS:
        for asked in ("quote", "attestation"):
            mine = [one for one in rounds if (one.key, one.asked) == (key, asked)]
            trips, quotes = [one.trip_ms for one in mine], [one.quote_ms for one in mine]
            ratio = ratio_of_medians(trips, quotes)
            trip, quote = median_interval(trips), median_interval(quotes)
            table.append(
                {
                    "key": key,
                    "asked": asked,
                    "n": len(mine),
                    "trip_ms": asdict(trip),
                    "quote_ms": asdict(quote),
                    "ratio": asdict(ratio),
                }
            )
    return table


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=200, help="rounds of each kind")
    parser.add_argument("--machine", default="a", choices=("a", "b"))
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    rounds = _measure(arguments.machine, arguments.count)
    table = _summary(rounds)
    for row in table:
        print(row)
    environment = {
        "machine": platform.machine(),
        "cpus": psutil.cpu_count(),
        "load_before": list(psutil.getloadavg()),
        "python": platform.python_version(),
    }
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(
        json.dumps({"environment": environment, "summary": table, "rounds": [asdict(one) for one in rounds]})
        + "\n"
    )


if __name__ == "__main__":
    main()
