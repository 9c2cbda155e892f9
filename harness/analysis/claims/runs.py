"""The stored runs below a folder, as far as claims need them: unpacked where packed, with their sums checked.

Nothing is judged from evidence that is not as it was summed: it is refused, and with it the whole question.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric import ec

from harness.analysis import stored
from harness.analysis.claims.verdicts import Run
from harness.errors import RecordError
from harness.evidence import archive, folder, journal, played, seal, signature, wall_time
from harness.evidence.folder import RunFolder
from harness.legible import legible

Signer = Callable[[], ec.EllipticCurvePublicKey | None]
"""Gives the key that must have signed an archive, or None to check none; called where an archive is met."""


Look = Callable[[Run, RunFolder], None]
"""Sees a run and its folder, which is gone afterwards where it was unpacked."""


def below(
    root: Path, campaigns: Collection[str], signer: Signer, look: Look = lambda _run, _folder: None
) -> tuple[list[Run], list[str]]:
    """The finished runs of `campaigns` at `root` or below it, and what does not count, with the reason.

    Raises:
        AlteredError: Evidence was changed, or an archive is not signed by the key of `signer`.
        RecordError: `root` is no folder, or a run is damaged.
    """
    found: list[Run] = []
    left: list[str] = []
    for place in places(root, campaigns):
        if folder.is_packed(place):
            found.append(_packed(place, signer(), look))
        elif seal.is_sealed(RunFolder(place)):
            found.append(_read(folder.find(place), "a run's folder: not signed", look))
        else:
            left.append(f"{legible(str(place))} has not finished")
    return found, left


def places(root: Path, campaigns: Collection[str]) -> Iterator[Path]:
    """The folders of runs of `campaigns`, packed or not, finished or not.

    Raises:
        RecordError: `root` is no folder, or a manifest is damaged.
    """
    if not root.is_dir():
        raise RecordError(
            "no folder of stored runs",
            where=legible(str(root)),
            remedy="name the folder of a run or of an archive, or one above them",
        )
    for place in sorted({path.parent for path in root.glob("**/manifest.json")}):
        if str(folder.read_manifest(RunFolder(place)).get("campaign")) in campaigns:
            yield place


def _packed(place: Path, key: ec.EllipticCurvePublicKey | None, look: Look) -> Run:
    said = "signature not checked" if key is None else f"signed by the key {signature.key_id(key)}"
    with TemporaryDirectory(prefix="sodbench-claims-") as scratch:
        return _read(archive.unpack(place, Path(scratch) / "run", key=key), said, look)


def _read(run: RunFolder, signed: str, look: Look) -> Run:
    """The run, whose evidence is as it was summed."""
    seal.require(run)
    manifest = folder.read_manifest(run)
    spent = wall_time.of(list(journal.read(run.journal)))
    made = Run(
        campaign=str(manifest.get("campaign")),
        name=str(manifest.get("run")),
        rig=played.KEY if played.is_played(run) else str(manifest.get("rig")),
        accelerator=str(manifest.get("accelerator")),
        table=stored.table(run),
        seconds=None if spent is None else spent.total_s,
        stored_bytes=sum(path.stat().st_size for path in run.root.rglob("*") if path.is_file()),
        signature=signed,
    )
    look(made, run)
    return made
