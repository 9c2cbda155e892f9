"""Whether one migration link carries so many guests at once: an estimate from what the plan states.

Migrations that run at once share the link, so each has 1/n of it, or its own `bandwidth_mib_s` where that is
less. Pre-copy ends once what is left to send fits into the downtime limit at that rate. A load that dirties
memory at least as fast, over a working set that does not fit, never lets it end (Clark et al., Live Migration
of Virtual Machines, NSDI 2005, section 3: the writable working set). Only a load that states its rate is
judged; a load's own traffic, the processors and what compresses are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness import workloads
from harness.campaign.plan import Plan
from harness.migration.options import MigrationOptions
from harness.workloads.contract import Dirtying, StatesDirtying

DOWNTIME_LIMIT_MS = 300
"""QEMU's own downtime limit, where the campaign sets none."""
_BITS_PER_MIB = 8 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One of several migrations that share a link.

    Attributes:
        at_once: How many there are.
        rate_mib_s: What each of them can send, MiB/s.
    """

    at_once: int
    rate_mib_s: float

    def ends(self, dirtying: Dirtying, options: MigrationOptions) -> bool:
        """Whether a pre-copy of a guest that dirties so much memory ends by itself."""
        if dirtying.rate_mib_s < self.rate_mib_s:
            return True
        limit_ms = options.downtime_limit_ms or DOWNTIME_LIMIT_MS
        return dirtying.size_mib <= self.rate_mib_s * limit_ms / 1000

    def longest_s(self, memory_mib: float, dirtying: Dirtying | None) -> float:
        """How long a move takes at most, s: all memory is sent once, then what was dirtied meanwhile.

        Pages that were never touched cost nothing, so that it is less as a rule. For a load that ends.
        """
        once_s = memory_mib / self.rate_mib_s
        spare = self.rate_mib_s - (0.0 if dirtying is None else dirtying.rate_mib_s)
        if dirtying is None or spare <= 0:
            return once_s
        return once_s + min(dirtying.size_mib, dirtying.rate_mib_s * once_s) / spare


def share(at_once: int, link_bit_s: float | None, options: MigrationOptions) -> Share | None:
    """What each of `at_once` migrations has of the link; None where nothing states how fast any is."""
    of_link = None if link_bit_s is None else link_bit_s / _BITS_PER_MIB / at_once
    rates = [one for one in (of_link, options.bandwidth_mib_s) if one is not None]
    return Share(at_once=at_once, rate_mib_s=min(rates)) if rates else None


def problem(plan: Plan, link_bit_s: float | None) -> str | None:
    """Why the link is not what the plan asks for, or does not carry as many guests at once; or None.

    How much one guest at a time sends is not judged. Post-copy and auto-converge end whatever is dirtied.
    Each variant is judged with its own link, migrations and loads, and the first with a problem is named.
    """
    for variant, one in _apart(plan):
        found = _faster(one, link_bit_s) or _problem(one, link_bit_s)
        if found is not None:
            return found if variant is None else f"under the variant {variant}: {found}"
    return None


def _apart(plan: Plan) -> Iterator[tuple[str | None, Plan]]:
    """The plan under each variant with that variant's trials; as it is where it has none."""
    names: Sequence[str | None] = [one.name for one in plan.variants] or [None]
    for name in names:
        mine = tuple(trial for trial in plan.trials if trial.variant == name)
        yield name, plan.under(name).model_copy(update={"trials": mine})


def _faster(plan: Plan, link_bit_s: float | None) -> str | None:
    if plan.link_bit_s is None or link_bit_s is None or plan.link_bit_s < link_bit_s:
        return None
    return f"link_bit_s: {plan.link_bit_s} is not below the link's own {link_bit_s:.0f} bit/s: lower it"


def _problem(plan: Plan, link_bit_s: float | None) -> str | None:
    found = share(plan.concurrency, link_bit_s, plan.migration)
    if plan.concurrency == 1 or found is None:
        return None
    if plan.migration.mode == "post-copy" or plan.migration.auto_converge:
        return None
    for workload, dirtying in _stated(plan).items():
        if not found.ends(dirtying, plan.migration):
            return (
                f"{plan.concurrency} guests at once have {found.rate_mib_s:.1f} MiB/s each, and {workload} "
                f"dirties {dirtying.rate_mib_s:g} MiB/s of {dirtying.size_mib:g} MiB in each: they would "
                "never be over"
            )
    return None


def named(plan: Plan, link_bit_s: float | None) -> str | None:
    """What to know of the plan's concurrency before it runs; None where one guest moves at a time.

    One line, or one for each variant.
    """
    if plan.concurrency == 1:
        return None
    return "\n".join(
        _named(one, link_bit_s) if variant is None else f"{variant}: {_named(one, link_bit_s)}"
        for variant, one in _apart(plan)
    )


def _named(plan: Plan, link_bit_s: float | None) -> str:
    begin = f"{plan.concurrency} guests move at once and share the link"
    found = share(plan.concurrency, link_bit_s, plan.migration)
    if found is None:
        return (
            f"{begin}, whose speed is not stated (sodbench_link_bit_s): whether it carries them is unknown."
        )
    memory_mib = max((one.memory_mib for one in plan.guests), default=plan.guest.memory_mib)
    stated = _stated(plan)
    longest_s = max(found.longest_s(memory_mib, one) for one in (None, *stated.values()))
    unstated = sorted({trial.workload for trial in plan.trials} - set(stated) - {"idle"})
    unknown = f"; {', '.join(unstated)} does not state what it dirties" if unstated else ""
    return f"{begin}: {found.rate_mib_s:.1f} MiB/s each, a move takes at most {longest_s:.0f} s{unknown}."


def _stated(plan: Plan) -> dict[str, Dirtying]:
    """What the plan's workloads state that they dirty in each guest, by workload."""
    loads = {trial.workload: workloads.make(trial.workload, trial.options) for trial in plan.trials}
    return {name: load.dirtying for name, load in loads.items() if isinstance(load, StatesDirtying)}
