"""The artifact put together: what is judged is what lies in it, and the same parts make the same bytes.

Only the signature differs each time, because ECDSA draws a random number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric import ec

from harness import report as reports
from harness import sums
from harness.analysis.claims import files, installed, runs
from harness.analysis.claims.model import Paper
from harness.analysis.claims.runs import Signer
from harness.analysis.claims.verdicts import Judgement
from harness.errors import InputFileError, RecordError
from harness.evidence import archive, bundle, folder, seal, signature
from harness.evidence.folder import RunFolder
from harness.files import MAX_JSON_BYTES, json_object, write_atomic, write_json
from harness.legible import legible
from harness.report import reproduced
from harness.report.artifact import appendix, crate, facts, layout, program, statement
from harness.report.artifact.facts import Facts
from harness.report.artifact.statement import Wheel

_MAX_LOCK_BYTES = 4 * 2**20
_MAX_SBOM_BYTES = MAX_JSON_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What goes into an artifact.

    Attributes:
        stored: A folder of runs or archives, or one above them.
        claims: The folder of files of claims.
        wheel: The program, as a wheel.
        lock: The list that pins its packages with their hashes.
        sbom: The bill of materials, in CycloneDX.
    """

    stored: Path
    claims: Path
    wheel: Path
    lock: Path
    sbom: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What was put together.

    Attributes:
        size_bytes: What the file takes.
        runs: The runs in it, by campaign and name.
        left: What does not count, with the reason.
        judged: Every claim's judgement.
    """

    size_bytes: int
    runs: tuple[str, ...]
    left: tuple[str, ...]
    judged: tuple[Judgement, ...]


def build(parts: Parts, file: Path, key: ec.EllipticCurvePrivateKey, signer: Signer) -> Built:
    """Build the artifact `file`, which must not be there yet, and sign it with `key`.

    Args:
        parts: What goes into it.
        file: The artifact.
        key: On P-256.
        signer: Gives the key that must have signed archives among the stored runs.

    Raises:
        AlteredError: Evidence was changed, or an archive is not signed by the key of `signer`.
        InputFileError: Files of claims have mistakes, the wheel is of another program, or lock or bill are
            none.
        RecordError: There is no finished run, one is damaged, or the artifact would be too large.
        StorageError: It cannot be written.
        UsageError: `file` exists.
    """
    _require_program(parts)
    papers = files.load(parts.claims, installed.known())
    with TemporaryDirectory(prefix="sodbench-artifact-") as scratch:
        stage = Path(scratch) / "artifact"
        left = _stage_evidence(parts, papers, stage, signer)
        _stage_files(parts, stage)
        wheel = _wheel(parts.wheel)
        judged, told = judge(stage, papers)
        if not told:
            raise RecordError(
                "no finished run of the claims' campaigns",
                where=legible(str(parts.stored)),
                why="; ".join(left) or "none is at this folder or below it",
                remedy="name a folder of runs or archives, such as results/reference",
            )
        _write_pages(stage, judged, told, wheel, signature.key_id(key.public_key()))
        about = crate.About(papers=papers, facts=told, version=wheel.version)
        crate.write(stage, about)
        _sign(stage, key)
        size = bundle.pack(stage, file)
    return Built(
        size_bytes=size,
        runs=tuple(one.name for one in told),
        left=tuple(left),
        judged=tuple(one for _, mine in judged for one in mine),
    )


def judge(stage: Path, papers: Sequence[Paper]) -> tuple[list[tuple[Paper, list[Judgement]]], list[Facts]]:
    """The claims judged by the evidence below `stage`, and what is told of its runs.

    Raises:
        AlteredError: Evidence was changed.
        RecordError: A run is damaged.
    """
    told: list[Facts] = []
    wanted = {name for paper in papers for name in paper.campaigns}
    found, _ = runs.below(
        stage / layout.EVIDENCE, wanted, lambda: None, lambda run, root: told.append(facts.of(run, root))
    )
    return installed.judged(papers, found, papers), told


def _require_program(parts: Parts) -> None:
    differing = program.differing(parts.wheel)
    if differing:
        raise InputFileError(
            "the wheel is not of the program that judges",
            where=legible(str(parts.wheel)),
            why=f"{len(differing)} modules differ, such as {legible(differing[0])}",
            remedy="`make artifact` builds the wheel of this clone first",
        )
    if b"--hash=sha256:" not in sums.content(parts.lock, limit=_MAX_LOCK_BYTES):
        raise InputFileError("no list of packages with their hashes", where=legible(str(parts.lock)))
    bill = json_object(sums.content(parts.sbom, limit=_MAX_SBOM_BYTES), parts.sbom)
    if bill.get("bomFormat") != "CycloneDX":
        raise InputFileError(
            "no bill of materials in CycloneDX",
            where=legible(str(parts.sbom)),
            remedy="`make sbom` writes it",
        )


def _stage_evidence(parts: Parts, papers: Sequence[Paper], stage: Path, signer: Signer) -> list[str]:
    """Every finished run of the claims' campaigns as an archive; what does not count, with the reason."""
    left = []
    (stage / layout.EVIDENCE).mkdir(parents=True)
    for place in runs.places(parts.stored, {name for paper in papers for name in paper.campaigns}):
        manifest = folder.read_manifest(RunFolder(place))
        names = [str(manifest.get(key)) for key in ("campaign", "run")]
        out = stage / layout.EVIDENCE / names[0] / names[1]
        if any("/" in one or one.startswith(".") for one in names) or out.exists():
            left.append(f"{legible(str(place))}: another run has its name, or it is no name of a folder")
        elif folder.is_packed(place):
            key = signer()
            if key is not None:
                archive.require_signed(place, key)
            _copy(place, out)
        elif seal.is_sealed(RunFolder(place)):
            archive.pack(folder.find(place), out)
        else:
            left.append(f"{legible(str(place))} has not finished")
    return left


