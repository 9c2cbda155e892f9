"""mstone as the generator: its configuration, its run, and the files it writes at its end.

Read are mstone 4.9's files: ``results.txt`` (totals), ``time-SMTP.csv`` (a row an interval) and
``clients-*.csv``, all by their headers. mstone is silent while it runs, so that steadiness is judged by the
server's own count, and its result comes only when it ends: it must be told how long to run before it is known
how long settling takes, and is awaited after the window.

Rows of ``time-SMTP.csv`` are whole seconds of the client's wall clock, counted from the client process's
first report, which it makes right after mstone says that it starts its clients. Hence the begin of row 0 is
known to within a second and the time by which the process may wait: ``clock_uncertainty_s`` in the summary.
Minimum and maximum in a row are running extremes since the start and are not read.

Options and fields: doc/mstone.html in mstone's archive, and its bin/ and src/smtp.c.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

from harness.clock import NS_PER_S
from harness.workloads.contract import GENERATOR, Line, Process, Sample, Site, Step, Timeline
from harness.workloads.generators import marks

NAME = "mstone"
HOME = "/opt/sodbench/mstone"
RAMP_S = 5
"""Over so many seconds the clients start, so that they do not all connect at once."""

SETTLE_S = 30
"""Allowed for settling: ramp, six counts of the server, and what an emulated guest takes longer."""

MARGIN_S = 20
"""For a window that closes late because a migration was under way, and for rounding to seconds."""

POLL_S = 15
"""mailmaster.pl looks only so often whether its clients have ended, and reduces its data then."""

REPORT_S = 45
"""For reducing the data and writing the report, gnuplot missing or not."""

RESULTS, SERIES, ERRORS = "results.txt", "time-SMTP.csv", "stderr"
_MOST_COMPLAINTS = 5
LATENCY = "mean time from DATA to its reply"
_NUMBER = r"\d{1,15}(?:\.\d{1,15})?"
_CLIENTS = re.compile(r"Number of reporting clients: (\d{1,9}) of (\d{1,9})\s*", re.ASCII)
_DURATION = re.compile(r"Test duration: (\d{1,9}) (second|minute|hour|day)s?\b.*", re.ASCII)
_TOTALS = re.compile(r"SMTP\s+Try\s+Error\b.*", re.ASCII)
_ROW = re.compile(rf"SMTP:(?P<name>[a-z]+)\s+(?P<values>{_NUMBER}(?:\s+{_NUMBER})*)\s*", re.ASCII)
_STARTING = re.compile(r"Starting (?:clients|\d+ (?:x \d+|processes) on )", re.ASCII)
_CLIENT_SAID = re.compile(r"\S+\[\d+\]\s+t=\d+(?: EXITING)?: (.*\S)\s*", re.ASCII)
_GREETING = re.compile(r"mailclient \(|procs=", re.ASCII)
_UNIT_S = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """This many clients that together send this many messages a second, of `size_kib` KiB each."""

    clients: int
    rate: float
    size_kib: float


def version() -> Step:
    """mailmaster.pl names its version first; it then asks for a test's time and ends."""
    command = f"sed -n 's/.*Mstone version \\([0-9.]*\\).*/\\1/p' {HOME}/bin/mailmaster.pl"
    return Step(what="ask mstone for its version", machine="client", command=command)


def duration_s(site: Site) -> int:
    """The run's length, which mstone must know at its start."""
    return RAMP_S + SETTLE_S + ceil(site.baseline_s) + ceil(site.window_s) + MARGIN_S


def workload_file(site: Site, load: Load) -> str:
    """A workload file without the blocks that call vmstat and ifconfig; ``@WORK@`` is the working folder.

    Each block of one message is to take `clients` / `rate` seconds, its own time included. Servers are named
    without a port: 25 it is.
    """
    return f"""\
<CONFIG>
  title sodbench
  tempDir @WORK@
  clientCommand ./mailclient
  noEvents 1
</CONFIG>
<CLIENT HOSTS=localhost>
  maxThreads {load.clients}
</CLIENT>
<DEFAULT>
  server {site.guest_address}
  timeout 60s
  loginFormat user%ld
  passwdFormat none
  numLogins 100
  firstLogin 0
  smtpMailFrom sender@sodbench.test
  addressFormat user%ld@sodbench.test
  numAddresses 100
  firstAddress 0
</DEFAULT>
<SMTP>
  file @WORK@/sodbench.msg
  blockTime {max(1, round(1000 * load.clients / load.rate))}
</SMTP>
"""


