"""`sodbench run` and `sodbench resume`: carry a campaign out on a rig, or go on where a run was cut short."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from harness.campaign import file as files
from harness.campaign import link, state
from harness.campaign import plan as plans
from harness.campaign.estimate import estimate
from harness.campaign.plan import Plan
from harness.campaign.run import runner
from harness.cli.inputs import (
    CampaignInventory,
    CampaignPath,
    Results,
    RunInventory,
    campaign_file,
    inventory_file,
)
from harness.cli.progress import RunProgress
from harness.cli.rigs import RigName, ScriptPath, asked_to_play, played, real
from harness.cli.terminal import Output
from harness.clock import Clock, MonotonicClock
from harness.errors import IncompleteRunError
from harness.evidence import folder as store
from harness.evidence import journal, seal
from harness.evidence.folder import RunFolder
from harness.evidence.played import SAYS, by_manifest
from harness.files import read_json
from harness.interrupt import Interrupt, on_signals
from harness.registry import places
from harness.registry.registry import Registry, open_registry
from harness.registry.url import without_secrets
from harness.rig.guest.kind import kind_of
from harness.rig.rig import Rig
from harness.yaml_source import decoded, read_bytes

Begun = Callable[[RunFolder], None]
RegistryUrl = Annotated[
    str | None,
    typer.Option(
        "--registry",
        envvar="SODBENCH_REGISTRY",
        help="Database URL of the registry, for campaigns with `attest`; by default your own file.",
    ),
]


def run(
    campaign: CampaignPath,
    inventory: CampaignInventory = None,
    run_inventory: RunInventory = False,
    results: Results = Path("results"),
    registry: RegistryUrl = None,
    rig: RigName = None,
    script: ScriptPath = None,
) -> None:
    """Run a campaign: every trial of its plan, each journalled as it happens.

    Ctrl-C ends the current trial cleanly; a second one aborts at once. Either way the machines are put back
    and `sodbench resume` goes on.
    """
    path = campaign_file(campaign)
    text = read_bytes(path)
    if asked_to_play(rig, script, inventory):
        play(text, str(path), results, script)
    else:
        carry(text, path.name, inventory, results, registry, path=path, programs=run_inventory)


def carry(
    text: bytes,
    name: str,
    inventory: Path | None,
    results: Path,
    registry: str | None,
    *,
    path: Path | None = None,
    programs: bool = False,
    begun: Begun = lambda _run: None,
) -> None:
    """Carry out the campaign in `text`, which a person knows by `name` and keeps at `path`, if anywhere.

    `begun` is told of the run's folder before the first trial.
    """
    where = name if path is None else str(path)
    asked = files.loads(decoded(text, where), where)
    plan = plans.expand(asked)
    place = inventory_file(inventory, plan.rig, path)
    output = Output()
    output.say("Looking at the machines.")
    kind = kind_of(plan.guest.image)
    with real(place, f"sodbench run {name}", programs=programs, kind=kind) as (rig, clock):
        provenance = runner.Provenance(
            campaign_text=text,
            command_line=_command_line(),
            commit=_commit(),
            inventory=rig.pair.inventory,
            registry=places.registry_url(registry),
        )
        folder = runner.begin(results, plan, rig, provenance)
        begun(folder)
        output.say(f"Run folder: {folder.root}", *_named(plan, rig))
        with _registry(plan, rig, registry) as opened:
            _carry_out(folder, plan, rig, clock, output, opened)


def play(
    text: bytes, where: str, results: Path, script: Path | None, *, begun: Begun = lambda _run: None
) -> None:
    """Carry the campaign in `text`, which is called `where` in messages, out on a rig that plays `script`.

    `begun` is told of the run's folder before the first trial.
    """
    plan = plans.expand(files.loads(decoded(text, where), where))
    rig, clock, trust = played(plan, script)
    with trust.registered(rig, plan.attest) as registered:
        provenance = runner.Provenance(
            campaign_text=text,
            command_line=_command_line(),
            commit=_commit(),
            inventory=None,
            registry=None if registered is None else registered.url,
            script=None if script is None else read_bytes(script),
            references=None if registered is None else registered.references,
        )
        output = Output()
        folder = runner.begin(results, plan, rig, provenance)
        begun(folder)
        output.say(f"{SAYS}.", f"Run folder: {folder.root}", *_named(plan, rig))
        _carry_out(folder, plan, rig, clock, output, None if registered is None else registered.registry)


def resume(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="A run's folder, or a folder above it: then its newest run."),
    ] = Path("results"),
    inventory: Annotated[
        Path | None,
        typer.Option(
            "--inventory", "-i", help="The rig's Ansible inventory; by default the one the run began with."
        ),
    ] = None,
    run_inventory: RunInventory = False,
    registry: RegistryUrl = None,
    script: ScriptPath = None,
) -> None:
    """Continue a run that was interrupted or killed: finished trials are neither lost nor run again."""
    folder = store.find(run)
    seal.require(folder)
    plan = plans.from_json(read_json(folder.plan), where=str(folder.plan))
    output = Output()
    if folder.journal.exists() and state.fold(journal.read(folder.journal), plan).status == "finished":
        runner.end(folder, MonotonicClock())
        output.say(f"Nothing remains of {folder.root}.")
        return
    manifest = read_json(folder.manifest)
    if asked_to_play("played" if by_manifest(manifest) else None, script, inventory):
        playing, played_clock, trust = played(plan, script, folder)
        output.say(f"{SAYS}.")
        with trust.registered(playing, plan.attest) as known:
            own = None if known is None else known.registry
            _carry_out(folder, plan, playing, played_clock, output, own)
        return
    place = inventory or Path(str(manifest.get("inventory")))
    recorded = manifest.get("registry")
    url = registry or (recorded if isinstance(recorded, str) else None)
    purpose, kind = f"sodbench resume {folder.root.name}", kind_of(plan.guest.image)
    with (
        real(place, purpose, programs=run_inventory, kind=kind) as (rig, clock),
        _registry(plan, rig, url) as opened,
    ):
        _carry_out(folder, plan, rig, clock, output, opened)


def _registry(plan: Plan, rig: Rig, url: str | None) -> AbstractContextManager[Registry | None]:
    """The registry at `url`, by default the user's own, for a plan that attests."""
    if plan.attest is None:
        return nullcontext(None)
    return open_registry(places.registry_url(url), pair=rig.pair.name, anchors=places.anchors())


