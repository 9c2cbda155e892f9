"""The metrics of a response, from events with known answers; whatever lacks is null with its reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis import table as results
from harness.evidence.attempt import Attempt
from harness.evidence.clocks import Clocks
from harness.evidence.folder import RunFolder
from harness.evidence.journal import Event
from harness.evidence.metric import Value
from harness.response.measures import metrics
from harness.response.measures import table as response_table
from harness.response.measures.evidence import Response, responses
from tests.migration.runs import ONE, SMALL, reason, row, value
from tests.synthetic.evidence import write_journal
from tests.synthetic.responses import STAGES_MS, Responded, ResponseTruth, build, journal
from tests.synthetic.truths import MigrationTruth, Truths

PLAIN = ResponseTruth()
NAMES = [metric.name for metric in metrics.METRICS]


def truths(*migrations: MigrationTruth) -> Truths:
    return replace(SMALL, attempts=(replace(SMALL.attempts[0], migrations=migrations),))


def responded(*found: ResponseTruth, scenario: str | None = "violation", launched: bool = True) -> Responded:
    return Responded(scenarios=(scenario,), responses=(found,), launched=launched)


def made(
    path: Path, truth: ResponseTruth = PLAIN, *, scenario: str | None = "violation", move: bool = True
) -> RunFolder:
    return build(path, truths(ONE) if move else truths(), responded(truth, scenario=scenario))


def only(run: RunFolder) -> pd.Series[str]:
    """The one response of the run."""
    table = results.responses(run)
    assert len(table) == 1
    return table.iloc[0]


def missing(one: pd.Series[str]) -> Mapping[str, str]:
    found: dict[str, str] = {} if pd.isna(one["missing"]) else json.loads(one["missing"])
    return found


def attempt_from(events: list[Event]) -> Attempt:
    """The attempt of these events, without a folder."""
    own = tuple(event for event in events if event.trial is not None)
    (finish,) = [event for event in own if event.kind == "attempt.finished"]
    clocks = Clocks.of(events, finish)
    return Attempt(trial=str(finish.trial), attempt=1, events=own, clocks=clocks)


def readings(response: Response) -> dict[str, Value]:
    return {metric.name: metrics.measure(metric, response) for metric in metrics.EVERY}


def test_every_span_is_the_injected_one(tmp_path: Path) -> None:
    table = results.compute(made(tmp_path))
    spans = {name: value(table, name) for name in NAMES}
    total, command = ONE.total_s, ONE.command_s
    assert spans == pytest.approx(
        {
            "response_detect": 0.6,
            "response_appraise": 0.005,
            "response_decide": 0.030,
            "response_trigger": 0.003 + 0.009,
            "response_migrate": total - 0.009,
            "response_verify": command - total + 0.060,
            "trigger_delay": 0.042,
            "response_overhead": 0.033 + 0.060 - 0.004 - 0.009,
            "reaction_time": 0.6 + 0.005 + 0.030 + 0.003 + total,
        },
        abs=2e-6,
    )


def test_the_provocations_width_is_detects_uncertainty(tmp_path: Path) -> None:
    table = results.compute(made(tmp_path, replace(PLAIN, width_s=0.25)))
    assert row(table, "response_detect")["uncertainty"] == pytest.approx(0.25)
    resume = row(table, "response_migrate")["uncertainty"]
    assert row(table, "reaction_time")["uncertainty"] == pytest.approx(0.25 + resume)
    assert row(table, "response_decide")["uncertainty"] == 0


def test_spans_that_the_clocks_cannot_tell_are_not_measured(tmp_path: Path) -> None:
    """A host's clock that is known within ten seconds says of none of these when the guest resumed."""
    loose = {name: replace(clock, uncertainty_ns=10**10) for name, clock in SMALL.clocks.items()}
    table = results.compute(
        build(tmp_path, replace(truths(ONE), clocks=loose), responded(PLAIN, scenario="violation"))
    )
    for name in ("response_migrate", "response_verify", "reaction_time"):
        assert "cannot tell" in reason(table, name)
    assert value(table, "response_decide") == pytest.approx(0.030)


def test_only_trials_that_demonstrate_a_response_have_these_rows(tmp_path: Path) -> None:
    plain = made(tmp_path / "plain", scenario=None)
    known = {*NAMES, *(metric.name for metric in metrics.LAUNCH)}
    assert not known & set(results.compute(plain)["metric"])
    with_it = results.compute(made(tmp_path / "with"))
    assert known <= set(with_it["metric"])
    assert len(with_it) == len(results.compute(plain)) + len(known)


