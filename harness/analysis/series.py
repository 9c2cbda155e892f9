"""The series behind figures: one tidy table each of gaps, pauses, pre-copy curves, reports and replies.

The functions take attempts that were read already, so that a caller who needs several reads the evidence
once. An attempt without the evidence has no rows; the table of metrics has the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import pandas as pd

from harness.evidence.attempt import Attempt, seconds
from harness.evidence.metric import NotMeasured
from harness.migration.measures import brownout, outage, switchover, transfer


def gaps(attempts: Iterable[Attempt]) -> pd.DataFrame:
    """Every heartbeat gap longer than three periods, one row each; seconds, `start_s` from t = 0.

    `closed` is False for one that never ended: then `length_s` is only what was seen of it. `sender_s` is the
    longest the sender itself was silent around it; `during` is whether the gap overlaps its migration. An
    attempt without a heartbeat has no rows.
    """
    columns = {
        "start_s": "float64", "length_s": "float64", "migration": "Int64", "requests": "Int64",
        "sender_s": "float64", "during": "boolean", "closed": "boolean",
    }  # fmt: skip
    return _table(attempts, columns, _gaps)


def _gaps(attempt: Attempt) -> Iterator[dict[str, object]]:
    zero_ns = attempt.window_ns
    for gap in outage.gaps(attempt):
        yield {
            "start_s": seconds(gap.start_ns - zero_ns),
            "length_s": gap.length_s,
            "migration": gap.migration,
            "requests": gap.requests,
            "sender_s": gap.sender_s,
            "during": gap.during,
            "closed": gap.closed,
        }


def pauses(attempts: Iterable[Attempt]) -> pd.DataFrame:
    """Every STOP and RESUME on one host that is no switch-over; seconds, `start_s` from t = 0."""
    columns = {"host": "string", "start_s": "float64", "length_s": "float64", "migration": "Int64"}
    return _table(attempts, columns, _pauses)


def _pauses(attempt: Attempt) -> Iterator[dict[str, object]]:
    zero_ns = attempt.window_ns
    for pause in switchover.pauses(attempt):
        yield {
            "host": pause.host,
            "start_s": seconds(pause.start_ns - zero_ns),
            "length_s": pause.length_s,
            "migration": pause.migration,
        }


def precopy(attempts: Iterable[Attempt]) -> pd.DataFrame:
    """The pre-copy curves, one row a sample: `t_s` from the migration's start, `window_s` from t = 0.

    Bytes and bytes a second; a field libvirt did not give is missing.
    """
    columns = {
        "migration": "Int64", "t_s": "float64", "window_s": "float64", "iteration": "Int64",
        "remaining_bytes": "float64", "processed_bytes": "float64", "dirty_bytes_s": "float64",
        "bandwidth_bytes_s": "float64",
    }  # fmt: skip
    return _table(attempts, columns, _precopy)


def _precopy(attempt: Attempt) -> Iterator[dict[str, object]]:
    zero_ns = attempt.window_ns
    for migration in attempt.migrations:
        for t_ns, stats in transfer.samples(migration):
            yield {
                "migration": migration.n,
                "t_s": seconds(t_ns - migration.started_ns),
                "window_s": seconds(t_ns - zero_ns),
                "iteration": transfer.plausible(stats, "memory_iteration"),
                "remaining_bytes": transfer.plausible(stats, "data_remaining"),
                "processed_bytes": transfer.plausible(stats, "data_processed"),
                "dirty_bytes_s": transfer.bytes_of(stats, "memory_dirty_rate") or None,  # 0: not known yet
                "bandwidth_bytes_s": transfer.plausible(stats, "memory_bps"),
            }


def timelines(attempts: Iterable[Attempt]) -> pd.DataFrame:
    """The workloads' reports, one row each: arrival `t_s` from t = 0, `work` since the one before, `rate`.

    `work` is in `work_unit`, `rate` in that a second, `latency_s` is what `latency` says. A workload that
    does nothing countable has no rows.
    """
    columns = {
        "t_s": "float64", "work": "float64", "work_unit": "string", "rate": "float64",
        "latency_s": "float64", "latency": "string", "lost": "Int64",
    }  # fmt: skip
    return _table(attempts, columns, _timeline)


def _timeline(attempt: Attempt) -> Iterator[dict[str, object]]:
    zero_ns = attempt.window_ns
    rates = {step.end_ns: step.rate for step in brownout.rate_of(attempt).steps}
    timeline = brownout.timeline_of(attempt)
    for sample in timeline.samples:
        yield {
            "t_s": seconds(sample.t_ns - zero_ns),
            "work": sample.work,
            "work_unit": timeline.work_unit,
            "rate": rates.get(sample.t_ns),
            "latency_s": sample.latency_s,
            "latency": timeline.latency or None,
            "lost": sample.lost,
        }


def heartbeat(attempts: Iterable[Attempt]) -> pd.DataFrame:
    """Every heartbeat reply, one row each: arrival `t_s` from t = 0 and the `span_s` since the one before."""
    return _table(attempts, {"t_s": "float64", "span_s": "float64"}, _replies)


def _replies(attempt: Attempt) -> Iterator[dict[str, object]]:
    zero_ns = attempt.window_ns
    beat = outage.heartbeat(attempt)
    spans: list[float | None] = [None, *(seconds(int(span_ns)) for span_ns in beat.spans_ns)]
    for reply_ns, span_s in zip(beat.replies_ns, spans, strict=True):
        yield {"t_s": seconds(int(reply_ns) - zero_ns), "span_s": span_s}


def _table(
    attempts: Iterable[Attempt],
    columns: Mapping[str, str],
    rows: Callable[[Attempt], Iterator[dict[str, object]]],
) -> pd.DataFrame:
    """The `rows` of every finished attempt under trial, attempt, workload and `columns`, typed."""
    found: list[dict[str, object]] = []
    for attempt in attempts:
        key = {
            "trial": attempt.trial,
            "attempt": attempt.attempt,
            "workload": attempt.workload or None,
        }
        try:
            found += [{**key, **row} for row in rows(attempt)]
        except NotMeasured:
            continue  # the table of metrics has the reason; a figure shows that there is nothing
    types = {"trial": "string", "attempt": "int64", "workload": "string", **columns}
    return pd.DataFrame(found, columns=list(types)).astype(types)
