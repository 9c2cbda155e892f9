"""Variants of a campaign: named changes of its guest, its migrations, its loads or its attestation.

A campaign under a variant is a campaign as any other, with the same schedule and the same hosts. Trials of
all variants run in the same blocks, so that drift of the rig falls on all of them alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.campaign.model import Campaign, Guest, Overrides
from harness.migration.options import MigrationOptions


def each(campaign: Campaign) -> Iterator[tuple[str | None, Campaign]]:
    """Every variant's name with the campaign under it; None and the campaign itself where it has none."""
    if not campaign.variants:
        yield None, campaign
    for name, changes in campaign.variants.items():
        yield name, under(campaign, changes)


def under(campaign: Campaign, changes: Overrides) -> Campaign:
    """The campaign with what one variant changes; what the variant leaves out is the campaign's.

    The options of a workload are taken as they are: the campaign's reader has completed them.
    """
    return campaign.model_copy(
        update={
            "variants": {},
            "guest": guest(campaign.guest, changes),
            "migration": migration(campaign.migration, changes),
            "attest": None
            if campaign.attest is None
            else campaign.attest.model_copy(update=_set(changes.attest)),
            "workloads": tuple(
                choice.model_copy(update={"options": changes.workloads.get(choice.name, choice.options)})
                for choice in campaign.workloads
            ),
        }
    )


def guest(base: Guest, changes: Overrides) -> Guest:
    """The guest under a variant."""
    return base.model_copy(update=_set(changes.guest))


def migration(base: MigrationOptions, changes: Overrides) -> MigrationOptions:
    """How it is moved under a variant."""
    return base.model_copy(update=_set(changes.migration))


def _set(section: object) -> Mapping[str, object]:
    """The keys of a section that are written in the file."""
    fields: frozenset[str] = frozenset(getattr(section, "model_fields_set", ()))
    return {name: getattr(section, name) for name in fields}


def clashes(campaign: Campaign) -> Iterator[tuple[tuple[str, ...], str]]:
    """What the variants cannot change in this campaign: (key path, sentence)."""
    workloads = {choice.name for choice in campaign.workloads}
    for name, changes in campaign.variants.items():
        at = ("variants", name)
        if _set(changes.attest) and campaign.attest is None:
            yield (*at, "attest"), "attest in a variant of a campaign that does not attest"
        if _set(changes.guest) and campaign.guests is not None:
            yield (
                (*at, "guest"),
                "guest in a variant of a campaign with several guests, which have sizes of their own",
            )
        if changes.link_bit_s is not None and campaign.guests is not None:
            yield (*at, "link_bit_s"), "link_bit_s in a variant of a campaign with several guests"
        for workload in changes.workloads:
            if workload not in workloads:
                yield (*at, "workloads", workload), f"the campaign has no workload {workload!r}"
    if len(campaign.variants) == 1:
        yield (
            ("variants",),
            "one variant: there is nothing to compare it with; name a second, which may be empty",
        )