@pytest.mark.parametrize(
    ("lost", "unknown"),
    [
        ("provoked", {"response_detect", "reaction_time"}),
        ("detected", {"response_detect", "response_appraise", "response_decide", "trigger_delay"}),
        ("decided", {"response_decide", "response_trigger"}),
        ("accepted", {"response_trigger", "response_migrate", "trigger_delay"}),
        ("arrived", {"response_verify", "response_overhead"}),
    ],
)
def test_a_lost_event_is_a_null_with_the_reason(lost: str, unknown: set[str], tmp_path: Path) -> None:
    run = made(tmp_path, replace(PLAIN, leave_out=frozenset({lost})))
    table = results.compute(run)
    empty = {name for name in NAMES if pd.isna(row(table, name)["value"])}
    assert unknown <= empty
    for name in unknown:
        assert f"no response.{lost} of this response" in reason(table, name)
    assert unknown <= missing(only(run)).keys()


def test_what_the_lost_event_does_not_touch_stays(tmp_path: Path) -> None:
    table = results.compute(made(tmp_path, replace(PLAIN, leave_out=frozenset({"accepted"}))))
    kept = {name for name in NAMES if pd.notna(row(table, name)["value"])}
    assert kept == {
        "response_detect", "response_appraise", "response_decide", "response_verify", "response_overhead",
        "reaction_time",
    }  # fmt: skip


def test_a_stamp_that_is_null_is_no_number(tmp_path: Path) -> None:
    run = made(tmp_path)
    events = journal(truths(ONE), responded(PLAIN))
    write_journal(run, [
        replace(event, data={**event.data, "evidence_ns": None})
        if event.kind == "response.detected" else event
        for event in events
    ])  # fmt: skip
    table = results.compute(run)
    assert reason(table, "response_appraise") == "response.detected has no evidence_ns"
    assert value(table, "response_decide") == pytest.approx(0.030)


def test_moving_target_has_no_detection_and_no_reaction(tmp_path: Path) -> None:
    run = made(tmp_path, scenario="moving-target")
    table = results.compute(run)
    for name in ("response_detect", "reaction_time"):
        assert reason(table, name) == "moving-target defence answers to nothing that happened"
    assert value(table, "trigger_delay") == pytest.approx(0.042)
    one = only(run)
    assert missing(one) == {}
    assert one["t_s"] == pytest.approx(1.0 + 0.003 - 0.003 - 0.030)


@pytest.mark.parametrize(
    ("action", "state"), [("hold", "held"), ("suspend", "suspended"), ("shut-down", "shut-down")]
)
def test_a_response_that_moves_nothing_has_a_reaction_time_too(
    action: str, state: str, tmp_path: Path
) -> None:
    run = made(tmp_path, replace(PLAIN, action=action, act_s=1.5), move=False)
    one = only(run)
    assert (one["action"], one["state"], one["source"]) == (action, state, "a")
    assert one["response_act"] == pytest.approx(1.5)
    assert one["reaction_time"] == pytest.approx(0.6 + 0.005 + 0.030 + 1.5)
    assert one["reaction_uncertainty"] == pytest.approx(0.002)
    absent = ["response_trigger", "response_migrate", "response_verify", "trigger_delay", "response_overhead"]
    assert one[[*absent, "total_time", "destination"]].isna().all()
    assert missing(one) == {}
    assert not set(NAMES) & set(results.compute(run)["metric"])


def test_an_action_that_failed_was_not_carried_out(tmp_path: Path) -> None:
    truth = replace(PLAIN, action="suspend", error="the domain is gone", state="failed")
    one = only(made(tmp_path, truth, move=False))
    assert pd.isna(one["reaction_time"])
    assert missing(one)["response_act"] == "suspend failed: the domain is gone"
    assert (one["state"], one["why"]) == ("failed", "the domain is gone")


def test_a_missed_response_is_a_row_without_times(tmp_path: Path) -> None:
    one = only(made(tmp_path, replace(PLAIN, missed="nothing within 60 s"), move=False))
    assert (one["state"], one["why"]) == (response_table.MISSED, "nothing within 60 s")
    assert one["provoked"] == "memory-violation on a"
    assert one[[metric.name for metric in metrics.EVERY]].isna().all()
    assert missing(one)["reaction_time"] == "nothing followed: nothing within 60 s"


