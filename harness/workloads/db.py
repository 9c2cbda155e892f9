"""The database server: sysbench's OLTP transactions against MariaDB, both in the guest.

sysbench reports a rate each second of the guest's time. That clock stands still with the guest, so that the
number in brackets places nothing: work is placed by when a line arrives. The rate times a second is the work,
which is exact to how far sysbench's second was from one.

With a rate asked for, transactions begin at random times that average to it and wait in a queue where the
server is late; latency then includes the wait, and sysbench prints a line about the queue after each report.
Without one each thread asks again as soon as it is answered, and the guest has no CPU left.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import ceil
from typing import ClassVar

from pydantic import BaseModel, Field

from harness.strict import Strict
from harness.workloads.contract import Line, Process, Sample, Site, Step, Timeline
from harness.workloads.steadiness import level

SOCKET = "/run/mysqld/mysqld.sock"
CLIENT = f"mariadb --socket={SOCKET} --user=sbtest --batch --skip-column-names"
PERIOD_S = 1

NUMBER = r"\d{1,12}\.\d{2}"
# sysbench 1.0 prints "thds: ... lat (ms,99%): ...", 0.5 "threads: ..., response time: ...ms (99%), ...".
REPORT = re.compile(
    rf"\[\s*\d+s\s*\]\s+(?:thds|threads):\s*\d+,?\s+tps:\s*(?P<tps>{NUMBER}),?\s.*"
    rf"(?:lat \(ms,99%\):|response time:)\s*(?P<latency_ms>{NUMBER})(?:\s*ms \(99%\))?,?\s+"
    rf"(?:err/s|errors):\s*(?P<errors>{NUMBER}),?\s+(?:reconn/s|reconnects):\s*(?P<reconnects>{NUMBER})",
    re.ASCII,
)
UNREAD = re.compile(r"\[\s*\d+s\s*\](?!\s*q).*", re.ASCII)
"""Begin of a report that cannot be read: torn, or with a rate that no counter can have, such as one that
ran over. A line about the queue has this prefix too and is no report."""

SCALE_END_MS = 100_000.0
"""sysbench's histogram of latencies ends here; everything that took longer is reported as this value."""

TOTAL = re.compile(r"(transactions|ignored errors|reconnects):\s+(\d{1,15})\s+\(.*", re.ASCII)
FAILURE = re.compile(r"^FATAL:|\binvalid option\b|not found|cannot open", re.IGNORECASE)


class DbOptions(Strict):
    """How hard sysbench works, and on which data."""

    threads: int = Field(default=4, ge=1, le=1024, description="connections that run transactions")
    rate: int = Field(
        default=4,
        ge=0,
        le=1_000_000,
        description="transactions a second, 0 for as many as go; 4 took three quarters of an emulated CPU",
    )
    tables: int = Field(default=4, ge=1, le=1024, description="tables to use; the image has no more")
    table_size: int = Field(
        default=50_000, ge=1, description="rows of each table to use; the image has no more"
    )


