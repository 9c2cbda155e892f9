"""`sodbench reproduce`: which of the papers' claims hold, judged by runs that are stored or carried out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

from harness import report as reports
from harness import resources
from harness.analysis.claims import files, installed, runs
from harness.analysis.claims.model import Paper
from harness.analysis.claims.verdicts import Judgement
from harness.cli.signing import Key, Unsigned, signers_key
from harness.cli.terminal import Output
from harness.errors import UsageError
from harness.legible import legible
from harness.nearest import nearest
from harness.report import reproduced

Extent: TypeAlias = Literal["smoke", "full"]
"""Which of the campaigns that the claims' files name are run."""

Smoke = Annotated[
    bool, typer.Option("--smoke", help="First run what shows within 15 minutes that everything works.")
]
Full = Annotated[
    bool, typer.Option("--full", help="First run every campaign that the claims are judged by: hours.")
]
RunsKept = Annotated[
    Path, typer.Option("--results", help="Where --smoke and --full keep their runs, and find them again.")
]
Pair = Annotated[
    Path | None,
    typer.Option("--inventory", "-i", help="Two real hosts in place of the lab for --smoke and --full."),
]


def reproduce(
    claims: Annotated[
        list[str] | None,
        typer.Argument(help="Claims by their names; all by default.", metavar="[CLAIM]..."),
    ] = None,
    stored: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="A folder of runs or archives; of each campaign below it the newest run counts.",
            metavar="FOLDER",
        ),
    ] = None,
    smoke: Smoke = False,
    full: Full = False,
    results: RunsKept = Path("results"),
    inventory: Pair = None,
    files_of: Annotated[
        Path | None,
        typer.Option("--claims", help="A folder of claims of your own in place of the papers'."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the page of verdicts is written.")] = Path(
        "reports/reproduce"
    ),
    format: Annotated[
        list[str] | None,
        typer.Option(
            "--format", "-f", help="html, md or tex; may be given several times. html and md by default."
        ),
    ] = None,
    key: Key = None,
    unsigned: Unsigned = False,
) -> None:
    """Judge the papers' claims by runs, and write a page with one row a claim.

    By stored runs with --from, which touches no machine. With --smoke or --full the lab is built where it is
    not up, its machines are provisioned and campaigns run; the same command goes on where it was cut. A claim
    without code or evidence is `not tested`, with the reason. An archive must be signed by --key, by default
    your own, or --unsigned given. Files of claims with mistakes end with 3, evidence that was changed with
    21; a verdict of any kind ends with 0 (docs/reproduce.md).
    """
    extent = _extent(stored, smoke=smoke, full=full)
    every = files.load(files_of or resources.claims(), installed.known())
    papers = _asked(every, claims or [])
    place = results if stored is None else stored
    left = [] if extent is None else _carried_out(papers, extent, results, inventory)
    wanted = {name for paper in papers for name in paper.campaigns}
    found, uncounted = runs.below(place, wanted, lambda: signers_key(key, unsigned=unsigned))
    judged = installed.judged(papers, found, every)
    made = reports.write(
        reproduced.document(judged, pdf="tex" in (format or ())), out, format or ("html", "md")
    )
    _show([one for _, mine in judged for one in mine], [*left, *uncounted], made)


def _extent(stored: Path | None, *, smoke: bool, full: bool) -> Extent | None:
    """What is to be run before anything is judged; None where stored runs are named."""
    if (stored is not None) + smoke + full > 1:
        raise UsageError("--from, --smoke and --full exclude each other", remedy="choose one of them")
    if smoke or full:
        return "smoke" if smoke else "full"
    if stored is None:
        raise UsageError(
            "no stored runs to judge by",
            why="--from is missing, and neither --smoke nor --full is given",
            remedy="--from results/reference judges by the clone's own runs, --from results by yours",
        )
    return None


def _carried_out(papers: Sequence[Paper], extent: Extent, results: Path, inventory: Path | None) -> list[str]:
    """Carry out what is left of the campaigns; what is not valid in them."""
    from harness.cli import reproducing  # noqa: PLC0415 - needs the rig, which judging stored runs does not

    return reproducing.run(reproducing.wanted(papers, extent), results, inventory, Output())


def _asked(papers: Sequence[Paper], names: Sequence[str]) -> list[Paper]:
    """The papers with the claims that are named, or with all of them."""
    known = [claim.id for paper in papers for claim in paper.claims]
    for name in names:
        if name not in known:
            raise UsageError(
                "no such claim",
                where=legible(name),
                remedy=nearest(name, known) or f"one of {', '.join(known)}",
            )
    chosen = set(names or known)
    kept = [
        paper.model_copy(update={"claims": tuple(one for one in paper.claims if one.id in chosen)})
        for paper in papers
    ]
    return [paper for paper in kept if paper.claims]


def _show(judged: Sequence[Judgement], left: Sequence[str], made: reports.Report) -> None:
    output = Output()
    output.table(("claim", "verdict", "why"), [(one.claim.id, str(one.verdict), one.why) for one in judged])
    output.say(*(f"does not count: {line}" for line in left))
    output.say(*(str(path) for path in made.documents))
