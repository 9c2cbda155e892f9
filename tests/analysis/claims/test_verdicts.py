"""From tables of runs to verdicts: which run counts, what is missing, and that the evidence decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd
import pytest

from harness import resources
from harness.analysis.claims import verdicts
from harness.analysis.claims.checks import CHECKS, Tables
from harness.analysis.claims.model import Claim, Expected, Experiment
from harness.analysis.claims.rule import Verdict
from harness.analysis.claims.verdicts import Judgement, Run
from harness.policy import capability_file

VALUE_S = 10.0


def claim(**changes: object) -> Claim:
    stated: dict[str, object] = {
        "campaigns": ("paper", "paper-short"),
        "metric": "total_time",
        "workloads": ("app",),
        "expected": Expected(value=VALUE_S, tolerance=0.15),
    }
    return Claim(
        id="app",
        says="It takes 10 s.",
        place="Table V",
        experiment=Experiment.model_validate({**stated, **changes}),
    )


def run(
    value_s: float = VALUE_S,
    *,
    trials: int = 6,
    name: str = "20260101T000000Z-aaaaaa",
    columns: Mapping[str, object] | None = None,
) -> Run:
    rows = [
        {
            "trial": f"{at:03}-app",
            "verdict": "valid",
            "kind": "migrations",
            "workload": "app",
            "metric": "total_time",
            "value": value_s * (1 + 0.002 * at),
            "generator": "locust 2.47.0",
            "substitutes": "Faban",
            **(columns or {}),
        }
        for at in range(trials)
    ]
    return Run(
        campaign="paper",
        name=name,
        rig="lab",
        accelerator="tcg",
        table=pd.DataFrame(rows),
        seconds=60.0,
        stored_bytes=1,
        signature="",
    )


def tables() -> Tables:
    text = (resources.reference() / "table2_requests.csv").read_text(encoding="utf-8")
    return Tables(requests=text, capabilities=capability_file.load_table())


def judged(one: Claim, *runs: Run) -> Judgement:
    (found,) = verdicts.of_claims([one], runs, tables(), {})
    return found


@pytest.mark.parametrize("factor", [0.8, 1.2])
def test_evidence_changed_by_a_fifth_flips_the_verdict(factor: float) -> None:
    assert judged(claim(), run()).verdict is Verdict.REPRODUCED
    assert judged(claim(), run(VALUE_S * factor)).verdict is Verdict.NOT_REPRODUCED


def test_a_claim_without_a_run_is_not_tested() -> None:
    found = judged(claim())
    assert (found.verdict, found.why) == (Verdict.NOT_TESTED, "there is no run of paper or paper-short")


@pytest.mark.parametrize(("rig", "wanted"), [("played", None), ("lab", "pair"), ("unknown", None)])
def test_evidence_of_another_rig_does_not_count(rig: str, wanted: str | None) -> None:
    found = judged(claim(rig=wanted), replace(run(), rig=rig))
    assert found.verdict is Verdict.NOT_TESTED
    assert f"paper/20260101T000000Z-aaaaaa is of a rig of kind {rig}" in found.why


def test_the_first_campaign_with_a_run_counts_and_of_it_the_newest() -> None:
    old, new = run(5.0), run(name="20260301T000000Z-bbbbbb")
    other = replace(run(5.0, name="20260401T000000Z-cccccc"), campaign="paper-short")
    found = judged(claim(), new, other, old)
    assert found.run is new
    assert found.verdict is Verdict.REPRODUCED
    assert judged(claim(), other).run is other


@pytest.mark.parametrize(
    "columns", [{"verdict": "invalid"}, {"kind": "control"}, {"metric": "blackout"}, {"value": None}]
)
def test_rows_that_do_not_count_are_no_evidence(columns: dict[str, object]) -> None:
    found = judged(claim(), run(columns=columns))
    assert (found.verdict, found.why) == (Verdict.NOT_TESTED, "no value of total_time for app")


def test_a_run_with_variants_counts_for_the_variant_that_is_named() -> None:
    varied = run(columns={"variant": "post-copy"})
    assert judged(claim(), varied).verdict is Verdict.NOT_TESTED
    assert judged(claim(variant="post-copy"), varied).verdict is Verdict.REPRODUCED
    assert judged(claim(variant="post-copy"), run()).verdict is Verdict.NOT_TESTED


def test_a_workload_without_values_keeps_the_claim_from_holding() -> None:
    found = judged(claim(workloads=("app", "web")), run())
    assert found.verdict is Verdict.NOT_TESTED
    assert "no value of total_time for web" in found.why


def test_a_stand_in_is_named() -> None:
    assert judged(claim(), run()).stand_ins == "app was loaded by locust 2.47.0 in place of Faban"


@pytest.mark.parametrize("name", CHECKS)
def test_the_checks_hold(name: str) -> None:
    assert CHECKS[name](tables()).holds


def test_a_changed_table_fails_its_checks() -> None:
    good = tables()
    altered = replace(good, requests=good.requests.replace("VM-A,no", "VM-A,yes"))
    found = CHECKS["request-matrix"](altered)
    assert (found.holds, found.found) == (False, "does not hold: VM-A same_app_c")
    emptied = replace(good, capabilities={})
    assert not CHECKS["requests-served"](emptied).holds
    assert not CHECKS["output-control"](emptied).holds


def test_a_claim_shows_nothing_where_what_it_needs_was_not_set() -> None:
    given = claim(given=True).model_copy(update={"id": "given"})
    one = claim(where_set="given")
    found = verdicts.of_claims([one], [run()], tables(), {}, [given])
    assert [judgement.verdict for judgement in found] == [Verdict.REPRODUCED]
    missed = claim(given=True, expected=Expected(value=2 * VALUE_S, tolerance=0.1))
    missed = missed.model_copy(update={"id": "given"})
    (left,) = verdicts.of_claims([one], [run()], tables(), {}, [missed])
    assert left.verdict is Verdict.INCONCLUSIVE
    assert left.why.startswith("given is inconclusive, without which this shows nothing")
    (absent,) = verdicts.of_claims([one], [], tables(), {}, [given])
    assert absent.verdict is Verdict.NOT_TESTED
