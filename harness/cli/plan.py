"""`sodbench plan`: what a campaign will do and cost, before anything is touched."""

from __future__ import annotations

import json
from typing import Annotated, Literal

import typer

from harness import workloads
from harness.attest.options import Attest
from harness.campaign import file as files
from harness.campaign import plan as plans
from harness.campaign.estimate import estimate
from harness.campaign.model import Respond
from harness.campaign.plan import Plan, PlannedVariant, Trial
from harness.cli.inputs import CampaignPath, campaign_file
from harness.cli.terminal import Output, number_of
from harness.errors import UsageError
from harness.workloads.contract import Workload


def plan(
    campaign: CampaignPath,
    accelerator: Annotated[
        str, typer.Option(help="Estimate for kvm or for tcg (emulated CPU).", metavar="kvm|tcg")
    ] = "tcg",
    as_json: Annotated[bool, typer.Option("--json", help="The whole plan as JSON.")] = False,
) -> None:
    """Print the trials, their migrations, and the time and disk they take. Touches nothing."""
    if accelerator not in ("kvm", "tcg"):
        raise UsageError(f"no accelerator {accelerator!r}", remedy="--accelerator kvm or --accelerator tcg")
    kind: Literal["kvm", "tcg"] = "kvm" if accelerator == "kvm" else "tcg"
    expanded = plans.expand(files.load(campaign_file(campaign)))
    if as_json:
        typer.echo(json.dumps(expanded.to_json(), indent=2, sort_keys=True))
        return
    output = Output()
    about = "kind" if expanded.respond is None else "scenario"
    points = "migrations at" if expanded.respond is None else "something happens at"
    output.table(
        ("trial", "repetition", about, "load by", "start", "window", points), [*map(_row, expanded.trials)]
    )
    for one in expanded.variants:
        count = sum(trial.variant == one.name for trial in expanded.trials)
        output.say(f"Variant {one.name}: {number_of(count, 'trial')}; {_changed(expanded, one)}.")
    if expanded.attest is not None:
        output.say("", _attested(expanded.attest))
    if expanded.respond is not None:
        output.say(*_guarded(expanded, expanded.respond))
    if expanded.concurrency > 1:
        output.say(f"{expanded.concurrency} guests move at once; `run` refuses what the link cannot carry.")
    cost = estimate(expanded, kind)
    moves = sum(len(trial.migrations) for trial in expanded.trials)
    output.say(
        "",
        f"{number_of(len(expanded.trials), 'trial')}, {number_of(moves, 'migration')}, "
        f"about {cost.total_s / 60:.0f} min under {kind} "
        f"({cost.window_s / 60:.1f} min of it measured windows).",
    )
    output.say(
        f"Disk: about {cost.results_bytes / 1e6:.0f} MB of results, "
        f"{cost.shared_bytes / 1e9:.1f} GB on the shared storage."
    )
    output.say(f"Seed {expanded.seed}, plan {expanded.hash[:12]}.")


def _row(trial: Trial) -> tuple[str, ...]:
    points = ", ".join(f"{one.at_s:g}" for one in trial.migrations)
    return (
        trial.id if trial.variant is None else f"{trial.id}·{trial.variant}",
        str(trial.repetition),
        trial.scenario or trial.kind,
        _load(workloads.make(trial.workload, trial.options)),
        trial.start,
        f"{trial.window_s:g} s",
        f"{points} s" if points else "none",
    )


def _changed(whole: Plan, variant: PlannedVariant) -> str:
    """What of guest, migration and attestation is another than the campaign's."""
    found = []
    for section in ("guest", "migration", "attest"):
        base, own = (getattr(of, section) for of in (whole, variant))
        mine = {} if own is None else own.model_dump(mode="json")
        theirs = {} if base is None else base.model_dump(mode="json")
        found += [f"{section}.{key} {value}" for key, value in mine.items() if theirs.get(key) != value]
    return ", ".join(found) or "guest, migration and attestation as in the campaign"


def _attested(asked: Attest) -> str:
    keys = " and ".join(asked.keys)
    return (
        f"Hosts and guest are attested every {asked.interval_s:g} s with {keys}, "
        f"by the policies {asked.policy} and {asked.guest_policy}."
    )


def _guarded(plan: Plan, respond: Respond) -> list[str]:
    """What each guarded guest asks for."""
    if not plan.guests:
        return [f"The guest asks for {', '.join(respond.request)} and is guarded."]
    return [f"The guest {one.name} asks for {', '.join(one.request)} and is guarded." for one in plan.guests]


def _load(load: Workload) -> str:
    """Who makes the load, and what it stands in for: ``locust (for mstone)``."""
    return f"{load.generator} (for {load.substitutes})" if load.substitutes else load.generator
