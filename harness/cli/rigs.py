"""Opens what a campaign is carried out on: the machines of an inventory, or a rig that is played."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from harness.campaign.plan import Plan
from harness.campaign.played.trust import PlayedTrust
from harness.clock import NS_PER_S, Clock, MonotonicClock
from harness.errors import UsageError
from harness.evidence import journal
from harness.evidence.folder import RunFolder
from harness.registry import places
from harness.rig import pair as pairs
from harness.rig.guest import vtpm
from harness.rig.guest.digest import Kept
from harness.rig.guest.kind import Kind
from harness.rig.played import script as scripts
from harness.rig.played import session
from harness.rig.played.clock import PlayedClock
from harness.rig.rig import Rig
from harness.rig.session import open_rig

RigName = Annotated[
    str | None,
    typer.Option(
        "--rig",
        metavar="played",
        help="`played`: run the campaign on played machines, in seconds, without root. It measures nothing.",
    ),
]
ScriptPath = Annotated[
    Path | None,
    typer.Option("--script", help="What a played rig plays: a YAML file (docs/played.md)."),
]


def asked_to_play(rig: str | None, script: Path | None, inventory: Path | None) -> bool:
    """Whether the rig is to be played.

    Raises:
        UsageError: There is no such rig, or the options contradict each other.
    """
    if rig is None and script is not None:
        raise UsageError("a script is played, and this rig is not", remedy="add --rig played")
    if rig is None:
        return False
    if rig != "played":
        raise UsageError(
            "no such rig", where=f"--rig {rig}", remedy="--rig played; a real rig is named by its --inventory"
        )
    if inventory is not None:
        raise UsageError("a played rig has no inventory", remedy="leave out --rig or --inventory")
    return True


def vtpm_key() -> bytes:
    """What the secrets of guests' TPMs are made from: the user's key, made when it is first needed.

    Raises:
        PrerequisiteError: The file is no such key, or others may read it.
        StorageError: The file cannot be written.
    """
    return vtpm.key(places.vtpm_key_file())


def images() -> Kept:
    """The digests of guests' images that this user keeps."""
    return Kept(places.image_digests())


@contextmanager
def real(inventory: Path, purpose: str, *, programs: bool, kind: Kind) -> Iterator[tuple[Rig, Clock]]:
    """The rig of an inventory, whose guests boot that `kind` of image, and the clock that its runs go by."""
    pair, clock = pairs.load(inventory, programs=programs), MonotonicClock()
    saved = Kept(places.saved_digests())
    with open_rig(pair, purpose, clock, kind, vtpm_key=vtpm_key(), images=images(), saved=saved) as rig:
        yield rig, clock


class Played(NamedTuple):
    """A rig that is played, its clock, and what its machines attest with."""

    rig: Rig
    clock: Clock
    trust: PlayedTrust


def played(plan: Plan, script: Path | None, run: RunFolder | None = None) -> Played:
    """A rig that plays `script`; for a `run` that goes on, after its last event.

    Raises:
        InputFileError: The script is wrong.
        PrerequisiteError: The campaign cannot be played.
    """
    session.require([trial.workload for trial in plan.trials], responds=plan.respond is not None)
    kept = script if script is not None or run is None or not run.script.exists() else run.script
    events = journal.read(run.journal) if run is not None and run.journal.exists() else []
    last_ns = max((event.t_ns for event in events), default=session.BEGIN_NS - NS_PER_S)
    clock = PlayedClock(last_ns + NS_PER_S)
    plays = scripts.Script() if kept is None else scripts.load(kept)
    trust = PlayedTrust(plays, clock)
    return Played(session.open_rig(plays, clock, trust.installed), clock, trust)
