"""Several guests leave their host: how long all of it took, and what each guest paid."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evidence.metric import Value
from harness.migration.measures.evacuation import Departure, Evacuation
from harness.report.document.model import MISSING, Block, Cell, Column, Paragraph, Section, Table


def sections(found: Sequence[Evacuation], link_bit_s: float | None) -> list[Section]:
    """The section of a run's evacuations; none for a run without any."""
    if not found:
        return []
    return [
        Section(
            key="evacuations",
            title="Several guests leave a host",
            blocks=_blocks(found, link_bit_s),
            label="Evacuations",
        )
    ]


def _blocks(found: Sequence[Evacuation], link_bit_s: float | None) -> list[Block]:
    return [Paragraph(text=_TEXT), _of_all(found, link_bit_s), _of_each(found)]


_TEXT = (
    "All guests are due to leave at the same time and move in the order of the response policy, as many "
    "at once as the campaign says. The total runs from that time to the RESUME of the last guest at its "
    "destination; where a violation makes them leave, it runs from the detection of that violation."
)


def _of_all(found: Sequence[Evacuation], link_bit_s: float | None) -> Table:
    return Table(
        key="evacuations",
        title="One row for each evacuation",
        columns=[
            Column(label="Trial", numeric=False),
            Column(label="Total", unit="s"),
            Column(label="Share of the link", unit="%"),
            Column(label="Order", numeric=False),
            Column(label="Guests"),
            Column(label="Sent", unit="MB"),
            Column(label="Due", unit="s"),
        ],
        rows=[
            [
                Cell(text=one.trial),
                _cell(one.total, 1, 2),
                _cell(one.link_share(link_bit_s), 100, 1),
                Cell(text=", ".join(each.guest for each in one.departures)),
                Cell(text=str(len(one.departures))),
                _cell(one.sent_bytes, 1e-6, 0),
                Cell(text=f"{one.planned_s:.2f}"),
            ]
            for one in found
        ],
        caption="The share of the link is what the hypervisor sent, divided by what the link could have "
        "carried over the total.",
    )


def _of_each(found: Sequence[Evacuation]) -> Table:
    return Table(
        key="evacuated-guests",
        title="One row for each guest, in the order of leaving",
        columns=[
            Column(label="Guest", numeric=False),
            Column(label="Blackout", unit="ms"),
            Column(group="CPU, cores", label="source"),
            Column(group="CPU, cores", label="destination"),
            Column(label="Runs there after", unit="s"),
            Column(label="Total", unit="s"),
            Column(label="Sent", unit="MB"),
            Column(label="No."),
        ],
        rows=[_row(one, each) for one in found for each in one.departures],
        caption="A blackout on a host whose cores are all busy is longer than one on an idle host. The CPU "
        "is that of the whole machine over the migration; in a lab both hosts share its cores.",
    )


def _row(one: Evacuation, each: Departure) -> list[Cell]:
    readings = each.readings
    return [
        Cell(text=each.guest, below=one.trial),
        _cell(readings["blackout"], 1000, 1),
        _cell(readings["cpu_source"], 1, 2),
        _cell(readings["cpu_destination"], 1, 2),
        _cell(each.resumed, 1, 2),
        _cell(readings["total_time"], 1, 2),
        _cell(readings["data_sent"], 1e-6, 0),
        Cell(text=str(each.n)),
    ]


def _cell(value: Value, factor: float, digits: int) -> Cell:
    if value.value is None:
        return Cell(text=MISSING, reason=value.reason or "")
    return Cell(text=f"{value.value * factor:.{digits}f}")
