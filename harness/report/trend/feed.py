"""What changed as an Atom feed (RFC 4287): an entry for each change of a level and of the environment.

An entry's id follows from the campaign, the series and the night, so that a reader sees each once. Links are
relative to the feed, which lies next to the page.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from xml.etree import ElementTree

from harness.analysis.trend.course import Trend
from harness.report.document import quantity
from harness.report.document.escape import plain
from harness.report.trend import chart

_ATOM = "http://www.w3.org/2005/Atom"
_NAMESPACE = uuid.UUID("5b0c6d0e-3f5c-5c77-9d0f-2f6d1a1f6a10")
"""A name space of our own for the ids (RFC 9562, version 5)."""
_MOST = 200
"""Entries; the newest ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    night: int
    key: str
    title: str
    summary: str


def text(trend: Trend, links: Mapping[str, str], page: str) -> str:
    """The feed; `page` is the page's name next to it, `links` leads from a run's name to its page."""
    root = ElementTree.Element("feed", {"xmlns": _ATOM})
    _add(root, "id", _id(trend.campaign))
    _add(root, "title", f"sodbench: {trend.campaign}" + (", PLAYED, not measured" if trend.played else ""))
    _add(root, "updated", trend.stops[-1].started_utc)
    ElementTree.SubElement(root, "link", {"rel": "alternate", "type": "text/html", "href": page})
    _add(ElementTree.SubElement(root, "author"), "name", "sodbench")
    newest = sorted(_entries(trend), key=lambda one: (-one.night, one.key))[:_MOST]
    for one in newest:
        stop = trend.stops[one.night]
        entry = ElementTree.SubElement(root, "entry")
        _add(entry, "id", _id(trend.campaign, one.key, stop.run))
        _add(entry, "title", one.title)
        _add(entry, "updated", stop.started_utc)
        ElementTree.SubElement(entry, "link", {"rel": "alternate", "href": links[stop.run]})
        _add(entry, "summary", one.summary)
    ElementTree.indent(root)
    written = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{written}\n'


def _entries(trend: Trend) -> Iterator[_Entry]:
    for series in trend.series:
        shown = quantity.of_metric(series.metric, series.unit)
        for change in series.changes:
            before, after = (shown.with_unit(value) for value in change.found.medians)
            yield _Entry(
                night=change.night,
                key=series.name,
                title=f"{series.name}: {chart.amount(change, shown)}",
                summary=f"From {before} to {after}, since {chart.day(trend.stops[change.night])}.",
            )
    for at, stop in enumerate(trend.stops):
        if stop.changed:
            yield _Entry(
                night=at,
                key="environment",
                title=f"The environment changed on {chart.day(stop)}",
                summary="; ".join(stop.changed),
            )


def _id(*parts: str) -> str:
    return uuid.uuid5(_NAMESPACE, "\0".join(parts)).urn


def _add(parent: ElementTree.Element, tag: str, said: str) -> None:
    ElementTree.SubElement(parent, tag).text = plain(said)
