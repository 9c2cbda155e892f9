"""The tables of responses: every span by scenario and workload, CloudMonatt's two, and those without a move.

Medians with their intervals throughout; a dash has its reason. The paper's own figures are below the measured
ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from harness.analysis.stats import Replicated
from harness.report import replicates
from harness.report.attestation.rows import milliseconds
from harness.report.document.model import MISSING, Cell, Column, Table
from harness.report.naming import Names, with_note
from harness.report.response import rows as response_rows
from harness.report.response.rows import (
    ENDED,
    PAPER_TRIGGER_S,
    SIMULATED,
    Group,
    seconds,
    thousandths,
)
from harness.response.measures.evidence import MOVE, STAGES
from harness.response.measures.metrics import STAGE_WORDS

COLUMNS: Sequence[tuple[str, str, str, Callable[[float], str]]] = (
    ("response_detect", "Before the verdict", "detect, s", thousandths),
    ("response_appraise", "Before the verdict", "appraise, ms", milliseconds),
    ("response_decide", "Until the migration is accepted, ms", "decide", milliseconds),
    ("response_trigger", "Until the migration is accepted, ms", "trigger", milliseconds),
    ("trigger_delay", "Until the migration is accepted, ms", "trigger delay", milliseconds),
    ("total_time", "Migration", "total time, s", seconds),
    ("blackout", "Migration", "blackout, ms", milliseconds),
    ("response_verify", "", "Verify on arrival, ms", milliseconds),
    ("response_overhead", "", "Overhead, ms", milliseconds),
    ("reaction_time", "", "Reaction, s", seconds),
)
"""Column of the responses, group, label, and how it is written."""
_TIMES = tuple(column for column, _, _, _ in COLUMNS)
PUBLISHED: Mapping[str, str] = {"total_time": "total_time", "blackout": "blackout"}
"""Columns for which the paper's Table V has a figure of each workload."""


def spans(
    groups: Sequence[Group], names: Names, paper: Mapping[str, Mapping[str, float]], workloads: Sequence[str]
) -> Table:
    """Every span of the responses that moved a guest, by scenario and workload, and the paper's figures."""
    moved = [group for group in groups if group.action == MOVE]
    columns = [Column(label="Scenario", numeric=False), Column(label="Workload", numeric=False)]
    columns += [Column(label="Trials"), Column(label="n")]
    columns += [Column(group=group, label=label) for _, group, label, _ in COLUMNS]
    shown = [name for name in workloads if any(group.workload == name for group in moved)]
    return Table(
        key="response-spans",
        title="Responses that moved the guest, span by span",
        columns=columns,
        rows=[
            *(
                _row(group, at == 0 or moved[at - 1].scenario != group.scenario, names)
                for at, group in enumerate(moved)
            ),
            *(_published(name, paper, first=at == 0) for at, name in enumerate(shown)),
        ],
        caption=with_note(
            "Medians over n responses; below, from three trials on, the interval of the trials. "
            f"{_how(moved)} Trigger delay: decide and trigger together, from the result to the migration's "
            "job on the source. Total time: from the call to RESUME at the destination. Verify: from there "
            "to the stored verdict on the guest. Overhead: what the loop adds before and after the bare "
            "migration, without the TPMs' own time for quotes. Reaction: from the provocation to RESUME. "
            "The paper's delay is an average over its workloads inside OpenStack; its total times and "
            f"downtimes are means of five, measured outside of it (Table V).{_simulated(moved)}",
            names.note(shown),
        ),
        dense=True,
    )


def _how(groups: Sequence[Group]) -> str:
    """How the intervals were made, for a caption."""
    found = [response_rows.figures(group.rows, column) for group in groups for column in _TIMES]
    return f"{replicates.UNIT}. Interval: {replicates.methods(one for one in found if one is not None)}."


def _simulated(groups: Sequence[Group]) -> str:
    return f" {SIMULATED}" if any(group.simulated for group in groups) else ""


def _row(group: Group, first: bool, names: Names) -> list[Cell]:
    below = "simulated hardware" if group.simulated else ""
    head = Cell(text=group.scenario, below=below) if first else Cell(text="")
    return [
        head,
        Cell(text=names.of(group.workload)),
        Cell(text=str(group.trials)),
        Cell(text=str(group.n)),
        *_cells(group),
    ]


def _cells(group: Group) -> list[Cell]:
    return [
        response_rows.cell(
            response_rows.figures(group.rows, column), write, of=group.n, why=_why(group, column)
        )
        for column, _, _, write in COLUMNS
    ]


def _why(group: Group, column: str) -> str:
    unprovoked = group.rows["provoked"].isna().all()
    return response_rows.why(group.rows, [column], "nothing provokes it" if unprovoked else "not applicable")


def _published(workload: str, paper: Mapping[str, Mapping[str, float]], *, first: bool) -> list[Cell]:
    """The paper's figures for that workload."""
    theirs = paper.get(workload, {})
    row = [
        Cell(text="the paper" if first else "", below="section VI, Table V" if first else "", tone="quiet"),
        Cell(text=workload, tone="quiet"),
        Cell(text="", tone="quiet"),
        Cell(text="", tone="quiet"),
    ]
    for column, _, _, write in COLUMNS:
        value = PAPER_TRIGGER_S if column == "trigger_delay" else theirs.get(PUBLISHED.get(column, ""))
        row.append(Cell(text="" if value is None else write(value), tone="quiet"))
    return row


