"""Whether a run's evidence is what it was: sums made once, when the run ends, and looked at ever after.

A run that is under way, or whose controller was killed, has no sums yet. When it ends, be it finished, failed
or interrupted, ``SHA256SUMS`` is written over every file of it that nothing computed. A resume checks and
then removes that list, because from then on the evidence grows, and the run's next end writes another.
Nothing else makes it: a command that computes from the evidence checks it first, and keeps sums of what
was computed in ``SHA256SUMS.derived``, which may be written as often as the tables are.

Older runs have one list of everything. There a line counts by its name: of a derived file until that is
computed again, of evidence always.

Sums show what was changed by accident, or by a user who forgot about them. A forger writes
new ones: keep a copy of ``SHA256SUMS`` where they cannot.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness import disk, sums
from harness.errors import AlteredError, RecordError, RigLockedError
from harness.evidence.events import RunAborted, RunFinished, RunResumed
from harness.evidence.folder import DERIVED, RunFolder
from harness.evidence.journal import Event
from harness.files import sync_folder, write_atomic
from harness.legible import legible

EVIDENCE_SUMS = "SHA256SUMS"
DERIVED_SUMS = "SHA256SUMS.derived"
ENDS = frozenset({RunFinished.KIND, RunAborted.KIND})
"""What the journal says last of a run that has ended, and so has sums."""
_NAMED_AT_MOST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """What is not as a list of sums has it; names in their order."""

    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    added: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changed or self.missing or self.added)

    def __str__(self) -> str:
        """For people: how each file differs, a bounded number of names."""
        kinds = (("changed", self.changed), ("missing", self.missing), ("added", self.added))
        return "; ".join(f"{kind}: {_list(names)}" for kind, names in kinds if names)


def _list(names: tuple[str, ...]) -> str:
    told = ", ".join(map(legible, names[:_NAMED_AT_MOST]))
    rest = len(names) - _NAMED_AT_MOST
    return f"{told} and {rest} more" if rest > 0 else told


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """What the lists of a run say: name to SHA-256.

    Attributes:
        evidence: What was recorded; None where the run has no sums.
        derived: What was computed from it.
        of_everything: Whether one list has both, as in older runs.
    """

    evidence: Mapping[str, str] | None
    derived: Mapping[str, str]
    of_everything: bool


def lists(root: Path) -> Lists:
    """The sums kept in the folder `root`, of a run or of an archive.

    Raises:
        RecordError: A list cannot be read.
    """
    whole = sums.read(root / EVIDENCE_SUMS) if os.path.lexists(root / EVIDENCE_SUMS) else None
    computed = {name: digest for name, digest in (whole or {}).items() if name in DERIVED}
    if os.path.lexists(root / DERIVED_SUMS):
        computed = sums.read(root / DERIVED_SUMS)
        foreign = sorted(computed.keys() - DERIVED)
        if foreign:
            raise RecordError(
                "lists files that are not computed from evidence",
                where=str(root / DERIVED_SUMS),
                why=_list(tuple(foreign)),
                remedy="restore the run from a copy; only tables have their sums here",
            )
    recorded = None if whole is None else {name: whole[name] for name in whole if name not in DERIVED}
    return Lists(evidence=recorded, derived=computed, of_everything=bool((whole or {}).keys() & DERIVED))


def is_sealed(run: RunFolder) -> bool:
    """Whether the run has the sums of its evidence, so that it has ended."""
    return os.path.lexists(run.root / EVIDENCE_SUMS)


def require(run: RunFolder) -> bool:
    """Whether the run has the sums of its evidence; where it has, every file of it is as they say.

    Raises:
        AlteredError: A file of the evidence was changed, removed or added since the run ended.
        RecordError: A file cannot be read.
    """
    recorded = lists(run.root).evidence
    if recorded is None:
        return False
    there = {name: regular for name, regular in _files(run) if name not in DERIVED}
    found = differences(run.root, recorded, there)
    if found:
        raise altered(run.root, found)
    return True


def require_named(run: RunFolder, names: Iterable[str]) -> bool:
    """As :func:`require`, of the files of the evidence with these names alone: for who reads no others.

    Raises:
        AlteredError: One of them is not as its sum says, or has none.
        RecordError: A file cannot be read.
    """
    recorded = lists(run.root).evidence
    if recorded is None:
        return False
    wanted = set(names)
    there = {name: (run.root / name).is_file() for name in wanted if os.path.lexists(run.root / name)}
    found = differences(run.root, {name: recorded[name] for name in wanted & recorded.keys()}, there)
    if found:
        raise altered(run.root, found)
    return True


def altered(root: Path, found: Differences) -> AlteredError:
    """The error for evidence in `root` that differs."""
    return AlteredError(
        "the evidence is not what it was when the run ended",
        where=legible(str(root)),
        why=str(found),
        remedy="restore these files from a copy of the run or its archive, and keep your own files outside "
        "its folder. To see what changed evidence would say, copy the folder without SHA256SUMS: the report "
        "of such a copy says that its evidence is not known to be what was recorded",
    )


def derived_differences(run: RunFolder) -> Differences:
    """How the tables differ from the sums they had when they were computed; nothing of this is evidence.

    Raises:
        RecordError: A file cannot be read.
    """
    there = {name: regular for name, regular in _files(run) if name in DERIVED}
    return differences(run.root, lists(run.root).derived, there)


def _files(run: RunFolder) -> Iterator[tuple[str, bool]]:
    for name, regular in sums.walk(run.root):
        if name not in {EVIDENCE_SUMS, DERIVED_SUMS}:
            yield name, regular


def differences(root: Path, wanted: Mapping[str, str], there: Mapping[str, bool]) -> Differences:
    """How the files `there` (name to whether it is a regular file) differ from the sums `wanted`."""
    both = sorted(wanted.keys() & there.keys())
    return Differences(
        changed=tuple(name for name in both if not there[name] or sums.digest(root / name) != wanted[name]),
        missing=tuple(sorted(wanted.keys() - there.keys())),
        added=tuple(sorted(there.keys() - wanted.keys())),
    )


def close(run: RunFolder) -> None:
    """Write the sums of the evidence, once: the run has ended.

    Raises:
        RecordError: The run has its sums already, or a file of it cannot be read.
        StorageError: The sums cannot be written.
    """
    if is_sealed(run):
        raise RecordError("the evidence has its sums already", where=str(run.root / EVIDENCE_SUMS))
    found = _sums(run, (name for name, regular in _files(run) if regular and name not in DERIVED))
    write_atomic(run.root / EVIDENCE_SUMS, sums.text(found))


def reopen(run: RunFolder) -> bool:
    """Remove the sums of a run that goes on; of one that is under way or was killed there is nothing to do.

    Returns:
        Whether it had sums, so that its evidence is what it was when the run ended.

    Raises:
        AlteredError: The evidence is not what it was when the run ended; the sums stay.
        RecordError: A file cannot be read.
        StorageError: The sums cannot be removed.
    """
    if not require(run):
        return False
    path = run.root / EVIDENCE_SUMS
    try:
        path.unlink()
        sync_folder(run.root)
    except OSError as error:
        raise disk.failure("the sums of the run cannot be removed", path, error) from error
    return True


def went_on_unchecked(events: Sequence[Event]) -> bool:
    """Whether the run went on after it had ended, at a moment when its evidence had no sums.

    What was recorded before that moment is not known to be what it was, whatever sums were written since.
    Journals in which `run.resumed` does not say whether there were sums give no answer, which is False.
    """
    ended = False
    for event in events:
        if ended and (resumed := event.says(RunResumed)) is not None and resumed.sums is False:
            return True
        if event.kind.startswith("run."):
            ended = event.kind in ENDS
    return False


def _sums(run: RunFolder, names: Iterable[str]) -> dict[str, str]:
    return {name: sums.digest(run.root / name) for name in sorted(names, key=os.fsencode)}


def keep_derived(run: RunFolder) -> None:
    """Write the sums of the tables as they are now; those of the evidence are left as they are.

    A list of an older run that names tables loses those lines where they hold no longer.

    Raises:
        RecordError: A file cannot be read.
        StorageError: The sums cannot be written.
    """
    now = _sums(run, (name for name, regular in _files(run) if regular and name in DERIVED))
    known = lists(run.root)
    if now == known.derived:
        return
    write_atomic(run.root / DERIVED_SUMS, sums.text(now))
    # A list that names no tables stays untouched: a resume may have removed it in the meantime.
    if known.evidence is not None and known.of_everything:
        write_atomic(run.root / EVIDENCE_SUMS, sums.text(known.evidence))


@contextmanager
def held(run: RunFolder) -> Iterator[None]:
    """Be the only process that adds to the run's evidence; ends with the process, however that ends.

    Raises:
        RigLockedError: Another process does.
        StorageError: The folder cannot be opened.
    """
    try:
        descriptor = os.open(run.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise disk.failure("the run's folder cannot be opened", run.root, error) from error
    try:
        _lock(descriptor, run)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, run: RunFolder) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno != errno.EWOULDBLOCK:  # NFS, for one, locks no folder: the rig's lock still holds
            return
        raise RigLockedError(
            "another process carries this run out",
            where=str(run.root),
            remedy="wait until it has ended; `sodbench status` says where it stands",
        ) from error