class Db:
    """sysbench OLTP in the guest (Table IV: database server, sysbench)."""

    name: ClassVar[str] = "db"
    title: ClassVar[str] = "Database server"
    # The buffer pool fills first; and single seconds of a random rate differ by its square root.
    steady_test: ClassVar[str] = (
        "the transactions of the last three reported seconds and of the three before them differ by at most "
        "25 % of their mean, and neither is 0"
    )
    Options: ClassVar[type[BaseModel]] = DbOptions
    generator = "sysbench"
    substitutes: str | None = None
    needs: Sequence[str] = ()

    def __init__(self, options: BaseModel) -> None:
        self._options = DbOptions.model_validate(options.model_dump())

    def version(self) -> Step | None:
        """Sysbench names itself before its version."""
        command = "sysbench --version | sed 's/^sysbench //'"
        return Step(what="ask sysbench for its version", machine="guest", command=command)

    def preparation(self, site: Site) -> Sequence[Step]:  # noqa: ARG002
        """MariaDB answers, and the image holds the data that the options ask for."""
        wait = f"until {CLIENT} --execute='SELECT 1'; do sleep 0.5; done"
        start = f"systemctl start mariadb.service && timeout 110 sh -c {shlex.quote(wait)}"
        tables, rows = self._options.tables, self._options.table_size
        query = (
            "SELECT COUNT(*), (SELECT MAX(id) FROM sbtest1) FROM information_schema.tables"
            " WHERE table_schema = 'sbtest' AND table_name REGEXP '^sbtest[0-9]+$'"
        )
        check = (
            f"set -- $({CLIENT} --execute={shlex.quote(query)} sbtest); "
            f'[ "${{1:-0}}" -ge {tables} ] && [ "${{2:-0}}" -ge {rows} ] || '
            f'{{ echo "it has ${{1:-no}} tables of ${{2:-no}} rows, not {tables} of {rows}" >&2; exit 1; }}'
        )
        return (
            Step(what="start MariaDB", machine="guest", command=start, timeout_s=120.0),
            Step(what="find the database's data set", machine="guest", command=check),
        )

    def processes(self, site: Site) -> Sequence[Process]:
        """Sysbench in the guest, for longer than the trial."""
        chosen = self._options
        command = (
            f"exec sysbench oltp_read_write --db-driver=mysql --mysql-socket={SOCKET} --mysql-user=sbtest "
            f"--mysql-db=sbtest --tables={chosen.tables} --table-size={chosen.table_size} "
            f"--threads={chosen.threads} --rate={chosen.rate} --time={max(1, ceil(site.limit_s))} "
            f"--report-interval={PERIOD_S} --percentile=99 run"
        )
        return (Process(machine="guest", command=command),)

    def steady(self, lines: Sequence[Line]) -> bool:
        """Whether `steady_test` holds for the output so far."""
        return level([sample.work for sample in self.parse(lines).samples])

    def parse(self, lines: Sequence[Line]) -> Timeline:
        """Each interval line as a sample; totals of the final block, where it was printed, as the summary."""
        reports = [(line, found) for line in lines if (found := REPORT.fullmatch(line.text.strip()))]
        unread = [line.t_ns for line in lines if _unread(line.text.strip())]
        totals = [found for line in lines if (found := TOTAL.fullmatch(line.text.strip()))]
        return Timeline(
            work_unit="transactions",
            period_s=float(PERIOD_S),
            samples=tuple(_sample(line, found) for line, found in reports),
            problems=tuple(_problems(lines, bool(reports), bool(totals))),
            summary={found[1].replace(" ", "_"): float(found[2]) for found in totals},
            latency="99th percentile",
            unobserved=tuple(_unobserved([line.t_ns for line, _ in reports], unread)),
        )


def _unread(text: str) -> bool:
    return UNREAD.fullmatch(text) is not None and REPORT.fullmatch(text) is None


def _unobserved(reports_ns: Sequence[int], unread_ns: Sequence[int]) -> Iterator[tuple[int, int]]:
    """From the line before each that cannot be read, read or not, to its own arrival."""
    unread = set(unread_ns)
    for before_ns, t_ns in pairwise(sorted({*reports_ns, *unread})):
        if t_ns in unread:
            yield before_ns, t_ns


def _sample(line: Line, report: re.Match[str]) -> Sample:
    """A report's rates times its interval; the 0.00 ms of one in which nothing was done are no latency."""
    work = float(report["tps"]) * PERIOD_S
    failed = (float(report["errors"]) + float(report["reconnects"])) * PERIOD_S
    latency_s = float(report["latency_ms"]) / 1000 if work > 0 else None
    if latency_s is not None and latency_s >= SCALE_END_MS / 1000:
        return Sample(t_ns=line.t_ns, work=work, latency_least_s=SCALE_END_MS / 1000, lost=round(failed))
    return Sample(t_ns=line.t_ns, work=work, latency_s=latency_s, lost=round(failed))


def _problems(lines: Sequence[Line], reported: bool, ended: bool) -> Iterator[str]:
    if not reported:
        yield (
            "no interval lines: this version of sysbench prints none"
            if ended
            else "no interval line was printed"
        )
    # Each thread says the same when the server goes.
    said = dict.fromkeys(line.text.strip()[:200] for line in lines if FAILURE.search(line.text.strip()))
    yield from (f"sysbench said: {text}" for text in list(said)[:5])