def reactions(groups: Sequence[Group], names: Names, workloads: Sequence[str]) -> Table:
    """How long each kind of response took, from the verdict and from the provocation, by workload."""
    rows: list[list[Cell]] = []
    above = ""
    for action in reversed(tuple(ENDED)):
        for workload in workloads:
            mine = [one for one in groups if (one.action, one.workload) == (action, workload)]
            if mine:
                rows.append(_reaction(mine, "" if action == above else action, names))
                above = action
    labels = ("Response", "Scenarios", "Workload")
    return Table(
        key="response-reactions",
        title="Reaction time by kind of response",
        columns=[
            *(Column(label=label, numeric=False) for label in labels),
            Column(label="Trials"),
            Column(label="n"),
            Column(group="Until it is carried out, s", label="detect and appraise"),
            Column(group="Until it is carried out, s", label="decide"),
            Column(group="Until it is carried out, s", label="carry out"),
            Column(label="Reaction", unit="s"),
        ],
        rows=rows,
        caption="Responses by the kinds of CloudMonatt (Zhang and Lee, ISCA 2015): terminate, which is "
        "shut-down here, suspend and migrate. Carry out: from the decision to the guest shut down, "
        "suspended, held, or running at its destination. Scenarios of one kind of response are taken "
        "together and named; moving-target defence has no reaction time. Medians; below, from three trials "
        f"on, the interval of the trials. {_how(groups)}",
        dense=True,
    )


_REACTION = ("response_detect", "response_appraise", "response_act", "response_migrate", "reaction_time")


def _reaction(mine: Sequence[Group], head: str, names: Names) -> list[Cell]:
    rows = pd.concat([group.rows for group in mine])
    rows = rows.assign(
        before=rows["response_detect"] + rows["response_appraise"],
        out=rows["response_act"].fillna(rows["response_trigger"] + rows["response_migrate"]),
    )
    named = ", ".join(dict.fromkeys(group.scenario for group in mine))
    why = response_rows.why(rows, _REACTION, "nothing provokes it")
    return [
        Cell(text=head, below="terminate" if head == "shut-down" else ""),
        Cell(text=named),
        Cell(text=names.of(mine[0].workload)),
        Cell(text=str(rows["trial"].nunique())),
        Cell(text=str(len(rows))),
        *(
            response_rows.cell(
                replicates.of_trials(rows, column, signed=column == "before"),
                thousandths,
                of=len(rows),
                why=why,
            )
            for column in ("before", "response_decide", "out", "reaction_time")
        ),
    ]


def launch(metrics: pd.DataFrame) -> Table | None:
    """What deploying the guests of valid trials took, stage by stage; None where no stage is known."""
    valid = metrics[metrics["verdict"].eq("valid") & metrics["value"].notna()]
    of_stage = {name: valid[valid["metric"].eq(f"launch_{name}")] for name in (*STAGES, "time")}
    values = {name: list(map(float, mine["value"])) for name, mine in of_stage.items()}
    if not any(values.values()):
        return None
    found = {name: replicates.of_trials(mine) for name, mine in of_stage.items()}
    missing = metrics[metrics["metric"].str.startswith("launch_") & metrics["value"].isna()]
    why = "; ".join(dict.fromkeys(map(str, missing["reason"].dropna()))) or "not recorded"
    whole = sum(sum(values[name]) for name in STAGES)
    told = dict(STAGE_WORDS)
    one = "" if "guest" in metrics else ", one a trial"
    rows = []
    for name in (*STAGES, "time"):
        cell = response_rows.cell(found[name], _launched, of=max(map(len, values.values())), why=why)
        share = "" if name == "time" else f"{sum(values[name]) / whole * 100:.1f}" if whole else MISSING
        label = "total" if name == "time" else name
        rows.append([
            Cell(text=label), Cell(text=told.get(name, ""), tone="quiet"), Cell(text=str(len(values[name]))),
            cell, Cell(text=share),
        ])  # fmt: skip
    return Table(
        key="response-launch",
        title="Deploying a guest with its protection, stage by stage",
        columns=[
            Column(label="Stage", numeric=False), Column(label="", numeric=False), Column(label="n"),
            Column(label="Median", unit="s"), Column(label="Share", unit="%"),
        ],
        rows=rows,
        caption="By the stages of CloudMonatt's launch of a VM. Over the guests of valid trials of "
        f"all scenarios and workloads{one}; the workload starts only afterwards. Medians; below, from "
        f"three trials on, their interval: {_launches(found)}. Share: of the sum of all launches.",
    )  # fmt: skip


def _launches(found: Mapping[str, Replicated | None]) -> str:
    return replicates.methods(one for one in found.values() if one is not None)


def _launched(value_s: float) -> str:
    return f"{value_s:.4f}" if value_s < 0.0995 else f"{value_s:.3f}" if value_s < 0.995 else f"{value_s:.2f}"