def test_a_failed_migration_leaves_the_loops_own_spans(tmp_path: Path) -> None:
    failed = replace(ONE, ok=False, error="the link broke")
    run = build(tmp_path, truths(failed), responded(replace(PLAIN, state="failed")))
    assert reason(results.compute(run), "response_detect") == "failed: the link broke"
    one = only(run)
    assert one["trigger_delay"] == pytest.approx(0.042)
    assert missing(one)["reaction_time"] == "the migration failed: the link broke"
    assert one["state"] == "failed"


def test_a_destination_that_was_not_quoted_anew_costs_no_quote(tmp_path: Path) -> None:
    one = only(made(tmp_path, replace(PLAIN, quotes_s=(None, 0.009))))
    assert one["response_overhead"] == pytest.approx(0.033 + 0.060 - 0.009)
    assert one["quotes_s"] == pytest.approx(0.009)
    assert pd.isna(one["requote_tier"])


def test_a_second_decision_is_the_one_that_counts(tmp_path: Path) -> None:
    run = made(tmp_path)
    events = journal(truths(ONE), responded(PLAIN))
    (decided,) = [event for event in events if event.kind == "response.decided"]
    earlier = replace(decided, t_ns=decided.t_ns - 20_000_000, data={**decided.data, "destination": "c"})
    write_journal(run, sorted([*events, earlier], key=lambda event: event.t_ns))
    one = only(run)
    assert one["destination"] == "b"
    assert one["response_decide"] == pytest.approx(0.030)


def test_what_a_response_said_is_in_its_row(tmp_path: Path) -> None:
    one = only(made(tmp_path, replace(PLAIN, refused={"c": "its architecture keeps no hypervisor_c"})))
    assert (one["cause"], one["server"], one["monitor"]) == ("violation", "a", "hyperwall")
    assert bool(one["simulated"]) is True
    assert json.loads(one["candidates"]) == ["b"]
    assert json.loads(one["refused"])["c"] == "its architecture keeps no hypervisor_c"
    assert (one["requote_tier"], one["arrival_tier"], bool(one["same_key"])) == (
        "affirming",
        "affirming",
        True,
    )
    assert one["total_time"] == pytest.approx(ONE.total_s, abs=2e-6)
    assert one["blackout"] == pytest.approx(ONE.blackout_s, abs=2e-6)
    assert one["requote_s"] == pytest.approx(0.018)


def test_the_launch_is_told_stage_by_stage(tmp_path: Path) -> None:
    table = results.compute(made(tmp_path))
    for name, took_ms in STAGES_MS.items():
        assert value(table, f"launch_{name}", migration=None) == pytest.approx(took_ms / 1e3)
    assert value(table, "launch_time", migration=None) == pytest.approx(sum(STAGES_MS.values()) / 1e3)


def test_each_of_several_guests_has_its_own_launch(tmp_path: Path) -> None:
    run = made(tmp_path)
    events = []
    for event in journal(truths(ONE), responded(PLAIN)):
        if event.kind not in {"guest.started", "response.launched"}:
            events.append(event)
            continue
        for guest, start_ns in {"first": 5, "second": 7}.items():
            told = {**event.data, "guest": guest}
            events.append(
                replace(event, data={**told, "stages_ns": {"start": start_ns}} if "vm" in told else told)
            )
    write_journal(run, [replace(event, seq=number) for number, event in enumerate(events, start=1)])
    table = results.compute(run)
    starts = table[table["metric"].eq("launch_start")]
    assert dict(zip(starts["guest"], starts["value"], strict=True)) == pytest.approx(
        {"first": 5e-9, "second": 7e-9}
    )
    assert "guest" not in results.compute(made(tmp_path / "one")).columns


def test_a_launch_that_nobody_timed_is_null(tmp_path: Path) -> None:
    table = results.compute(build(tmp_path, truths(ONE), responded(PLAIN, launched=False)))
    assert "no response.launched" in reason(table, "launch_time", migration=None)
    assert "no response.launched" in reason(table, "launch_attest", migration=None)


def test_a_stage_that_lacks_is_null_and_so_is_the_whole(tmp_path: Path) -> None:
    run = made(tmp_path)
    events = journal(truths(ONE), responded(PLAIN))
    write_journal(run, [
        replace(event, data={**event.data, "stages_ns": {"start": 5, "attest": None}})
        if event.kind == "response.launched" else event
        for event in events
    ])  # fmt: skip
    table = results.compute(run)
    assert value(table, "launch_start", migration=None) == pytest.approx(5e-9)
    assert reason(table, "launch_attest", migration=None) == "the deployment's stage attest was not recorded"
    assert "was not recorded" in reason(table, "launch_time", migration=None)