def _carry_out(
    folder: RunFolder, plan: Plan, rig: Rig, clock: Clock, output: Output, registry: Registry | None
) -> None:
    events = journal.read(folder.journal) if folder.journal.exists() else []
    finished = len(plan.trials) - len(state.fold(events, plan).remaining)
    total_s = estimate(plan, rig.accelerator).total_s
    with (
        on_signals(Interrupt()) as interrupt,
        RunProgress(output, plan, total_s=total_s, finished=finished) as progress,
    ):
        try:
            runner.carry_out(folder, rig, clock, interrupt, registry=registry, listener=progress.on_event)
        except IncompleteRunError:
            output.say(f"Results: {folder.root}")
            raise
    output.say(f"Results: {folder.root}", f"Report:  sodbench report {folder.root}")


def _named(plan: Plan, rig: Rig) -> list[str]:
    """What is to be known of guests that move at once, before the run."""
    said = link.named(plan, rig.pair.link_bit_s)
    return [] if said is None else [said]


def _command_line() -> list[str]:
    return ["sodbench", *(without_secrets(argument) for argument in sys.argv[1:])]


def _commit() -> str | None:
    """The clone's commit with ``+`` where it has local changes, or None outside a clone."""
    here = Path(__file__).resolve().parent
    done = subprocess.run(
        shlex.split("git describe --always --abbrev=12 --dirty=+"),
        cwd=here,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or None if done.returncode == 0 else None
