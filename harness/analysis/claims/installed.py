"""What files of claims may name here, and claims judged by stored runs with what this installation knows."""

from __future__ import annotations

from collections.abc import Sequence

from harness import resources, workloads
from harness.analysis.claims import verdicts
from harness.analysis.claims.checks import Tables
from harness.analysis.claims.files import Known
from harness.analysis.claims.model import Paper
from harness.analysis.claims.verdicts import Judgement, Run
from harness.analysis.table import metric_set
from harness.policy import capability_file
from harness.yaml_source import read_text


def known() -> Known:
    """The ready-made campaigns, the metrics and the workloads of this installation."""
    return Known(
        campaigns=[path.stem for path in resources.campaigns().glob("*.yml")],
        metrics=[metric.name for metric in metric_set().all],
        workloads=list(workloads.available()),
    )


def judged(
    papers: Sequence[Paper], runs: Sequence[Run], every: Sequence[Paper] = ()
) -> list[tuple[Paper, list[Judgement]]]:
    """The judgement of each claim of `papers`.

    Args:
        papers: The papers with the claims that are asked for.
        runs: Every stored run there is.
        every: The papers with all their claims, on which those may depend.
    """
    signed = {metric.name: metric.signed for metric in metric_set().all}
    tables = Tables(
        requests=read_text(resources.reference() / "table2_requests.csv"),
        capabilities=capability_file.load_table(),
    )
    conditions = [claim for paper in every for claim in paper.claims]
    return [(paper, verdicts.of_claims(paper.claims, runs, tables, signed, conditions)) for paper in papers]