def _copy(place: Path, out: Path) -> None:
    """The archive's files; what is no regular file is refused."""
    for name, _ in sums.walk(place):
        write_atomic(out / name, sums.content(place / name, limit=bundle.MAX_BYTES))


def _stage_files(parts: Parts, stage: Path) -> None:
    for path in sorted(parts.claims.glob("*.yml")):
        _take(path, stage / layout.CLAIMS / path.name)
    _take(parts.wheel, stage / layout.PROGRAM / parts.wheel.name)
    _take(parts.lock, stage / layout.LOCK)
    _take(parts.sbom, stage / layout.SBOM)


def _take(path: Path, out: Path) -> None:
    write_atomic(out, sums.content(path, limit=bundle.MAX_BYTES))


def _wheel(path: Path) -> Wheel:
    return Wheel(name=path.name, version=program.version(path), sha256=sums.digest(path))


def _write_pages(
    stage: Path,
    judged: Sequence[tuple[Paper, Sequence[Judgement]]],
    told: Sequence[Facts],
    wheel: Wheel,
    signer: str,
) -> None:
    every = [one for _, mine in judged for one in mine]
    write_json(stage / layout.STATEMENT, statement.of(every, wheel).model_dump(mode="json"))
    reports.write(reproduced.document(judged), stage / layout.VERDICTS, ("html", "md"))
    material = appendix.Material(papers=judged, facts=told, wheel=wheel, signer=signer)
    reports.write(appendix.document(material), stage / layout.APPENDIX, ("md", "tex"))


def _sign(stage: Path, key: ec.EllipticCurvePrivateKey) -> None:
    found = {name: sums.digest(stage / name) for name, _ in sorted(sums.walk(stage))}
    write_atomic(stage / layout.SUMS, sums.text(found))
    signature.sign(stage, [layout.SUMS], key, kind=layout.KIND)
