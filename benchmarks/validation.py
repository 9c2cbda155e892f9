"""What policy validation costs, and how it grows with the fleet; next to a filter loop as in schedulers.

Everything is measured in one run on one machine. Fleets of 10 to 1,000,000 servers are drawn from one seed:
all architectures of the table, some servers not trusted, some with cells withdrawn. Validation is the whole
answer that a caller reads: how many servers are eligible, the best ten, and why the others are refused. It is
timed in turns with the loop (:mod:`benchmarks.filter_loop`), which gives the number and nothing else, and
both must agree, on the best ten too. Run it on a quiet machine with ``python -m benchmarks.validation``: it
prints the figures, writes them as JSON with the environment they were made in, draws
docs/images/validation.png from that JSON (``--draw`` alone draws the stored one again) and puts the table in
docs/policy.md (``--table`` alone prints the stored one).
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks import filter_loop, provenance, validation_figure, validation_table
from benchmarks.filter_loop import HostState, Spec
from harness.analysis.stats import median_interval, ratio_of_medians
from harness.attest.reasons import Reason, Tier
from harness.attest.verdict import Verdict
from harness.clock import realtime_ns
from harness.policy.capability import Capability
from harness.policy.capability_file import load_table
from harness.policy.fleet import Fleet
from harness.policy.request import Request, request
from harness.policy.server import Server
from harness.policy.threats import Cell
from harness.policy.validation import Validated, deploy

SIZES = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
BEST = 10
NOW_NS, END_NS = 1_000, 2_000
MOST_VMS = 40
FLAWS = 20

MEASURED = Path("benchmarks/measured/validation.json")
FIGURE = Path("docs/images/validation.png")
PAGE = Path("docs/policy.md")

TABLE = load_table()
REQUESTS: Sequence[Request] = (
    request(["1"]),
    request(["1", "2"]),
    request(packages=["medical-records"]),
    request(["1", "3"]),
    request(["1", "2"], accept_removed=["NoHype"]),
    request(["1:i", "7:c"]),
    request(["2", "3"]),
)
"""One and several options, a package, one aspect, an accepted architecture, and one that few satisfy."""

_GOOD = Verdict(tier=Tier.AFFIRMING, reason=Reason.ACCEPTED, expires_ns=END_NS)
_TRUSTS = (
    (90, _GOOD),
    (3, replace(_GOOD, expires_ns=NOW_NS)),
    (2, Verdict(tier=Tier.NONE, reason=Reason.ATTESTER_UNREACHABLE)),
    (2, Verdict(tier=Tier.CONTRAINDICATED, reason=Reason.PCR_VALUE)),
    (2, Verdict(tier=Tier.CONTRAINDICATED, reason=Reason.MEMORY_VIOLATION)),
    (1, Verdict(tier=Tier.WARNING, reason=Reason.IMA_VIOLATION, expires_ns=END_NS)),
)


@dataclass(frozen=True, slots=True)
class Draw:
    """How servers are drawn.

    Attributes:
        order: Where chance comes from.
        flaws: What may be withdrawn: an architecture and the cells that a flaw in it costs.
        own: Whether every server has its own cells withdrawn instead.
    """

    order: random.Random
    flaws: Sequence[tuple[str, frozenset[Cell]]] = ()
    own: bool = False

    @classmethod
    def seeded(cls, seed: int, *, own: bool = False) -> Draw:
        """Twenty flaws in architectures that have something to lose."""
        order = random.Random(seed)
        found = [(name, _some(order, name)) for name in order.choices(tuple(TABLE), k=FLAWS)]
        return cls(order=order, flaws=found, own=own)

    def server(self, number: int) -> Server:
        """A server of any architecture, trusted or not; in one of a hundred there is a flaw, if it can be."""
        name = self.order.choice(tuple(TABLE))
        trust = self.order.choices([one for _, one in _TRUSTS], [weight for weight, _ in _TRUSTS])[0]
        less: frozenset[Cell] = frozenset()
        if self.own:
            less = _some(self.order, name)
        elif self.order.random() < 0.01:
            less = next((cells for of, cells in self.flaws if of == name), less)
        return Server(
            name=f"server-{number:07d}",
            architecture=name,
            verdict=trust,
            running_vms=self.order.randrange(MOST_VMS),
            withdrawn=less,
        )


def _some(order: random.Random, name: str) -> frozenset[Cell]:
    held = TABLE[name].having(Capability.YES)
    return frozenset(order.sample(held, order.randint(1, len(held))))


def fleet(size: int, seed: int, *, own: bool = False) -> tuple[Fleet, float]:
    """A fleet, and how long it took to build, in s."""
    draw = Draw.seeded(seed, own=own)
    servers = [draw.server(number) for number in range(size)]
    begin_ns = time.perf_counter_ns()
    found = Fleet(TABLE, servers)
    return found, (time.perf_counter_ns() - begin_ns) / 1e9


def states(servers: Fleet) -> list[HostState]:
    """The same servers as a scheduler holds them."""
    rows = {
        name: {str(cell): value.value for cell, value in one.cells.items()} for name, one in TABLE.items()
    }
    found = []
    for name in servers.names:
        one = servers.get(name)
        if one is None or one.architecture is None:
            raise SystemExit("a drawn server has no architecture")
        found.append(
            HostState(
                name=name,
                architecture=one.architecture,
                capabilities=rows[one.architecture],
                withdrawn=frozenset(map(str, one.withdrawn)),
                tier=one.verdict.tier.value,
                expires_ns=one.verdict.expires_ns or 0,
                running_vms=one.running_vms,
            )
        )
    return found


def spec(asked: Request) -> Spec:
    """The request as a scheduler holds it."""
    columns = tuple(str(cell) for cell in asked.cells)
    return Spec(columns=columns, accepted=asked.accept_removed, now_ns=NOW_NS, ignored=None)


def chosen(asked: Request, servers: Fleet) -> tuple[Validated, tuple[str, ...]]:
    """What a placement needs: the number and the best ten."""
    verdict = deploy(asked, servers, NOW_NS)
    return verdict, verdict.first(BEST)


def answered(asked: Request, servers: Fleet) -> tuple[Validated, tuple[str, ...]]:
    """A whole answer: the number, the best ten, and why the others are refused."""
    verdict, best = chosen(asked, servers)
    verdict.summary()
    return verdict, best


def _timed(call: Callable[[], object]) -> float:
    """How long it took, in us."""
    begin_ns = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - begin_ns) / 1e3


def beside_the_loop(servers: Fleet, pairs: int, order: random.Random) -> Mapping[str, Any]:
    """Validation and the loop in pairs on one request each, in a drawn order; and that they agree."""
    hosts, taken = states(servers), {"validation": list[float](), "loop": list[float]()}
    for asked in REQUESTS:
        wanted = spec(asked)
        verdict, best = answered(asked, servers)
        passed = filter_loop.filtered(hosts, wanted)
        if (verdict.count, list(best)) != (len(passed), filter_loop.weighed(passed, wanted, BEST)):
            raise SystemExit(f"validation and the loop differ on {asked.texts()}")
    for turn in range(pairs):
        asked = REQUESTS[turn % len(REQUESTS)]
        wanted = spec(asked)
        arms: dict[str, Callable[[], object]] = {
            "validation": lambda asked=asked: answered(asked, servers),  # type: ignore[misc]
            "loop": lambda wanted=wanted: filter_loop.filtered(hosts, wanted),  # type: ignore[misc]
        }
        for arm in order.sample(sorted(arms), 2):
            taken[arm].append(_timed(arms[arm]))
    size = len(servers)
    return {
        "pairs": pairs,
        "loop_us": _spread(taken["loop"]),
        "loop_ns_per_server": _spread([one * 1e3 / size for one in taken["loop"]]),
        "beside_loop_us": _spread(taken["validation"]),
        "ratio_loop_to_validation": asdict(ratio_of_medians(taken["loop"], taken["validation"])),
    }


def validations(servers: Fleet, count: int, answer: Callable[[Request, Fleet], object]) -> list[float]:
    """How long answers took, in us, over all requests in turn."""
    turns = islice(cycle(REQUESTS), count)
    return [_timed(lambda asked=asked: answer(asked, servers)) for asked in turns]  # type: ignore[misc]


def rankings(servers: Fleet, count: int) -> list[float]:
    """How long it took to read the whole ranked list of what most servers satisfy, in us."""
    return [_timed(lambda: list(deploy(REQUESTS[0], servers, NOW_NS).eligible)) for _ in range(count)]


def updates(servers: Fleet, count: int, seed: int) -> list[float]:
    """How long it took to take in one changed server, in us: its VMs, its trust or its cells change."""
    draw = Draw.seeded(seed)
    order, names, taken = draw.order, list(servers.names), []
    for _ in range(count):
        one = servers.get(order.choice(names))
        if one is None:
            raise SystemExit("a server is gone")
        again = draw.server(0)
        change: Mapping[str, Any] = order.choice(
            [
                {"running_vms": again.running_vms},
                {"trust": replace(_GOOD, expires_ns=END_NS + order.randrange(1_000))},
                {"verdict": again.verdict},
                {"withdrawn": again.withdrawn},
            ]
        )
        changed = replace(one, **change)
        taken.append(_timed(lambda changed=changed: servers.update(changed)))  # type: ignore[misc]
    return taken


def sizes(given: argparse.Namespace) -> Iterator[Mapping[str, Any]]:
    """Fleets of every size."""
    order = random.Random(given.seed)
    for size in given.sizes:
        servers, built_s = fleet(size, given.seed)
        gc.collect()
        rankings(servers, 1)
        few = size >= 100_000
        found = {
            "servers": size,
            "shelves": len(list(servers.shelves())),
            "build_s": built_s,
            "validation_us": _spread(validations(servers, given.validations, answered)),
            "choice_us": _spread(validations(servers, given.validations, chosen)),
            **beside_the_loop(servers, given.pairs_large if few else given.pairs, order),
            "whole_ranking_us": _spread(rankings(servers, given.pairs_large if few else given.pairs)),
            "update_us": _spread(updates(servers, given.updates, given.seed)),
        }
        print(
            f"{size:9,d} servers: validation {found['validation_us']['median']:8.1f} us, loop "
            f"{found['loop_us']['median']:11.1f} us, ratio "
            f"{found['ratio_loop_to_validation']['value']:8.1f}, changed server "
            f"{found['update_us']['median']:5.1f} us",
            flush=True,
        )
        yield found


def varied(size: int, given: argparse.Namespace) -> Mapping[str, Any]:
    """The fleet that is hardest on the index: every server has its own cells withdrawn."""
    servers, built_s = fleet(size, given.seed, own=True)
    gc.collect()
    answered(REQUESTS[0], servers)
    return {
        "servers": size,
        "shelves": len(list(servers.shelves())),
        "build_s": built_s,
        "validation_us": _spread(validations(servers, given.pairs, answered)),
        "choice_us": _spread(validations(servers, given.pairs, chosen)),
    }


def growth(found: Sequence[Mapping[str, Any]], key: str) -> float | None:
    """The k of time ~ servers^k, by least squares of the medians' logarithms; 1 is proportional."""
    if len(found) < 2:
        return None
    across = np.log([one["servers"] for one in found])
    taken = np.log([one[key]["median"] for one in found])
    return float(np.polyfit(across, taken, 1)[0])


