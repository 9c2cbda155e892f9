"""The report on responses: its numbers are those that went in, and nothing that went wrong is in a median."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.evidence.folder import RunFolder
from harness.report import compose, material
from harness.report.document import render
from harness.report.document.model import MISSING, Document, Figure, Section, Table
from harness.report.material import Material
from harness.report.migration import answers, moves
from harness.report.response import figure as response_figure
from harness.report.response import listing
from harness.report.response import rows as response_rows
from harness.report.response import section as response
from harness.report.response import tables as response_tables
from harness.report.response.rows import Group
from tests.report import page, unpainted
from tests.report.test_attestation import answers as sentences
from tests.report.test_attestation import named, rows, said, table_of, words
from tests.synthetic import evidence
from tests.synthetic.responses import Responded, ResponseTruth, build
from tests.synthetic.truths import AttemptTruth, MigrationTruth, Truths

MOVES = tuple(MigrationTruth(planned_s=at_s) for at_s in (4.0, 12.0, 20.0))
FAILED = (*MOVES[:2], replace(MOVES[2], ok=False, error="the link broke"))
SHORT = tuple(
    ResponseTruth(detect_s=0.5 + 0.1 * n, decide_s=0.030 + 0.004 * n, accept_s=0.009) for n in range(3)
)
REFUSED = tuple(
    replace(one, detect_s=0.02, refused={"c": "its architecture lacks hypervisor_c"}) for one in SHORT
)
TRUTHS = Truths(
    campaign="respond",
    baseline_s=6.0,
    window_s=30.0,
    heartbeat_hz=20.0,
    attempts=(
        AttemptTruth(workload="idle", migrations=MOVES),
        AttemptTruth(workload="idle", migrations=MOVES),
        AttemptTruth(
            workload="file", migrations=FAILED, generator="locust", version="2.43.1", substitutes="dbench"
        ),
        AttemptTruth(workload="idle", migrations=MOVES[:2]),
        AttemptTruth(workload="idle", migrations=()),
        AttemptTruth(workload="idle", migrations=MOVES, verdict="invalid", reasons=("the load died",)),
        AttemptTruth(workload="idle", kind="control", migrations=(), points_s=(4.0, 12.0, 20.0)),
    ),
)
RESPONDED = Responded(
    scenarios=("violation", "request", "violation", "moving-target", "suspend", "violation", None),
    responses=(
        SHORT,
        REFUSED,
        (
            *SHORT[:2], replace(SHORT[2], state="failed"),
            replace(SHORT[2], missed="nothing in 60 s", at_s=28.0),
        ),
        SHORT[:2],
        (replace(SHORT[0], action="suspend", act_s=0.25),),
        tuple(replace(one, detect_s=30.0) for one in SHORT),
        (),
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return build(
        tmp_path_factory.mktemp("results") / "respond" / "20260921T141320Z-ab12cd", TRUTHS, RESPONDED
    )


@pytest.fixture(scope="module")
def seen(run: RunFolder) -> Material:
    return material.read(run)


@pytest.fixture(scope="module")
def whole(seen: Material) -> Document:
    with unpainted.figures(but="response"):
        return compose.document(seen)


@pytest.fixture(scope="module")
def section(whole: Document) -> Section:
    return named(whole, "response")


@pytest.fixture(scope="module")
def groups(seen: Material) -> list[Group]:
    return response_rows.groups(seen.responses, seen.workloads)


def test_only_a_run_with_responses_has_the_section(section: Section, tmp_path: Path) -> None:
    assert section.title == "What it costs to respond"
    plain = compose.document(material.read(evidence.build(tmp_path / "run", Truths(attempts=()))))
    assert "response" not in [one.key for one in plain.sections]
    assert not [figure for figure in plain.figures if figure.key.startswith("response")]
    assert answers.together(material.read(evidence.build(tmp_path / "other", TRUTHS))) == ""


def test_groups_keep_scenarios_workloads_and_actions_apart(groups: list[Group]) -> None:
    assert [(one.scenario, one.workload, one.action, one.n) for one in groups] == [
        ("violation", "file", "move", 2),
        ("violation", "idle", "move", 3),
        ("request", "idle", "move", 3),
        ("moving-target", "idle", "move", 2),
        ("suspend", "idle", "suspend", 1),
    ]


def test_each_scenario_has_its_sentence_beside_the_papers_delay(section: Section) -> None:
    found = sentences(section)
    assert list(found) == ["violation", "request", "moving target", "suspend"]
    reaction = 0.6 + 0.005 + 0.034 + 0.003 + 3.0
    assert (
        f"{reaction:.2f}\u00a0s (" in found["violation"]
        and "n\u00a0=\u00a03 in 1 trial) with idle" in found["violation"]
    )
    assert "n\u00a0=\u00a02 in 1 trial) with file*" in found["violation"]
    assert "46.0\u00a0ms (" in found["request"] and "n\u00a0=\u00a03 in 1 trial)" in found["request"]
    assert all("where the paper lost 2.33\u00a0s in OpenStack" in found[name] for name in list(found)[:3])
    assert "there is no reaction time" in found["moving target"]
    assert (
        "The guest was suspended after 785\u00a0ms (n\u00a0=\u00a01 in 1 trial) with idle" in found["suspend"]
    )


def test_what_is_simulated_is_said_wherever_it_appears(section: Section) -> None:
    assert ("warning", response_rows.SIMULATED) in said(section)
    assert "hardware is simulated" in sentences(section)["violation"]
    assert "simulated" not in sentences(section)["request"]
    (figure,) = [block for block in section.blocks if isinstance(block, Figure)]
    assert response_rows.SIMULATED in figure.caption
    for key in ("response-spans", "every-response"):
        assert response_rows.SIMULATED in table_of(section, key).caption
    assert table_of(section, "response-spans").rows[0][0].below == "simulated hardware"


def test_the_table_has_every_span_with_its_median(seen: Material, section: Section) -> None:
    table = table_of(section, "response-spans")
    found = rows(table)
    assert [row["Workload"] for row in found] == ["file*", "idle", "idle", "idle", "file", "idle"]
    assert [row["Scenario"] for row in found[:4]] == ["violation", "", "request", "moving-target"]
    idle = found[1]
    own = seen.responses[seen.responses["trial"].eq("001-idle")]
    for column, head, scale in (
        ("response_detect", "Before the verdict: detect, s", 1),
        ("response_appraise", "Before the verdict: appraise, ms", 1e3),
        ("response_decide", "Until the migration is accepted, ms: decide", 1e3),
        ("response_trigger", "Until the migration is accepted, ms: trigger", 1e3),
        ("trigger_delay", "Until the migration is accepted, ms: trigger delay", 1e3),
        ("total_time", "Migration: total time, s", 1),
        ("blackout", "Migration: blackout, ms", 1e3),
        ("response_verify", "Verify on arrival, ms", 1e3),
        ("response_overhead", "Overhead, ms", 1e3),
        ("reaction_time", "Reaction, s", 1),
    ):
        assert float(idle[head]) == pytest.approx(np.median(own[column]) * scale, rel=0.01), column
    assert (idle["Trials"], idle["n"]) == ("1", "3")
    below = {column.flat: cell.below for column, cell in zip(table.columns, table.rows[1], strict=True)}
    assert below["Reaction, s"] == ""
    assert "1 trial: no interval" in table.caption


def test_from_three_trials_on_there_is_an_interval(seen: Material) -> None:
    mine = seen.responses[seen.responses["scenario"].eq("violation") & seen.responses["workload"].eq("idle")]
    copies = [mine.assign(trial=f"copy-{n}", reaction_time=mine["reaction_time"] * n) for n in range(1, 4)]
    several = pd.concat([seen.responses, *copies])
    found = response_tables.spans(
        response_rows.groups(several, seen.workloads), seen.names, seen.paper, seen.workloads
    )
    row = found.rows[1]
    assert (row[2].text, row[3].text) == ("4", "12")
    low, high = row[-1].below.split("–")
    assert 0 < float(low) < 3.64 < float(high)
    assert "Student's t on the log scale" in found.caption


def test_the_papers_figures_stand_below(section: Section) -> None:
    *_, file, idle = rows(table_of(section, "response-spans"))
    assert file["Scenario"] == "the paper"
    assert file["Until the migration is accepted, ms: trigger delay"] == "2330"
    assert (idle["Migration: total time, s"], idle["Migration: blackout, ms"]) == ("2.60", "200")


def test_moving_target_has_dashes_with_the_reason(section: Section) -> None:
    table = table_of(section, "response-spans")
    (row,) = [row for row in table.rows if row[0].text == "moving-target"]
    assert [cell.text for cell in row].count(MISSING) == 2
    assert {cell.reason for cell in row if cell.text == MISSING} == {"nothing provokes it"}


def test_kinds_of_response_are_told_as_cloudmonatt_does(section: Section) -> None:
    found = rows(table_of(section, "response-reactions"))
    assert [(row["Response"], row["Workload"], row["n"]) for row in found] == [
        ("suspend", "idle", "1"), ("move", "file*", "2"), ("", "idle", "8"),
    ]  # fmt: skip
    assert found[0]["Until it is carried out, s: carry out"] == "0.250"
    assert found[0]["Reaction, s"] == "0.785"
    assert found[2]["Scenarios"] == "violation, request, moving-target"


def test_the_launch_is_shown_stage_by_stage(section: Section) -> None:
    found = rows(table_of(section, "response-launch"))
    assert [row["Stage"] for row in found] == ["validate", "start", "enrol", "attest", "place", "total"]
    assert {row["n"] for row in found} == {"5"}
    assert sum(float(row["Share, %"]) for row in found[:-1]) == pytest.approx(100, abs=0.3)
    assert float(found[1]["Median, s"]) == pytest.approx(31.2 * 1.04, rel=0.05)


def test_without_a_launch_there_is_no_such_table(seen: Material) -> None:
    bare = seen.metrics[~seen.metrics["metric"].str.startswith("launch_")]
    assert response_tables.launch(bare) is None


def test_every_response_is_listed_with_what_became_of_it(seen: Material, section: Section) -> None:
    table = table_of(section, "every-response")
    found = rows(table)
    assert len(found) == len(seen.responses) == 3 + 3 + 4 + 2 + 1 + 3
    failed, missed = found[8], found[9]
    assert (failed["Cause"], failed["End"], failed["Way"]) == ("violation", "failed", "a→b")
    assert (missed["Cause"], missed["End"], missed["Spans: reaction, s"]) == (MISSING, "missed", MISSING)
    assert table.rows[9][2].below == "memory-violation on a"
    reasons = {note.text for note in table.notes}
    assert {"nothing in 60 s", "nothing followed: nothing in 60 s"} <= reasons
    assert any("c: its architecture lacks hypervisor_c" in text for text in reasons)
    assert "the migration failed: the link broke" in reasons
    assert found[0]["Spans: detect, s"] == "0.500" and found[0]["On arrival"] == "affirming"


def test_missed_and_failed_ones_are_said_and_in_no_median(section: Section, seen: Material) -> None:
    text = "Of 16 responses missed, though something was provoked: 1, ended otherwise than decided: 1. They"
    assert any(text in words for _, words in said(section))
    assert len(response_rows.counted(seen.responses)) == 2 + 3 + 3 + 2 + 1


def test_invalid_attempts_are_listed_grey_and_in_no_median(section: Section, groups: list[Group]) -> None:
    table = table_of(section, "every-response")
    assert {cell.tone for cell in table.rows[-1] if cell.text} == {"quiet", "good"}
    assert max(value for group in groups for value in group.values("response_detect")) < 1


def test_where_all_ended_as_decided_that_is_said(seen: Material) -> None:
    good = seen.responses[seen.responses["state"].isin(["completed", "suspended"])]
    found = said(Section(key="", title="", blocks=listing.blocks(replace(seen, responses=good))))
    assert ("good", f"All {len(good)} responses ended as they were decided; none was missed.") in found


def test_an_end_that_was_not_recorded_is_no_good_end(seen: Material) -> None:
    table = seen.responses.copy()
    table.loc[0, ["state", "why"]] = pd.NA
    assert len(response_rows.counted(table)) == len(response_rows.counted(seen.responses)) - 1
    found = listing.blocks(replace(seen, responses=table))
    (listed,) = [block for block in found if isinstance(block, Table)]
    assert (listed.rows[0][-1].text, listed.rows[0][-1].tone) == ("not recorded", "bad")


def test_where_none_ended_as_decided_there_are_no_times(seen: Material) -> None:
    lost = replace(seen, responses=seen.responses.assign(state="failed"))
    found = response.section(lost, [])
    assert any("there are no times" in text for _, text in said(found))
    assert response.figure(lost) is None
    assert [block.key for block in found.blocks if isinstance(block, Table)] == [
        "response-launch", "every-response",
    ]  # fmt: skip


def test_the_waterfall_says_what_it_shows(whole: Document, groups: list[Group]) -> None:
    (figure,) = [one for one in whole.figures if one.key == response_figure.KEY]
    delays = [group.median("trigger_delay") or 0.0 for group in groups if group.action == "move"]
    assert f"{min(delays) * 1e3:.1f} to {max(delays) * 1e3:.1f}\u00a0ms after the verdict" in figure.title
    assert "where the paper lost 2.33\u00a0s" in figure.title
    drawn = words(figure)
    for text in (
        "violation, idle †", "violation, file* †", "request, idle", "moving-target, idle", "suspend, idle †",
        "detect", "decide", "trigger", "migrate", "guest stands still", "verify on arrival",
        "the paper begins to migrate: 2.33 s", "the whole response, s from the verdict",
        "the loop's own part, ms", "3.64\u00a0s  (n 3)", "46 ms", "locust 2.43.1 in place of dbench",
    ):  # fmt: skip
        assert text in drawn, text


def test_the_bars_are_the_medians_end_to_end(groups: list[Group]) -> None:
    group = groups[1]
    spans = {name: group.median(name) for name in response_figure.COLOURS}
    stretches = response_figure.stretches(spans)
    lengths = [right - left for left, right, _ in stretches]
    assert lengths == pytest.approx([spans[name] or 0.0 for name in response_figure.COLOURS])
    verdict = sum(spans[name] or 0.0 for name in response_figure.BEFORE)
    assert stretches[0][0] == pytest.approx(-verdict)
    assert all(one[1] == two[0] for one, two in pairwise(stretches))


def test_a_detection_that_was_quicker_than_certain_takes_no_room() -> None:
    spans = dict.fromkeys(response_figure.COLOURS, 0.1) | {"response_detect": -0.001}
    (left, right, _), *_ = response_figure.stretches(spans)
    assert left == right == pytest.approx(-0.1)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.0302, 0.0654], "30.2 to 65.4\u00a0ms"),
        ([0.0302, 2.5], "30.2\u00a0ms to 2.50\u00a0s"),
        ([2.5], "2.50\u00a0s"),
        ([1.25, 12.5], "1.25 to 12.50\u00a0s"),
    ],
)
def test_a_range_has_its_unit_once(values: list[float], text: str) -> None:
    assert response_figure.between(values) == text


def test_trials_are_named_with_their_scenario(whole: Document, seen: Material) -> None:
    assert [row[0].text for row in moves.table(seen).rows][:4] == [
        "001-idle·violation",
        "",
        "",
        "002-idle·request",
    ]
    assert "003-file*·violation" in [row[0].text for row in moves.table(seen).rows]
    text = render.text(whole, "md")
    assert "those of one workload are counted together, whatever triggered them (violation, request," in text
    assert "4 of them valid and with migrations" in text


def test_the_metrics_of_responses_are_defined(whole: Document) -> None:
    names = [row["Metric"] for row in rows(table_of(named(whole, "definitions"), "metric-definitions"))]
    assert {"trigger_delay", "reaction_time", "launch_attest"} <= set(names)


@pytest.mark.parametrize("form", ["html", "md", "tex"])
def test_every_format_has_all_of_it(whole: Document, form: str) -> None:
    text = render.text(whole, form)
    for part in ("What it costs to respond", "Reaction time by kind of response", "Every response"):
        assert part in text, part
    if form == "html":
        found = page.read(text)
        assert len(page.rows(found, "response-spans")) == 6
        assert page.external(found) == []


def test_a_figure_is_the_same_twice(seen: Material, whole: Document) -> None:
    (kept,) = [one for one in whole.figures if one.key == response_figure.KEY]
    sketch = response.figure(seen)
    assert sketch is not None
    assert sketch.drawn() == kept


def test_one_response_alone_is_shown_without_an_interval(seen: Material) -> None:
    alone = replace(seen, responses=seen.responses.head(1))
    found = response.section(alone, [])
    table = table_of(found, "response-spans")
    assert {cell.below for cell in table.rows[0][4:]} == {"n = 1"}
    assert response.figure(alone) is not None


def test_a_time_that_some_lack_says_of_how_many_it_is(seen: Material) -> None:
    table = seen.responses.copy()
    table.loc[0, "response_verify"] = pd.NA
    table.loc[0, "missing"] = '{"response_verify":"no RESUME was seen"}'
    found = response_tables.spans(
        response_rows.groups(table, seen.workloads), seen.names, seen.paper, seen.workloads
    )
    at = [column.flat for column in found.columns].index("Verify on arrival, ms")
    assert found.rows[1][at].reason == "n = 2: no RESUME was seen"
