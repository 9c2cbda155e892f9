"""Whether a run was played: then nothing in it is a measurement, and it is no data for anybody to keep.

Manifest and journal both say so, and either is enough: a run that is played by one of them is played.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.errors import RecordError
from harness.evidence import journal
from harness.evidence.events import Opening
from harness.evidence.folder import RunFolder, read_manifest
from harness.evidence.journal import Event
from harness.json_types import Json
from harness.legible import legible

KEY = "played"
"""The key in the manifest and in the journal's events of a run's beginning."""

SAYS = "PLAYED, not measured: no machine of this run exists"
"""What every page of a played run says."""


def by_manifest(manifest: Mapping[str, Json]) -> bool:
    """Whether a manifest is of a played run."""
    return bool(manifest.get(KEY)) or manifest.get("rig") == KEY


def by_journal(events: Iterable[Event]) -> bool:
    """Whether any process that wrote the journal played."""
    return any(said.played for event in events if (said := event.says(Opening)) is not None)


def is_played(run: RunFolder) -> bool:
    """Whether the run was played.

    Raises:
        RecordError: The manifest or the journal is damaged.
    """
    return by_manifest(read_manifest(run)) or (run.journal.exists() and by_journal(journal.read(run.journal)))


def refuse(run: RunFolder) -> None:
    """Refuse to keep a played run as data.

    Raises:
        RecordError: It was played, or is damaged.
    """
    if is_played(run):
        raise RecordError(
            "a played run is not kept as data",
            where=legible(str(run.root)),
            why="its manifest or its journal says that it was played: nothing in it was measured",
            remedy="run the campaign on a lab or a pair of hosts",
        )
