"""A report with its signature: who made these documents and figures, and that they are all there, unaltered.

The signature (:mod:`harness.evidence.signature`) is a file of its own, and the only file of a report whose
bytes differ each time it is made: ECDSA draws a random number.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from harness import disk, sums
from harness.errors import RecordError
from harness.evidence import signature
from harness.legible import legible

KIND = signature.Kind(
    "report", f"{signature.TRUSTED}; `sodbench report` makes the report again from the run's evidence"
)
_FEW = 20


def sign(folder: Path, written: tuple[Path, ...], key: ec.EllipticCurvePrivateKey) -> Path:
    """Sign the files `written` in `folder`, which are the report; the signature's file.

    Raises:
        RecordError: One of them cannot be read.
        StorageError: The signature cannot be written.
    """
    names = [path.relative_to(folder).as_posix() for path in written]
    return signature.sign(folder, names, key, kind=KIND)


def forget(folder: Path) -> None:
    """Remove the signature of an older report in `folder`, which says nothing of the one being made.

    Raises:
        StorageError: It cannot be removed.
    """
    path = folder / signature.FILE
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise disk.failure("the older report's signature cannot be removed", path, error) from error


def verify(folder: Path, key: ec.EllipticCurvePublicKey) -> int:
    """Refuse the report in `folder` unless the key's owner signed all of its files, as they are.

    Returns:
        How many files that are.

    Raises:
        AlteredError: It is not signed or not by this key, or a file was changed, removed or added.
        RecordError: It is not a folder, or a file cannot be read.
    """
    if not folder.is_dir():
        raise RecordError(
            "not the folder of a report",
            where=legible(str(folder)),
            remedy="name the folder that `sodbench report` wrote",
        )
    there = (name for name, _ in sums.walk(folder, half_written=True) if name != signature.FILE)
    return signature.verify(folder, there, key, kind=KIND)


def others(folder: Path, written: tuple[Path, ...]) -> list[str]:
    """The first few files in `folder` that are not of the report just written and signed."""
    own = {signature.FILE, *(path.relative_to(folder).as_posix() for path in written)}
    return list(islice((name for name, _ in sums.walk(folder) if name not in own), _FEW))
