"""What the scheduler filter's decision costs a host, next to how Nova itself reads an aggregate's metadata.

Hosts are drawn from one seed, each with a statement of its own in one aggregate, as the scheduler holds them.
Cold is the first request, in which every statement is checked; warm are the following ones, in which none has
changed. The measure next to it is the same loop with what Nova's own filters do to read aggregates
(``aggregate_metadata_get_by_host``): everything is timed in turns in one run. What it costs to ask the
databases for a server's metadata is not in it: that is once a request and not once a host. Run it with
``python -m benchmarks.nova_filter``; it prints and writes JSON with the environment.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.validation import REQUESTS, environment
from harness.analysis.stats import median_interval, ratio_of_medians
from harness.attest.reasons import Reason, Tier
from harness.clock import NS_PER_S
from harness.policy.capability_file import load_table
from harness.policy.nova.hosts import Hosts, Seen, ranks, refusals
from harness.policy.nova.statement import Statement, sealed

SIZES = (10, 100, 1_000, 10_000)
MEASURED = Path("benchmarks/measured/nova-filter.json")
KEY = bytes(range(32))
NOW_NS = 1_800_000_000 * NS_PER_S


def hosts(size: int, seed: int) -> list[Seen]:
    """Hosts as the scheduler shows them: nine of ten in order, of all architectures."""
    order, table = random.Random(seed), sorted(load_table())
    found = []
    for number in range(size):
        good = order.random() < 0.9
        stated = Statement(
            host=f"compute-{number:05}",
            server=f"rack/compute-{number:05}",
            architecture=order.choice(table),
            tier=Tier.AFFIRMING if good else Tier.CONTRAINDICATED,
            reason=Reason.ACCEPTED if good else Reason.PCR_VALUE,
            generated_ns=NOW_NS,
            expires_ns=NOW_NS + 600 * NS_PER_S,
        )
        metadata = {"availability_zone": "nova", **sealed(stated, "k1", KEY)}
        found.append(Seen(stated.host, order.randrange(40), (metadata,)))
    return found


def decided(known: Hosts, seen: Sequence[Seen], turn: int) -> int:
    """One request over all hosts, as the filter and the weigher answer it; how many pass."""
    answer = known.judge(REQUESTS[turn % len(REQUESTS)], seen, NOW_NS + NS_PER_S)
    passing = [one.name for one in seen if answer.permits(one.name)]
    refusals(answer, [one.name for one in seen])
    ranks(answer, passing)
    return len(passing)


def read_as_nova_does(seen: Sequence[Seen]) -> int:
    """What one of Nova's filters does to read the metadata of each host's aggregates."""
    read = 0
    for one in seen:
        metadata = collections.defaultdict(set)
        for aggregate in one.aggregates:
            for key, value in aggregate.items():
                metadata[key].update(text.strip() for text in value.split(","))
        read += len(metadata)
    return read


def _per_host_us(call: Callable[[], object], size: int) -> float:
    begin_ns = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - begin_ns) / 1e3 / size


def measured(size: int, turns: int, seed: int) -> Mapping[str, Any]:
    """The costs a host in fleets of one size."""
    seen, table = hosts(size, seed), load_table()
    known = Hosts(table, {"k1": KEY})
    cold_us = _per_host_us(lambda: decided(known, seen, 0), size)
    warm_us, nova_us = [], []
    for turn in range(turns):
        warm_us.append(_per_host_us(lambda turn=turn: decided(known, seen, turn), size))  # type: ignore[misc]
        nova_us.append(_per_host_us(lambda: read_as_nova_does(seen), size))
    return {
        "hosts": size,
        "cold_us_per_host": cold_us,
        "warm_us_per_host": asdict(median_interval(warm_us)),
        "nova_aggregates_us_per_host": asdict(median_interval(nova_us)),
        "ratio_warm_to_nova": asdict(ratio_of_medians(warm_us, nova_us)),
    }


def main() -> None:
    """Measure, print, write the JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--turns", type=int, default=50)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--output", type=Path, default=MEASURED)
    given = arguments.parse_args()
    found = {"environment": environment(), "sizes": [measured(one, given.turns, given.seed) for one in SIZES]}
    for one in found["sizes"]:
        print(
            f"{one['hosts']:6,d} hosts: {one['cold_us_per_host']:6.1f} us a host cold, "
            f"{one['warm_us_per_host']['median']:5.2f} us warm, "
            f"{one['ratio_warm_to_nova']['value']:.2f} times what Nova takes to read the aggregates"
        )
    given.output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
