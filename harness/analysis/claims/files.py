"""Files of claims as people write them: read, checked against what the program knows, refused by line."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.analysis.claims.checks import CHECKS
from harness.analysis.claims.model import Claim, Experiment, Paper
from harness.errors import InputFileError
from harness.legible import legible
from harness.nearest import nearest
from harness.yaml_model import file_schema, refusal, validated
from harness.yaml_source import Problem, Source, parse, read_text

_CONSEQUENCE = "no claim was judged"


class ClaimsError(InputFileError):
    """A file of claims is wrong; nothing was judged."""

    kind = "claims"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a claim may name.

    Attributes:
        campaigns: Ready-made campaigns.
        metrics: Metrics of a run's table.
        workloads: Workloads of this installation.
    """

    campaigns: Collection[str]
    metrics: Collection[str]
    workloads: Collection[str]


def load(folder: Path, known: Known) -> tuple[Paper, ...]:
    """The claims of every file of `folder`, in the order of the files' names.

    Raises:
        InputFileError: A file cannot be read; as :class:`ClaimsError`: there is no file, something in one is
            wrong, or two claims have one name.
    """
    paths = sorted(folder.glob("*.yml"))
    if not paths:
        raise ClaimsError(
            "no file of claims here", where=str(folder), remedy="name a folder with *.yml files"
        )
    papers: list[Paper] = []
    before: dict[str, str] = {}
    for path in paths:
        source = parse(read_text(path))
        paper, problems = validated(Paper, source)
        if paper is not None:
            problems = tuple(_wrong(paper, source, known, before, path))
        if paper is None or problems:
            raise refusal(problems, legible(str(path)), ClaimsError, _CONSEQUENCE)
        papers.append(paper)
    return tuple(papers)


def _wrong(
    paper: Paper, source: Source, known: Known, before: dict[str, str], path: Path
) -> Iterator[Problem]:
    """What is wrong beyond the model; `before` has the claims of earlier files and gets this one's."""
    for at, claim in enumerate(paper.claims):
        line = source.line(("claims", at))
        here = f"{legible(str(path))}:{line}"
        found = [*_unknown(claim, known)]
        found += _unset(paper, claim)
        if claim.id in before:
            found.append((f"there is a claim {claim.id!r} already, at {before[claim.id]}", "rename one"))
        before.setdefault(claim.id, here)
        for text, hint in found:
            yield Problem(line=line, path=f"claims[{at}]", text=text, hint=hint)
    for name in dict.fromkeys((*paper.runs.smoke, *paper.runs.full)):
        if name not in known.campaigns:
            text, hint = _not("ready-made campaign", name, known.campaigns)
            yield Problem(line=source.line(("runs",)), path="runs", text=text, hint=hint)


def _unset(paper: Paper, claim: Claim) -> list[tuple[str, str]]:
    """What is wrong with the claim that must be set for this one: it is of the same file, and `given`."""
    name = None if claim.experiment is None else claim.experiment.where_set
    given = [one.id for one in paper.claims if one.experiment is not None and one.experiment.given]
    return [] if name is None or name in given else [_not("claim that is given", name, given)]


def _unknown(claim: Claim, known: Known) -> Iterator[tuple[str, str]]:
    if claim.check is not None and claim.check not in CHECKS:
        yield _not("check", claim.check, CHECKS)
    if claim.experiment is not None:
        yield from _of_experiment(claim.experiment, known)


def _of_experiment(experiment: Experiment, known: Known) -> Iterator[tuple[str, str]]:
    for name in experiment.campaigns:
        if name not in known.campaigns:
            yield _not("ready-made campaign", name, known.campaigns)
    if experiment.metric not in known.metrics:
        yield _not("metric", experiment.metric, known.metrics)
    others: Sequence[str] = () if experiment.relation is None else (experiment.relation.to,)
    for name in (*experiment.workloads, *others):
        if name not in known.workloads:
            yield _not("workload", name, known.workloads)


def _not(kind: str, name: str, known: Collection[str]) -> tuple[str, str]:
    return f"there is no {kind} {name!r}", nearest(name, known) or f"one of {', '.join(sorted(known))}"


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a file of claims, for editors."""
    return file_schema(Paper)
