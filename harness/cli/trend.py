"""`sodbench trend`: all runs of a campaign over time, as a page and a feed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from harness.analysis.trend import course, nights
from harness.analysis.trend.course import Trend
from harness.cli.terminal import Output, number_of
from harness.errors import UsageError
from harness.evidence.played import SAYS
from harness.files import write_atomic
from harness.report.document import quantity
from harness.report.trend import chart, feed, page

PAGE = "index.html"
FEED = "feed.atom"
_REPORT = "report.html"


def trend(
    folder: Annotated[
        Path, typer.Argument(help="The folder of a campaign's runs, such as results/demo.", metavar="FOLDER")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Where to write; by default reports/<campaign>/trend/."),
    ] = None,
    reports: Annotated[
        Path | None,
        typer.Option(
            help="Where reports of the runs are, each in a folder named as its run: points lead there, else "
            "to the run's folder. By default reports/<campaign>/."
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="A metric to show, several times; by default those that the campaign declares."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON; write no file.")] = False,
) -> None:
    """Show all runs of a campaign over time on one page: where levels change, and what changed there.

    Each point leads to its run; one whose machines, versions or plan differ from the night before says so. A
    run that has not finished or cannot be read is named and left out. Touches no machine (docs/trend.md).
    """
    found = course.of(nights.read(folder, metric))
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2, sort_keys=True))
        return
    own = Path("reports") / found.campaign
    place = own / "trend" if out is None else out
    made = write(found, place, own if reports is None else reports)
    show(found)
    Output().say(*map(str, made))


def write(found: Trend, out: Path, reports: Path) -> tuple[Path, Path]:
    """Write the page and the feed into `out`.

    Raises:
        StorageError: A file cannot be written.
        UsageError: `out` lies in a run's folder, where it would count as evidence.
    """
    if any(out.resolve().is_relative_to(Path(one.root).resolve()) for one in found.stops):
        raise UsageError(
            "a page inside a run's folder would count as evidence that was added",
            where=str(out),
            remedy="--out names a folder outside the runs'",
        )
    links = _links(found, out, reports)
    places = (out / PAGE, out / FEED)
    write_atomic(places[0], page.text(found, links, FEED).encode())
    write_atomic(places[1], feed.text(found, links, PAGE).encode())
    return places


def _links(found: Trend, out: Path, reports: Path) -> Mapping[str, str]:
    """Run to the relative address of its report, or of its folder where there is no report."""
    here = out.resolve()
    links = {}
    for stop in found.stops:
        report = reports / stop.run / _REPORT
        target = report.resolve() if report.is_file() else Path(stop.root).resolve()
        links[stop.run] = quote(os.path.relpath(target, here)) + ("" if report.is_file() else "/")
    return links


def show(found: Trend) -> None:
    """Say what changed."""
    output = Output()
    output.say(f"{found.campaign}: {number_of(len(found.stops), 'night')}")
    if found.played:
        output.say(f"{SAYS}.")
    rows = []
    for series in found.series:
        how = quantity.of_metric(series.metric, series.unit)
        for one in series.changes:
            stop = found.stops[one.night]
            ends = (how.with_unit(value) for value in one.found.medians)
            said = "; ".join(stop.changed) or "environment as before"
            rows.append((chart.day(stop), series.name, chart.amount(one, how), *ends, said))
    if rows:
        titles = ("since", "series", "change", "before", "after", "")
        output.table(titles, sorted(rows, reverse=True), right=titles[2:5])
    else:
        output.say("No change of a level is shown.")
    for left in found.skipped:
        output.say(f"left out: {left.run}: {left.reason}")
