"""Whether the check of a load's dirty rate can be made as a campaign asks for it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.analysis import sampled_rate
from harness.campaign import variants
from harness.campaign.model import Campaign, WorkloadChoice
from harness.workloads.contract import StatesDirtying, Workload


def problems(
    campaign: Campaign, registry: Mapping[str, type[Workload]]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What is wrong with each `dirty_rate_period_s`, under every variant: (key path, sentence)."""
    for name, one in variants.each(campaign):
        for index, choice in enumerate(one.workloads):
            text = _refused(choice, registry)
            if text is not None:
                own = ("workloads", index, "dirty_rate_period_s")
                yield own if name is None else ("variants", name), text
                break


def _refused(choice: WorkloadChoice, registry: Mapping[str, type[Workload]]) -> str | None:
    period_s = choice.dirty_rate_period_s
    if period_s is None:
        return None
    kind = registry[choice.name]
    load = kind(kind.Options.model_validate(choice.options))
    if not isinstance(load, StatesDirtying):
        return f"dirty_rate_period_s: {choice.name} does not state how fast it dirties memory"
    rate, size = load.dirtying.rate_mib_s, load.dirtying.size_mib
    if sampled_rate.valid(size, rate, period_s):
        return None
    return (
        f"dirty_rate_period_s: {period_s} with a working set of {size:g} MiB, which {rate:g} MiB/s write "
        "through within that time: a page that is written twice is counted once"
    )
