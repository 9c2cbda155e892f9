"""The page of a trend: what changed, then every series, then every night as a table. One file, offline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness import resources
from harness.analysis.trend.course import Trend
from harness.evidence.played import SAYS
from harness.report.document import escape, quantity
from harness.report.document.model import MISSING
from harness.report.trend import chart

_TEMPLATE = "trend.html.j2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """One change of a level, as a row."""

    day: str
    link: str
    series: str
    direction: str
    amount: str
    before: str
    after: str
    nights: str
    environment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NightRow:
    """One night, as a row."""

    day: str
    run: str
    link: str
    trials: str
    environment: str
    values: tuple[str, ...]


def text(trend: Trend, links: Mapping[str, str], feed: str, templates: Path | None = None) -> str:
    """The page; `feed` is the feed's name next to it, `links` leads from a run's name to its page."""
    folder = templates or resources.templates()
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = escape.plain
    charts = [chart.of(one, trend.stops, links, f"series-{at}") for at, one in enumerate(trend.series, 1)]
    written = environment.get_template(_TEMPLATE).render(
        trend=trend,
        banner=SAYS if trend.played else "",
        answer=_answer(trend),
        charts=charts,
        size=(chart.WIDTH, chart.HEIGHT, chart.LEFT),
        changes=_changes(trend, links),
        heads=[one.title for one in charts],
        nights=_nights(trend, links),
        feed=feed,
        style=Markup((folder / "report.css").read_text(encoding="utf-8")),
    )
    return written.rstrip("\n") + "\n"


def _answer(trend: Trend) -> str:
    """The first sentence."""
    count = len(trend.stops)
    period = f"{count} night{'' if count == 1 else 's'}, {chart.day(trend.stops[0])} to "
    period += chart.day(trend.stops[-1])
    every = [change for series in trend.series for change in series.changes]
    worse = sum(change.direction == "worse" for change in every)
    if not every:
        return f"{period}: no change of a level is shown."
    return f"{period}: {len(every)} change{'' if len(every) == 1 else 's'} of a level, {worse} for the worse."


def _changes(trend: Trend, links: Mapping[str, str]) -> list[Changed]:
    found = []
    for series in trend.series:
        shown = quantity.of_metric(series.metric, series.unit)
        for one in series.changes:
            stop = trend.stops[one.night]
            before, after = (shown.with_unit(value) for value in one.found.medians)
            row = Changed(
                day=chart.day(stop),
                link=links[stop.run],
                series=f"{shown.label} of {chart.place(series)}",
                direction=one.direction,
                amount=chart.amount(one, shown),
                before=before,
                after=after,
                nights=f"{one.found.trials[0]} / {one.found.trials[1]}",
                environment="; ".join(stop.changed) or "as before",
            )
            found.append((one.night, row))
    return [row for _, row in sorted(found, key=lambda one: (-one[0], one[1].series))]


def _nights(trend: Trend, links: Mapping[str, str]) -> list[NightRow]:
    """The newest first."""
    shown = [quantity.of_metric(one.metric, one.unit) for one in trend.series]
    rows = [
        NightRow(
            day=chart.day(stop),
            run=stop.run,
            link=links[stop.run],
            trials=f"{stop.valid} / {stop.planned}",
            environment="; ".join(stop.changed) or ("as before" if at else MISSING),
            values=tuple(
                how.text(one.points[at].value) for how, one in zip(shown, trend.series, strict=True)
            ),
        )
        for at, stop in enumerate(trend.stops)
    ]
    return rows[::-1]
