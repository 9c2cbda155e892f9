"""`sodbench reproduce`: which of the papers' claims hold, judged by stored runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from harness import report as reports
from harness import resources, workloads
from harness.analysis.claims import files, runs, verdicts
from harness.analysis.claims.checks import Tables
from harness.analysis.claims.files import Known
from harness.analysis.claims.model import Paper
from harness.analysis.claims.verdicts import Judgement
from harness.analysis.table import metric_set
from harness.cli.signing import Key, Unsigned, signers_key
from harness.cli.terminal import Output
from harness.errors import UsageError
from harness.legible import legible
from harness.nearest import nearest
from harness.policy import capability_file
from harness.report import reproduced
from harness.yaml_source import read_text


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
    """Judge the papers' claims by stored runs, and write a page with one row a claim.

    Touches no machine. A claim without code or evidence is `not tested`, with the reason. An archive must be
    signed by --key, by default your own, or --unsigned given. Files of claims with mistakes end with 3,
    evidence that was changed with 21; a verdict of any kind ends with 0 (docs/reproduce.md).
    """
    if stored is None:
        raise UsageError(
            "no stored runs to judge by",
            why="--from is missing",
            remedy="--from results/reference judges by the clone's own runs, --from results by yours",
        )
    papers = _asked(files.load(files_of or resources.claims(), _known()), claims or [])
    wanted = {
        name
        for paper in papers
        for claim in paper.claims
        if claim.experiment is not None
        for name in claim.experiment.campaigns
    }
    found, left = runs.below(stored, wanted, lambda: signers_key(key, unsigned=unsigned))
    signed = {metric.name: metric.signed for metric in metric_set().all}
    tables = _tables()
    judged = [(paper, verdicts.of_claims(paper.claims, found, tables, signed)) for paper in papers]
    made = reports.write(
        reproduced.document(judged, pdf="tex" in (format or ())), out, format or ("html", "md")
    )
    _show([one for _, mine in judged for one in mine], left, made)


def _known() -> Known:
    return Known(
        campaigns=[path.stem for path in resources.campaigns().glob("*.yml")],
        metrics=[metric.name for metric in metric_set().all],
        workloads=list(workloads.available()),
    )


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


def _tables() -> Tables:
    return Tables(
        requests=read_text(resources.reference() / "table2_requests.csv"),
        capabilities=capability_file.load_table(),
    )


def _show(judged: Sequence[Judgement], left: Sequence[str], made: reports.Report) -> None:
    output = Output()
    output.table(("claim", "verdict", "why"), [(one.claim.id, str(one.verdict), one.why) for one in judged])
    output.say(*(f"does not count: {line}" for line in left))
    output.say(*(str(path) for path in made.documents))