def _spread(values: Sequence[float]) -> dict[str, float | int | str | None]:
    found = median_interval(values)
    return {
        "n": found.n,
        "median": found.median,
        "interval_low": found.interval_low,
        "interval_high": found.interval_high,
        "method": found.method,
        "min": min(values),
        "max": max(values),
    }


def environment() -> Mapping[str, Any]:
    """What the figures were made with."""
    return {
        "made_realtime_ns": realtime_ns(),
        **provenance.here("sortedcontainers", "numpy"),
        "cores": psutil.cpu_count(),
        "load_1min_before": psutil.getloadavg()[0],
        "path": "one process, one thread; no registry and no machine",
    }


def measure(given: argparse.Namespace) -> Mapping[str, Any]:
    """Everything, in the order in which it is printed."""
    before = environment()
    found = list(sizes(given))
    keys = ("validation_us", "choice_us", "loop_us", "update_us", "whole_ranking_us")
    return {
        "environment": {**before, "load_1min_after": psutil.getloadavg()[0]},
        "seed": given.seed,
        "requests": [list(one.texts()) for one in REQUESTS],
        "sizes": found,
        "growth_exponents": {key.removesuffix("_us"): growth(found, key) for key in keys},
        "every_server_different": varied(max(given.sizes), given),
    }


def main() -> None:
    """Measure, print, write the JSON, draw, and put the table into the page."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    arguments.add_argument("--validations", type=int, default=700)
    arguments.add_argument("--pairs", type=int, default=70)
    arguments.add_argument("--pairs-large", type=int, default=14)
    arguments.add_argument("--updates", type=int, default=700)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--out", type=Path, default=MEASURED)
    arguments.add_argument("--figure", type=Path, default=FIGURE)
    arguments.add_argument("--page", type=Path, default=PAGE)
    stored = arguments.add_mutually_exclusive_group()
    stored.add_argument("--draw", action="store_true", help="only draw what was measured before")
    stored.add_argument("--table", action="store_true", help="only print what was measured before")
    given = arguments.parse_args()
    if not given.draw and not given.table:
        measured = measure(given)
        given.out.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
        validation_table.put(measured, given.page)
    found = json.loads(given.out.read_text(encoding="utf-8"))
    print(validation_table.text(found))
    if not given.table:
        validation_figure.draw(found, given.figure)


if __name__ == "__main__":
    main()
