"""The verdict of every claim, from the tables of stored runs.

A claim is judged by one run: of the first of its campaigns of which there is a run that counts, the newest.
Only valid attempts count, and no control trial. Whatever is missing is *not tested* with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from harness.analysis.claims.checks import CHECKS, Tables
from harness.analysis.claims.model import Claim, Experiment
from harness.analysis.claims.rule import Judged, Trials, Verdict, judge, worst


@dataclass(frozen=True, kw_only=True)
class Run:
    """A stored run as far as claims need it.

    Attributes:
        campaign: The campaign's name.
        name: The run's name, which begins with the time when it began.
        rig: ``lab``, ``pair`` or ``played``.
        accelerator: ``kvm`` or ``tcg``.
        table: Its table of metrics.
        seconds: How long it took, or None where that is not known.
        stored_bytes: What its evidence takes on disk, unpacked.
        signature: What is known of its signature, in words.
    """

    campaign: str
    name: str
    rig: str
    accelerator: str
    table: pd.DataFrame
    seconds: float | None
    stored_bytes: int
    signature: str


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A claim's verdict.

    Attributes:
        claim: The claim.
        verdict: Its verdict.
        why: The reason, a sentence for each workload.
        run: The run by which it was judged, if any.
        parts: What each workload shows, by its name.
        found: What a check found; empty otherwise.
        stand_ins: Load generators that stood in for the paper's, in words.
    """

    claim: Claim
    verdict: Verdict
    why: str
    run: Run | None = None
    parts: Mapping[str, Judged]
    found: str = ""
    stand_ins: str = ""


def of_claims(
    claims: Sequence[Claim],
    runs: Sequence[Run],
    tables: Tables,
    signed: Mapping[str, bool],
    conditions: Sequence[Claim] = (),
) -> list[Judgement]:
    """The judgement of each claim, in order.

    Args:
        claims: The claims.
        runs: Every stored run there is.
        tables: The papers' tables.
        signed: Of each metric, whether it can be negative.
        conditions: Further claims, on which those of `claims` may depend.
    """
    known = {one.id: _of(one, runs, tables, signed) for one in (*claims, *conditions)}
    return [_where_set(known[claim.id], known) for claim in claims]


def _where_set(one: Judgement, known: Mapping[str, Judgement]) -> Judgement:
    """The judgement; inconclusive where it was judged and what had to be set for it was not."""
    name = None if one.claim.experiment is None else one.claim.experiment.where_set
    if name is None or one.verdict is Verdict.NOT_TESTED or known[name].verdict is Verdict.SET:
        return one
    why = f"{name} is {known[name].verdict}, without which this shows nothing; {one.why}"
    return replace(one, verdict=Verdict.INCONCLUSIVE, why=why)


def _of(claim: Claim, runs: Sequence[Run], tables: Tables, signed: Mapping[str, bool]) -> Judgement:
    if claim.check is not None:
        checked = CHECKS[claim.check](tables)
        verdict = Verdict.REPRODUCED if checked.holds else Verdict.NOT_REPRODUCED
        return Judgement(
            claim=claim, verdict=verdict, why="a check that needs no machine", parts={}, found=checked.found
        )
    if claim.experiment is None:
        return Judgement(claim=claim, verdict=Verdict.NOT_TESTED, why=claim.not_tested or "", parts={})
    run, missing = _chosen(claim.experiment, runs)
    if run is None:
        return Judgement(claim=claim, verdict=Verdict.NOT_TESTED, why=missing, parts={})
    return _by_run(claim, claim.experiment, run, signed=signed.get(claim.experiment.metric, False))


def _chosen(experiment: Experiment, runs: Sequence[Run]) -> tuple[Run | None, str]:
    """The run that counts, or why there is none."""
    unfit: list[str] = []
    for campaign in experiment.campaigns:
        mine = sorted((run for run in runs if run.campaign == campaign), key=lambda run: run.name)
        fit = [run for run in mine if _counts(run, experiment)]
        if fit:
            return fit[-1], ""
        unfit += [f"{campaign}/{run.name} is of a rig of kind {run.rig}" for run in mine]
    if unfit:
        wanted = f"a rig of kind {experiment.rig}" if experiment.rig else "a rig that is real"
        return None, f"the claim needs {wanted}: {'; '.join(unfit)}"
    return None, f"there is no run of {' or '.join(experiment.campaigns)}"


def _counts(run: Run, experiment: Experiment) -> bool:
    return run.rig in ({"lab", "pair"} if experiment.rig is None else {experiment.rig})


def _by_run(claim: Claim, experiment: Experiment, run: Run, *, signed: bool) -> Judgement:
    rows = _counting(run.table, experiment)
    other = [] if experiment.relation is None else _trials(rows, experiment.relation.to)
    samples = {name: _trials(rows, name) for name in experiment.workloads}
    parts = {name: judge(experiment, mine, other, signed=signed) for name, mine in samples.items() if mine}
    verdicts = [part.verdict for part in parts.values()]
    reasons = [f"{name}: {part.why}" for name, part in parts.items()]
    absent = [name for name in samples if name not in parts]
    if absent:
        verdicts.append(Verdict.NOT_TESTED)
        reasons.append(f"no value of {experiment.metric} for {', '.join(absent)}")
    return Judgement(
        claim=claim,
        verdict=worst(verdicts),
        why="; ".join(_alike(reasons, parts)),
        run=run,
        parts=parts,
        stand_ins=_stand_ins(rows, experiment),
    )


def _alike(reasons: list[str], parts: Mapping[str, Judged]) -> list[str]:
    """One workload needs no name, and a reason that all share is said once."""
    same = {part.why for part in parts.values()}
    if len(same) == 1 and len(reasons) == len(parts):
        return [*same]
    return reasons


def _counting(table: pd.DataFrame, experiment: Experiment) -> pd.DataFrame:
    """The rows that count: valid, of the metric and variant, with a value."""
    rows = table[
        (table["verdict"] == "valid")
        & (table["kind"] == "migrations")
        & (table["metric"] == experiment.metric)
        & table["value"].notna()
    ]
    if "variant" in rows.columns:  # without a variant a claim is not about a run that has them
        return rows[rows["variant"] == experiment.variant] if experiment.variant else rows.iloc[:0]
    return rows.iloc[:0] if experiment.variant else rows


def _trials(rows: pd.DataFrame, workload: str) -> Trials:
    mine = rows[rows["workload"] == workload]
    return [[float(value) for value in one] for _, one in mine.groupby("trial", sort=False)["value"]]


def _stand_ins(rows: pd.DataFrame, experiment: Experiment) -> str:
    mine = rows[rows["workload"].isin(experiment.workloads) & rows["substitutes"].fillna("").ne("")]
    pairs = mine[["workload", "generator", "substitutes"]].drop_duplicates()
    return "; ".join(
        f"{workload} was loaded by {generator} in place of {paper}"
        for workload, generator, paper in pairs.itertuples(index=False)
    )
