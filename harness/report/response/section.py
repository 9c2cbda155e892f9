"""The report's section on what a response costs, from the event that threatens a guest to its safety.

Made only for runs whose trials demonstrate responses; the report of any other run omits it.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from harness.report import replicates
from harness.report.document.drawing import Sketch
from harness.report.document.model import Answer, Block, Callout, Figure, Paragraph, Section
from harness.report.material import Material
from harness.report.naming import Names
from harness.report.response import figure as response_figure
from harness.report.response import listing, periodic
from harness.report.response import rows as response_rows
from harness.report.response import tables as response_tables
from harness.report.response.rows import DONE, PAPER_TRIGGER_S, SIMULATED, Group
from harness.response.measures.evidence import MOVE, MOVING_TARGET

TITLE = "What it costs to respond"
WHAT = (
    "A guest was deployed with a request for protection. Then an event made its server unfit for that "
    "request, and the loop responded: it detected the event, appraised it, decided where the guest may go, "
    "migrated the guest, and verified on arrival that it is the same guest. Every span begins where the one "
    "before it ends."
)


def section(material: Material, figures: Sequence[Figure]) -> Section:
    """The section; `figures` are those of :func:`figure` and of the periodic cost, in their order."""
    table, names = material.responses, material.names
    groups = response_rows.groups(table, material.workloads)
    blocks: list[Block] = [Paragraph(text=WHAT), *_answers(groups, names)]
    blocks += [one for one in figures if one.key == response_figure.KEY]
    if any(group.action == MOVE for group in groups):
        blocks.append(response_tables.spans(groups, names, material.paper, material.workloads))
    if groups:
        blocks.append(response_tables.reactions(groups, names, material.workloads))
    launch = response_tables.launch(material.metrics)
    blocks += [] if launch is None else [launch]
    if material.periodic is not None:
        chart = [one for one in figures if one.key == periodic.KEY]
        blocks += periodic.blocks(material.periodic, chart)
    return Section(
        key="response", title=TITLE, blocks=[*blocks, *listing.blocks(material)], label="Responses"
    )


def figure(material: Material) -> Sketch | None:
    """The waterfall."""
    groups = response_rows.groups(material.responses, material.workloads)
    return response_figure.waterfall(groups, material.names)


def _answers(groups: Sequence[Group], names: Names) -> list[Block]:
    """One sentence per scenario, what is simulated, and how to read the numbers."""
    if not groups:
        text = "No response of a valid trial ended as it was decided: there are no times."
        return [Callout(tone="warning", text=text)]
    found: list[Block] = [
        Answer(
            subject=response_rows.SUBJECTS.get(scenario, scenario),
            text=_answer([one for one in groups if one.scenario == scenario], names),
        )
        for scenario in dict.fromkeys(group.scenario for group in groups)
    ]
    if any(group.simulated for group in groups):
        found.append(Callout(tone="warning", text=SIMULATED))
    text = f"Medians, in brackets n and, from three trials on, the interval of the trials. {replicates.UNIT}."
    found.append(Paragraph(text=text))
    return found


def _answer(groups: Sequence[Group], names: Names) -> str:
    """How long it took until the guest was in safety, and until the migration was accepted."""
    scenario = groups[0].scenario
    parts = [_reached(groups, names), _delay(groups)]
    simulated = " Its monitor's hardware is simulated." if any(group.simulated for group in groups) else ""
    text = "; ".join(part for part in parts if part)
    named = f" (scenario {scenario})" if scenario in response_rows.SUBJECTS else ""
    return f"{response_rows.words(scenario)}{named}. {text[0].upper()}{text[1:]}.{simulated}"


def _reached(groups: Sequence[Group], names: Names) -> str:
    """Such as ``the guest ran elsewhere after 3.41 s (3.30–3.52, n = 10) with idle, ...``."""
    by: dict[str, list[str]] = {}
    for group in groups:
        found = response_rows.figures(group.rows, "reaction_time")
        if found is not None:
            said = f"{response_rows.spoken(found)} with {names.of(group.workload)}"
            by.setdefault(DONE.get(group.action, group.action), []).append(said)
    if not by:
        nothing = "nothing provokes it, so there is no reaction time"
        return nothing if groups[0].scenario == MOVING_TARGET else "its reaction time was not measured"
    return "; ".join(f"the guest {done} after {', '.join(said)}" for done, said in by.items())


def _delay(groups: Sequence[Group]) -> str:
    """The trigger delay over all of the scenario's workloads, next to the paper's."""
    found = response_rows.figures(pd.concat([group.rows for group in groups]), "trigger_delay")
    if found is None:
        return ""
    said, paper = response_rows.spoken(found), f"{PAPER_TRIGGER_S}\u00a0s"
    since = "its being due" if groups[0].scenario == MOVING_TARGET else "the verdict"
    return f"from {since} to the accepted migration it took {said}, where the paper lost {paper} in OpenStack"
