"""The stored runs below a folder, as far as claims need them: unpacked where packed, with their sums checked.

Nothing is judged from evidence that is not as it was summed: it is refused, and with it the whole question.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
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


def below(root: Path, campaigns: Collection[str], signer: Signer) -> tuple[list[Run], list[str]]:
    """The finished runs of `campaigns` at `root` or below it, and what does not count, with the reason.

    Raises:
        AlteredError: Evidence was changed, or an archive is not signed by the key of `signer`.
        RecordError: `root` is no folder, or a run is damaged.
    """
    if not root.is_dir():
        raise RecordError(
            "no folder of stored runs",
            where=legible(str(root)),
            remedy="name the folder of a run or of an archive, or one above them",
        )
    found: list[Run] = []
    left: list[str] = []
    for place in sorted({path.parent for path in root.glob("**/manifest.json")}):
        if str(folder.read_manifest(RunFolder(place)).get("campaign")) not in campaigns:
            continue
        if folder.is_packed(place):
            found.append(_packed(place, signer()))
        elif seal.is_sealed(RunFolder(place)):
            found.append(_read(folder.find(place), "a run's folder: not signed"))
        else:
            left.append(f"{legible(str(place))} has not finished")
    return found, left


def _packed(place: Path, key: ec.EllipticCurvePublicKey | None) -> Run:
    said = "signature not checked" if key is None else f"signed by the key {signature.key_id(key)}"
    with TemporaryDirectory(prefix="sodbench-claims-") as scratch:
        return _read(archive.unpack(place, Path(scratch) / "run", key=key), said)


def _read(run: RunFolder, signed: str) -> Run:
    """The run, whose evidence is as it was summed."""
    seal.require(run)
    manifest = folder.read_manifest(run)
    spent = wall_time.of(list(journal.read(run.journal)))
    return Run(
        campaign=str(manifest.get("campaign")),
        name=str(manifest.get("run")),
        rig=played.KEY if played.is_played(run) else str(manifest.get("rig")),
        accelerator=str(manifest.get("accelerator")),
        table=stored.table(run),
        seconds=None if spent is None else spent.total_s,
        stored_bytes=sum(path.stat().st_size for path in run.root.rglob("*") if path.is_file()),
        signature=signed,
    )
