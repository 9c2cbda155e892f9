"""Faban's fhb as the generator: its run file, its run, and the files it writes at its end.

fhb is told by a run file (``-f``; the file's ``outputDir`` is then the one that counts), which can mix
requests and set the interval of the series to 1 s. Results come only at its end, like mstone's: the run is as
long as is allowed for, and steadiness is judged by what the server counts. ``summary.xml`` is read by its
elements, ``detail.xan`` by its sections' headers.

Rows of ``detail.xan`` count from the begin of the ramp-up. Faban's log says ``run commences in N ms``; where
it says nothing, ``summary.xml`` has the time of day in seconds, which the mark at the start ties to the
controller's clock. ``clock_uncertainty_s`` in the summary says how well.

That the think time deviates is no reason against a run: fhb compares with its command line, which a run file
replaces. Nor is a missed 90 % target: the target is of no account here. Elements: Faban's guides (fhb,
driver) and its classes RunInfo, FlatMix and FabanHTTPBench.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from harness.clock import NS_PER_S
from harness.errors import WorkloadError
from harness.workloads.contract import GENERATOR, Line, Process, Sample, Site, Step, Timeline
from harness.workloads.generators import faban_results, marks, operation
from harness.workloads.generators.faban_results import Second, Summary, number
from harness.workloads.generators.targets import Target

NAME = "Faban (fhb)"
FHB = "/opt/sodbench/faban/bin/sodbench-fhb"
RAMP_S = 5
"""Faban's first seconds are not in its totals; the series has them."""

DOWN_S = 2
SETTLE_S = 40
"""Allowed for settling, which for Faban includes the start of its JVM and the compiler it runs first."""

MARGIN_S = 20
"""For a window that closes late because a migration was under way."""

START_S = 30
"""From its start to its ramp-up Faban compiles its driver; the run then begins so much later."""

REPORT_S = 30
DRIVER = "http_driver1"
_MOST_COMPLAINTS = 5
LATENCY = "mean of the second"
_LOG_UNCERTAINTY_S = 0.1
_DAY_UNCERTAINTY_S = 1.0
_RUN, _DRIVER_NS = "http://faban.sunsource.net/ns/faban", "http://faban.sunsource.net/ns/fabandriver"
_COMMENCES = re.compile(r".*run commences in (\d{1,7}) ms\b.*", re.ASCII)
_LITTLE = re.compile(r"(?:ERROR|WARNING):.*Little's law.*", re.ASCII)
_ERROR = re.compile(
    r"(?:ERROR|SEVERE|Exception in thread)\b.*"  # its own
    r"|Error: .*|Error occurred during initialization of VM"  # Java's, which could not start it
    r"|\S+\.java:\d{1,7}: error: .*",  # the compiler's of its driver
    re.ASCII,
)
_DETAIL = re.compile(
    r"(?:GC triggered|(?:Caused by: )?(?:[a-z]\w*\.)+[A-Z]\w*(?:Exception|Error)\b).*", re.ASCII
)
"""A line that says more of the one before it."""