def process(site: Site, load: Load) -> Process:
    """The run in a folder of its own; its files are printed when it has ended, and the folder is removed."""
    lines = max(1, round(load.size_kib * 1024 / 78))
    text = "All work and no play makes a long message out of very few different words. "
    message = (
        f'BEGIN {{ printf "Subject: load\\r\\n\\r\\n"; for (i = 0; i < {lines}; i++) printf "{text}\\r\\n" }}'
    )
    run = f"-t {duration_s(site)}s -r {RAMP_S}s -l {load.clients} FREQUENCY=1"
    results = "results/*/"
    command = "\n".join(
        (
            "work=$(mktemp -d /var/tmp/sodbench-mstone.XXXXXX) || exit 1",
            "trap 'cd /; rm -rf \"$work\"' EXIT",
            "trap 'exit 143' TERM HUP INT",
            f'cp -rs {HOME}/. "$work" && cd "$work" && rm -rf results tmp || exit 1',
            "client=$(ls bin/mailclient build/*/mailclient /var/tmp/mailclient 2>/dev/null | head -n 1)",
            'cp -fL "$client" ./mailclient || exit 1',
            f"awk {shlex.quote(message)} > sodbench.msg",
            f"sed \"s|@WORK@|$work|g\" > sodbench.wld <<'END'\n{workload_file(site, load)}END",
            marks.started(),
            f"perl -Ibin -- bin/mailmaster.pl -w sodbench.wld {run}",
            marks.ended(),
            f"for found in {results}{RESULTS} {results}{SERIES} {results}clients-*.csv {results}{ERRORS}; do",
            '[ -f "$found" ] || continue',
            f'echo "== ${{found##*/}}"; head -c {marks.LIMIT_BYTES} "$found"; echo',
            "done",
            "echo == done",
            "exit $status",
        )
    )
    finish_s = float(RAMP_S + SETTLE_S + MARGIN_S + POLL_S + REPORT_S)
    return Process(machine="client", command=command, finish_s=finish_s)


def parse(lines: Sequence[Line], *, clients: int, error_limit: float) -> Timeline:
    """The files as a timeline; `error_limit` is the largest share of tries that may have failed."""
    found = marks.sections(lines)
    results = _results(found.get(RESULTS, ()))
    rows, series_problems = _series(found.get(SERIES, ()))
    begin = _begin(lines)
    samples = () if begin is None else tuple(_samples(rows, begin, results.duration_s))
    problems = [*_run_problems(lines, found, begin), *results.problems, *series_problems]
    problems.extend(_client_problems(found, results, clients))
    problems.extend(_error_problems(results, error_limit))
    if not samples and not problems:
        problems.append("no second of mstone's series is whole")
    if problems:  # in a valid run a client may complain of what is below the limit
        problems = [*_complaints(found)[:_MOST_COMPLAINTS], *problems]
    summary = dict(results.figures)
    if samples:
        summary["clock_uncertainty_s"] = 1.0 + RAMP_S / max(1, clients)
    return Timeline(
        work_unit="messages",
        period_s=1.0,
        samples=samples,
        problems=tuple(problems),
        summary=summary,
        latency=LATENCY,
    )


@dataclass(slots=True)
class _Results:
    duration_s: int | None = None
    reporting: tuple[int, int] | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    problems: Sequence[str] = ()


def _results(texts: Sequence[str]) -> _Results:
    """The totals of results.txt, by the names of the rows under its first table's header."""
    found = _Results()
    columns: list[str] = []
    tries: dict[str, dict[str, float]] = {}
    for text in texts:
        if (clients := _CLIENTS.fullmatch(text)) is not None:
            found.reporting = (int(clients[1]), int(clients[2]))
        elif (duration := _DURATION.fullmatch(text)) is not None:
            found.duration_s = int(duration[1]) * _UNIT_S[duration[2]]
        elif not columns and _TOTALS.fullmatch(text):
            columns = text.split()[1:]
        elif columns and (row := _ROW.fullmatch(text)) is not None and row["name"] not in tries:
            tries[row["name"]] = dict(zip(columns, map(float, row["values"].split()), strict=False))
    total, submit = tries.get("total", {}), tries.get("submit", {})
    missing = [
        name for name, what in (("total", total), ("submit", submit)) if not {"Try", "Error"} <= set(what)
    ]
    problems = []
    if texts and (missing or found.reporting is None or found.duration_s is None):
        problems.append(f"{RESULTS} is not of mstone 4.9: {', '.join(missing) or 'its heading'} is missing")
    found.problems = problems
    if not missing:
        figures = {"tries": total["Try"], "errors": total["Error"], "messages": submit["Try"]}
        figures |= {
            name: submit[key] for key, name in (("Time", "mean_s"), ("TMax", "max_s")) if key in submit
        }
        found.figures = figures
    return found