def test_an_observer_that_failed_makes_its_numbers_null(tmp_path: Path) -> None:
    failed = replace(truths(ONE).attempts[0], failures=(("qmp", 0.5, "the socket closed"),))
    run = build(tmp_path, replace(SMALL, attempts=(failed,)), responded(PLAIN))
    one = only(run)
    assert missing(one)["response_migrate"] == "the observer qmp failed: the socket closed"
    assert one["trigger_delay"] == pytest.approx(0.042)


def test_the_table_is_stored_with_the_metrics_and_the_same_twice(tmp_path: Path) -> None:
    run = made(tmp_path / "with")
    files = [run.root / f"responses.{suffix}" for suffix in ("parquet", "csv")]
    results.write(run)
    first = [path.read_bytes() for path in files]
    results.write(run)
    assert [path.read_bytes() for path in files] == first
    assert list(pd.read_csv(files[1]).columns) == list(response_table.COLUMNS)
    without = made(tmp_path / "without", scenario=None)
    write_journal(without, [
        event for event in journal(truths(ONE), responded(scenario=None))
        if not event.kind.startswith("response.")
    ])  # fmt: skip
    results.write(without)
    assert not (without.root / "responses.csv").exists()


def test_an_attempt_that_was_not_finished_has_no_responses(tmp_path: Path) -> None:
    unfinished = replace(truths(ONE).attempts[0], finished=False)
    run = build(tmp_path, replace(SMALL, attempts=(unfinished,)), responded(PLAIN))
    assert results.responses(run).empty


spans_s = st.integers(min_value=0, max_value=900_000_000).map(lambda span_ns: span_ns / 1e9)


@given(
    detect=spans_s, appraise=spans_s, decide=spans_s, lead=spans_s, accept=spans_s, after=spans_s,
    total=st.integers(min_value=1_000_000_000, max_value=5_000_000_000),
)  # fmt: skip
def test_spans_are_contiguous_and_sum_to_reaction_and_verification(
    detect: float, appraise: float, decide: float, lead: float, accept: float, after: float, total: int
) -> None:
    truth = replace(
        PLAIN, detect_s=detect, appraise_s=appraise, decide_s=decide, lead_s=lead, accept_s=accept,
        after_s=after,
    )  # fmt: skip
    move = replace(ONE, planned_s=4.0, total_s=total / 1e9, command_s=total / 1e9 + 0.05)
    (response,) = responses(attempt_from(journal(truths(move), responded(truth))))
    found = {name: reading.value for name, reading in readings(response).items()}
    spans = [found[metric.name] for metric in metrics.SPANS if metric.name != "response_act"]
    assert None not in spans and found["response_act"] is None
    known = [span for span in spans if span is not None]
    whole = (found["reaction_time"] or 0.0) + (found["response_verify"] or 0.0)
    assert sum(known) == pytest.approx(whole, abs=1e-8)
    assert sum(known[2:4]) == pytest.approx(found["trigger_delay"], abs=1e-9)
    assert min(known[:4]) >= 0


@given(detect=spans_s, appraise=spans_s, decide=spans_s, act=spans_s)
def test_spans_of_a_response_that_moves_nothing_sum_to_its_reaction(
    detect: float, appraise: float, decide: float, act: float
) -> None:
    truth = replace(
        PLAIN, action="suspend", at_s=5.0, detect_s=detect, appraise_s=appraise, decide_s=decide, act_s=act
    )
    (response,) = responses(attempt_from(journal(truths(), responded(truth))))
    found = readings(response)
    spans = [found[name].value for name in (
        "response_detect", "response_appraise", "response_decide", "response_act",
    )]  # fmt: skip
    known = [span for span in spans if span is not None]
    assert len(known) == 4
    assert sum(known) == pytest.approx(found["reaction_time"].value, abs=1e-9)
    assert not found["response_migrate"].applicable


@given(lost=st.sets(st.sampled_from(["provoked", "detected", "decided", "accepted", "arrived", "closed"])))
def test_whatever_lacks_every_null_has_a_reason_and_nothing_is_raised(lost: set[str]) -> None:
    truth = replace(PLAIN, leave_out=frozenset(lost))
    for response in responses(attempt_from(journal(truths(ONE), responded(truth)))):
        for name, reading in readings(response).items():
            assert (reading.value is None) == (reading.reason is not None), name