_SPURIOUS = re.compile(r"ERROR: (?:Think time deviation is too high|Missed target 90%).*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """This many clients, each with a pause so that all together make at most `rate` requests a second."""

    clients: int
    rate: float

    @property
    def think_ms(self) -> int:
        """The pause after each answer."""
        return max(1, round(1000 * self.clients / self.rate))


def version() -> Step:
    """What prints the kit's version: its folder has it in VERSION or in its name, fhb itself does not."""
    command = "cat /opt/sodbench/faban/VERSION 2>/dev/null || readlink -f /opt/sodbench/faban"
    return Step(what="ask Faban for its version", machine="client", command=command)


def steady_s(site: Site) -> int:
    """The run's steady state, which cannot be extended later."""
    return SETTLE_S + ceil(site.baseline_s) + ceil(site.window_s) + MARGIN_S


def run_file(site: Site, load: Load, port: int, targets: Sequence[Target]) -> str:
    """run.xml for `targets`; ``@WORK@`` is the working folder.

    Raises:
        WorkloadError: Two targets have one name, which would be one method twice.
    """
    names = [target.name for target in targets]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise WorkloadError(
            f"two targets are called {twice!r}", remedy="give each of the workload's targets its own name"
        )
    base = f"http://{site.guest_address}:{port}"
    operations = "".join(_operation(base, target) for target in targets)
    mix = "".join(
        f"<operationMix><name>{operation.operation(target.name)}</name><r>{target.weight:g}</r></operationMix>"
        for target in targets
    )
    lag = f"<cycleMin>{load.think_ms}</cycleMin><cycleMax>{load.think_ms}</cycleMax>"
    return f"""\
<?xml version="1.0" encoding="UTF-8"?>
<fa:runConfig xmlns:fa="{_RUN}" xmlns="{_DRIVER_NS}">
<fa:runControl unit="time">
<fa:rampUp>{RAMP_S}</fa:rampUp><fa:steadyState>{steady_s(site)}</fa:steadyState><fa:rampDown>{DOWN_S}</fa:rampDown>
</fa:runControl>
<benchmarkDefinition><name>fhb</name><metric>ops/sec</metric></benchmarkDefinition>
<outputDir>@WORK@/out</outputDir>
<threadStart><delay>20</delay></threadStart>
<driverConfig name={quoteattr(DRIVER)}>
<threads>{load.clients}</threads>
<requestLagTime><uniform><cycleType>thinktime</cycleType>{lag}<cycleDeviation>2</cycleDeviation></uniform></requestLagTime>
<stats><maxRunTime>{ceil(_total_s(site) / 3600)}</maxRunTime><interval>1</interval></stats>
{operations}{mix}</driverConfig>
</fa:runConfig>
"""


def _operation(base: str, target: Target) -> str:
    """One kind of request; every kit that knows ``kbps`` needs a number there, and -1 means no limit."""
    number = "" if target.low is None else f"@@faban.getRandomInt({target.low},{target.high})@@"
    url, request = f"{base}{_path(target.before)}", f"{number}{_path(target.after)}"
    return (
        f"<operation><name>{operation.operation(target.name)}</name><url>{escape(url)}</url>"
        f'<kbps>-1</kbps><get subst="{str(bool(number)).lower()}"><![CDATA[{request}]]></get>'
        "<max90th>10</max90th></operation>\n"
    )


def _path(text: str) -> str:
    """`text` without what ends a string of Java's (``"``) or means something to Faban (``$``, ``@@``)."""
    return quote(text, safe="/?=&%:,;+!*()~")


def _total_s(site: Site) -> int:
    return RAMP_S + steady_s(site) + DOWN_S


def process(site: Site, load: Load, port: int, targets: Sequence[Target]) -> Process:
    """The run in a folder of its own; its files are printed when it has ended, and the folder is removed."""
    command = "\n".join(
        (
            "work=$(mktemp -d /var/tmp/sodbench-fhb.XXXXXX) || exit 1",
            "trap 'rm -rf \"$work\"' EXIT",
            "trap 'exit 143' TERM HUP INT",
            'cd "$work" && mkdir out || exit 1',
            f"sed \"s|@WORK@|$work|g\" > run.xml <<'END'\n{run_file(site, load, port, targets)}END",
            "export TZ=UTC LC_ALL=C",  # summary.xml has the time of day in the zone it runs in
            marks.started(),
            # It writes and compiles its driver in a folder that is /tmp unless it is told another.
            f'{shlex.quote(FHB)} -J "-Dfaban.tmpdir=$work" -D "$work/out" -s -f "$work/run.xml"',
            marks.ended(),
            'for folder in "$work"/out/*/; do',
            marks.shown("summary.xml", '"${folder}summary.xml"'),
            marks.shown("detail.xan", '"${folder}detail.xan"'),
            "done",
            "echo == done",
            "exit $status",
        )
    )
    finish_s = float(RAMP_S + SETTLE_S + MARGIN_S + DOWN_S + START_S + REPORT_S)
    return Process(machine="client", command=command, finish_s=finish_s)


def parse(lines: Sequence[Line], *, work_unit: str, error_limit: float) -> Timeline:
    """The files as a timeline; `error_limit` is the largest share of requests that may have failed."""
    found = marks.sections(lines)
    summary, problems = faban_results.summary(found.get("summary.xml", ()))
    rows, series_problems = faban_results.series(found.get("detail.xan", ()))
    begin = _begin(lines, summary)
    samples = () if begin is None else tuple(_samples(rows, begin.t_ns))
    problems = [*_run_problems(lines, found), *problems, *series_problems]
    problems.extend(_load_problems(summary, work_unit, error_limit))
    if rows and begin is None:
        problems.append("nothing says when Faban began, so that its series has no place in time")
    if not samples and not problems:
        problems.append("no second of Faban's series is whole")
    figures = {name: value for name, value in summary.figures.items() if math.isfinite(value)}
    if begin is not None and samples:
        figures["clock_uncertainty_s"] = begin.uncertainty_s
    return Timeline(
        work_unit=work_unit,
        period_s=1.0,
        samples=samples,
        problems=tuple(problems),
        summary=figures,
        latency=LATENCY,
    )


def _samples(rows: Sequence[Second], begin: int) -> Iterator[Sample]:
    """Each row at its end, except the last, during which Faban already ends its threads."""
    for row in rows[:-1]:
        yield Sample(t_ns=begin + (row.number + 1) * NS_PER_S, work=row.done, latency_s=row.mean_s)


@dataclass(frozen=True, slots=True)
class _Begin:
    t_ns: int
    uncertainty_s: float


def _begin(lines: Sequence[Line], summary: Summary) -> _Begin | None:
    """When the ramp-up began, on the controller's clock."""
    for line in lines:
        if line.source == GENERATOR and (found := _COMMENCES.fullmatch(line.text)):
            return _Begin(line.t_ns + int(found[1]) * 1_000_000, _LOG_UNCERTAINTY_S)
    mark = marks.rest_of(lines, "started")
    if mark is None or summary.began is None or (at := number(mark[1].strip())) is None:
        return None
    after_s = summary.began.timestamp() + _DAY_UNCERTAINTY_S / 2 - at
    return _Begin(mark[0] + round(after_s * NS_PER_S), _DAY_UNCERTAINTY_S)


def _run_problems(lines: Sequence[Line], found: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The problems of the run, the cause first: Faban's complaints, then how it ended."""
    said = [line.text for line in lines if line.source == GENERATOR]
    own = found.get("started", ())
    ended = marks.rest_of(lines, "ended")
    if marks.rest_of(lines, "started") is None:
        yield "Faban was not started"
        yield f"it said last: {marks.last_words(said)}"
    yield from _complaints(own)
    if marks.rest_of(lines, "started") is not None and (ended is None or ended[1].strip() != "0"):
        status = "" if ended is None else ended[1].strip()[:20]
        yield "Faban did not end by itself" if ended is None else f"Faban ended with status {status}"
        yield f"Faban said last: {marks.last_words(map(operation.with_targets, own))}"
    if ended is not None:
        for name in ("summary.xml", "detail.xan"):
            if not any(text.strip() for text in found.get(name, ())):
                yield f"Faban wrote no {name}"


def _complaints(texts: Sequence[str]) -> Iterator[str]:
    """Each different complaint with the line that explains it, and how many more there are."""
    told: dict[str, None] = {}
    for text, following in pairwise([*texts, ""]):
        if _LITTLE.fullmatch(text) or (_ERROR.match(text) and not _SPURIOUS.match(text)):
            more = f" {following.strip()}" if _DETAIL.match(following) else ""
            told[f"Faban said: {operation.with_targets(text.strip()[:200] + more[:200])}"] = None
    yield from list(told)[:_MOST_COMPLAINTS]
    if len(told) > _MOST_COMPLAINTS:
        yield f"Faban had {len(told) - _MOST_COMPLAINTS} more complaints"


def _load_problems(summary: Summary, unit: str, limit: float) -> Iterator[str]:
    succeeded, failed = summary.figures.get("succeeded"), summary.figures.get("failed")
    if succeeded is None or failed is None:
        return
    if not succeeded:
        yield f"Faban completed no {unit}"
    elif failed > limit * (succeeded + failed):
        share = failed / (succeeded + failed)
        total = succeeded + failed
        yield f"{failed:.0f} of {total:.0f} {unit} failed ({share:.1%}); the limit is {limit:.1%}"
        most = [f"{name[:40]} {count:.0f}" for name, count in summary.failures.items()][:_MOST_COMPLAINTS]
        yield f"failed by target: {', '.join(most)}"