@dataclass(frozen=True, slots=True)
class _Second:
    number: int
    messages: float
    errors: float
    mean_s: float | None


def _series(texts: Sequence[str]) -> tuple[Sequence[_Second], Sequence[str]]:
    """The rows of time-SMTP.csv by the names of its header."""
    wanted = ("time", "SMTP:submit:Try", "SMTP:submit:Error", "SMTP:submit:Time", "SMTP:total:Error")
    rows: list[_Second] = []
    content = [text for text in texts if text.strip()]
    if not content:
        return (), ()
    header = content[0].split(",")
    if missing := [name for name in wanted if name not in header]:
        return (), (f"{SERIES} is not of mstone 4.9: {missing[0]} is missing",)
    torn = 0
    for text in content[1:]:
        values = text.split(",")
        row = dict(zip(header, values, strict=False))
        figures = [_number(row.get(name)) for name in wanted]
        if len(values) != len(header) or None in figures:
            torn += 1
            continue
        number, tried, refused, mean_s, errors = (figure for figure in figures if figure is not None)
        if rows and number <= rows[-1].number:
            return rows, (f"{SERIES} does not count up after second {rows[-1].number}",)
        messages = max(0.0, tried - refused)
        rows.append(_Second(int(number), messages, errors, mean_s if tried else None))
    return rows, (f"{torn} rows of {SERIES} are torn",) if torn else ()


def _samples(rows: Sequence[_Second], begin: int, duration_s: int | None) -> Iterator[Sample]:
    """Each row at its end; mstone shuts down in the last second and after it."""
    for row in rows:
        if duration_s is not None and row.number >= duration_s - 1:
            return
        t_ns = begin + (row.number + 1) * NS_PER_S
        yield Sample(t_ns=t_ns, work=row.messages, latency_s=row.mean_s, lost=round(row.errors))


def _begin(lines: Sequence[Line]) -> int | None:
    """When mstone said that it starts its clients, or when it was started itself."""
    for line in lines:
        if line.source == GENERATOR and _STARTING.match(line.text):
            return line.t_ns
    mark = marks.rest_of(lines, "started")
    return None if mark is None else mark[0]


def _run_problems(
    lines: Sequence[Line], found: Mapping[str, Sequence[str]], begin: int | None
) -> Iterator[str]:
    """The problems of the run, the cause first: how it ended, then what was said last."""
    ended = marks.rest_of(lines, "ended")
    if begin is None:
        yield "mstone was not started"
        yield f"it said last: {marks.last_words(line.text for line in lines if line.source == GENERATOR)}"
    elif ended is None or ended[1].strip() != "0":
        status = "" if ended is None else ended[1].strip()[:20]
        yield "mstone did not end by itself" if ended is None else f"mstone ended with status {status}"
        yield f"mstone said last: {marks.last_words(found.get('started', ()))}"
    if begin is not None and ended is not None:
        yield from (f"mstone wrote no {name}" for name in (RESULTS, SERIES) if not _text(found.get(name, ())))


def _complaints(found: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """The complaints of mstone's clients, each different one once, without their greeting."""
    said = [matched[1] for text in found.get(ERRORS, ()) if (matched := _CLIENT_SAID.fullmatch(text))]
    return [
        f"mstone's client said: {text[:200]}" for text in dict.fromkeys(said) if not _GREETING.match(text)
    ]


def _client_problems(found: Mapping[str, Sequence[str]], results: _Results, clients: int) -> Iterator[str]:
    if results.reporting is not None:
        reporting, started = results.reporting
        if reporting < started or started != clients:
            yield f"{reporting} of {started} clients reported, {clients} were asked for"
    files = [_text(texts) for name, texts in found.items() if name.startswith("clients-")]
    if _text(found.get(RESULTS, ())) and not any(len(file) > 1 for file in files):
        yield "no client left its own results (clients-*.csv)"


def _error_problems(results: _Results, limit: float) -> Iterator[str]:
    tries, errors = results.figures.get("tries"), results.figures.get("errors")
    if tries is None or errors is None:
        return
    if not tries or not results.figures.get("messages"):
        yield "mstone sent no message"
    elif errors > limit * tries:
        yield f"{errors:.0f} of {tries:.0f} tries failed ({errors / tries:.1%}); the limit is {limit:.1%}"


def _text(texts: Sequence[str]) -> list[str]:
    return [text for text in texts if text.strip()]


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value < 1e12 else None
