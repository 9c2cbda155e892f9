"""An artifact checked where there is no lab: each step uses only what the steps before it have shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric import ec

from harness import sums
from harness.analysis.claims import files, installed
from harness.errors import AlteredError, RecordError
from harness.evidence import bundle, seal, signature
from harness.legible import legible
from harness.report.artifact import crate, layout, program, statement
from harness.report.artifact.build import judge
from harness.report.artifact.statement import Statement

_AGAIN = "get the artifact again from whoever published it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """An artifact that is as it was signed, and whose verdicts follow from its evidence.

    Attributes:
        files: How many files have the sums that were signed.
        runs: The runs that were judged again.
        statement: Its verdicts, and the wheel.
        differing: Modules of the program that runs which are not those of the wheel in it.
    """

    files: int
    runs: tuple[str, ...]
    statement: Statement
    differing: tuple[str, ...]

    @property
    def counts(self) -> Mapping[str, int]:
        """How many claims have each verdict."""
        return Counter(str(one.verdict) for one in self.statement.claims.values())


def verify(file: Path, key: ec.EllipticCurvePublicKey | None) -> Verified:
    """Check the artifact `file`: with `key` that its owner signed it, and always all the rest.

    Raises:
        AlteredError: It is not signed by `key`, a file was changed, removed or added, the wheel is not the
            one that is stated, or the evidence does not give the verdicts that are stated.
        InputFileError: Its claims are not ones that this program can judge.
        RecordError: It is no artifact, or its RO-Crate metadata are none.
    """
    with TemporaryDirectory(prefix="sodbench-artifact-") as scratch:
        root = Path(scratch) / "artifact"
        bundle.unpack(file, root)
        if key is not None:
            signature.verify(root, _lists(root), key, kind=layout.KIND)
        digests = _as_summed(root, file)
        crate.require(root, digests)
        said = statement.read(root / layout.STATEMENT)
        differing = _wheel(root, digests, said)
        told = _judged_again(root, said, file)
    return Verified(files=len(digests), runs=told, statement=said, differing=differing)


def _lists(root: Path) -> list[str]:
    """What the signature must cover, and nothing else."""
    return [layout.SUMS] if (root / layout.SUMS).is_file() else []


def _as_summed(root: Path, file: Path) -> dict[str, str]:
    """The sum of each file, once every file has the sum that is listed and no other is there."""
    if not (root / layout.SUMS).is_file():
        raise RecordError("not an artifact", where=legible(str(file)), why=f"it holds no {layout.SUMS}")
    wanted = sums.read(root / layout.SUMS)
    own = {layout.SUMS, signature.FILE}
    there = {name: regular for name, regular in sums.walk(root) if name not in own}
    found = seal.differences(root, wanted, there)
    if found:
        raise AlteredError(
            "the artifact is not what was summed", where=legible(str(file)), why=str(found), remedy=_AGAIN
        )
    return wanted


def _wheel(root: Path, digests: Mapping[str, str], said: Statement) -> tuple[str, ...]:
    """The modules that differ from those of the wheel, which is the one that is stated."""
    name = f"{layout.PROGRAM}/{said.wheel.name}"
    if digests.get(name) != said.wheel.sha256:
        raise AlteredError(
            "the wheel is not the one that judged",
            where=legible(name),
            why=f"stated {legible(said.wheel.sha256)}, found {digests.get(name, 'no such file')}",
            remedy=_AGAIN,
        )
    return tuple(program.differing(root / name))


def _judged_again(root: Path, said: Statement, file: Path) -> tuple[str, ...]:
    """The runs by which the claims were judged again, with the verdicts that are stated."""
    papers = files.load(root / layout.CLAIMS, installed.known())
    judged, told = judge(root, papers)
    found = statement.of([one for _, mine in judged for one in mine], said.wheel)
    differs = list(statement.differences(said.claims, found.claims))
    if differs:
        raise AlteredError(
            "the evidence does not give the verdicts that the artifact states",
            where=legible(str(file)),
            why=legible("; ".join(differs[:20])),
            remedy="judge with the sodbench whose wheel is in the artifact, then ask its publisher",
        )
    return tuple(one.name for one in told)
