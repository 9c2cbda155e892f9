"""A run's numbers: every metric of every finished attempt as one tidy table, and the series behind figures.

The table is computed from the evidence alone and can be computed anew at any time; writing it twice gives the
same bytes. Nothing is summarised and nothing left out here: an attempt that is not valid is in the table with
its verdict, and a metric that could not be had is a row with its reason. Half-finished attempts do not count.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from harness import workloads
from harness.errors import PrerequisiteError, RecordError, UsageError
from harness.journal import Json
from harness.metric import Metric, NotMeasured, Value, extensions
from harness.migration import brownout, metrics, outage, switchover, transfer, trial_metrics
from harness.migration.evidence import Attempt, Migration, attempts, number, seconds
from harness.store import RunFolder, read_json, write_atomic
from harness.workloads.contract import Line, Timeline

COLUMNS: Mapping[str, tuple[str, str]] = {
    "campaign": ("string", "The campaign's name."),
    "run": ("string", "The run: the name of its folder, `<utc>-<short id>`."),
    "trial": ("string", "The trial's id in the plan, such as `001-idle`."),
    "attempt": ("int64", "Which try at the trial, from 1."),
    "verdict": ("string", "`valid`, `invalid`, `unknown` or `skipped`; only `valid` counts in summaries."),
    "kind": ("string", "`migrations`, or `control` for a trial without any."),
    "workload": ("string", "The workload's name."),
    "generator": ("string", "The load generator and its version."),
    "substitutes": ("string", "The paper's generator that it stands in for; empty where it is the paper's."),
    "repetition": ("Int64", "Which repetition of the workload, from 1."),
    "migration": ("Int64", "The migration's number in its trial, from 1; empty for a metric of the trial."),
    "direction": ("string", "`a->b` or `b->a`; empty for the trial's and where nothing started."),
    "planned_s": ("float64", "When the migration was planned, seconds after t = 0."),
    "first_after_boot": ("boolean", "Whether it was the guest's first since its start."),
    "metric": ("string", "The metric's name, one of those below."),
    "value": ("float64", "The number in `unit`; empty when there is none, never 0 for that."),
    "unit": ("string", "The value's unit: seconds and bytes throughout; work is in the workload's own unit."),
    "better": ("string", "`lower`, `higher` or `none`."),
    "observer": ("string", "Who saw it, as in the journal; several are joined by ` + `."),
    "resolution": ("float64", "The least difference the observer sees, in `unit`; empty where not known."),
    "uncertainty": ("float64", "The value is certain within ± this, in `unit`; empty where not known."),
    "reason": ("string", "Why there is no value; always there then, and only then."),
    "rig": ("string", "`lab` or `pair`."),
    "accelerator": ("string", "`kvm` or `tcg`: what the guest ran under."),
}  # fmt: skip
"""The table's columns in order: pandas type and meaning."""

METRICS: tuple[Metric[Any], ...] = (*metrics.METRICS, *trial_metrics.METRICS)
"""The project's own metrics in the order of the table; :func:`registry` has the others' too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Every known metric, those of a migration and those of a trial."""

    migration: tuple[Metric[Migration], ...]
    trial: tuple[Metric[Attempt], ...]

    @property
    def all(self) -> tuple[Metric[Any], ...]:
        """All of them, in the order of the table."""
        return (*self.migration, *self.trial)


def registry() -> Registry:
    """The project's own metrics and those registered under ``sodbench.metrics``.

    Raises:
        PrerequisiteError: A registered one cannot be imported, or two have one name.
    """
    more = extensions()
    found = Registry(
        migration=(*metrics.METRICS, *(metric for metric in more if metric.scope == "migration")),
        trial=(*trial_metrics.METRICS, *(metric for metric in more if metric.scope == "trial")),
    )
    names = [metric.name for metric in found.all]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise PrerequisiteError(
            f"two metrics have the name {doubled[0]!r}",
            why="a package registers a metric under a name that is taken",
            remedy="remove the package, or ask its author for another name",
        )
    return found


def parse_output(workload: str, lines: Sequence[Line]) -> Timeline:
    """The timeline of a workload's stored output.

    Raises:
        NotMeasured: This installation does not know the workload, so that nobody can read its output.
    """
    try:
        return workloads.get(workload)().parse(lines)
    except (UsageError, PrerequisiteError) as error:
        raise NotMeasured(f"the output of {workload!r} cannot be read: {error.what}") from error


def read_attempts(run: RunFolder) -> Iterator[Attempt]:
    """The evidence of every finished attempt, in the order they finished.

    Raises:
        RecordError: The journal is damaged or missing.
    """
    return attempts(run, parse_output)


def compute(run: RunFolder) -> pd.DataFrame:
    """The tidy table of a run: one row a metric of a migration or of a trial; columns as in `COLUMNS`.

    Raises:
        RecordError: The manifest or the journal is damaged or missing.
    """
    known = registry()
    manifest = read_json(run.manifest)
    rows = [row for attempt in read_attempts(run) for row in _rows(run, manifest, attempt, known)]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype({name: kind for name, (kind, _) in COLUMNS.items()})


def _rows(
    run: RunFolder, manifest: dict[str, Json], attempt: Attempt, known: Registry
) -> Iterator[dict[str, object]]:
    common = _common(run, manifest, attempt)
    for migration in attempt.migrations:
        which = {
            "migration": migration.n,
            "direction": migration.direction,
            "planned_s": migration.planned_s,
            "first_after_boot": migration.first_after_boot,
        }
        for metric in known.migration:
            yield {**common, **which, **_reading(metric, metrics.measure(metric, migration))}
    for trial_metric in known.trial:
        yield {**common, **_reading(trial_metric, trial_metrics.measure(trial_metric, attempt))}


def _common(run: RunFolder, manifest: dict[str, Json], attempt: Attempt) -> dict[str, object]:
    generator = attempt.fact("workload.started", "generator")
    version = attempt.fact("workload.started", "version")
    repetition = attempt.fact("attempt.started", "repetition")
    return {
        "campaign": manifest.get("campaign") or run.root.parent.name,
        "run": run.root.name,
        "trial": attempt.trial,
        "attempt": attempt.attempt,
        "verdict": attempt.fact("attempt.finished", "verdict"),
        "kind": attempt.fact("attempt.started", "kind"),
        "workload": attempt.fact("attempt.started", "workload"),
        "generator": f"{generator} {version}" if generator and version else generator,
        "substitutes": attempt.fact("workload.started", "substitutes"),
        "repetition": repetition if isinstance(repetition, int) else None,
        "rig": manifest.get("rig"),
        "accelerator": attempt.fact("guest.started", "accelerator") or manifest.get("accelerator"),
    }


def _reading(metric: Metric[Any], value: Value) -> dict[str, object]:
    return {
        "metric": metric.name,
        "value": value.value,
        "unit": metric.unit if value.unit is None else value.unit,
        "better": metric.better,
        "observer": metric.observer,
        "resolution": value.resolution,
        "uncertainty": value.uncertainty,
        "reason": value.reason,
    }


def write(run: RunFolder) -> pd.DataFrame:
    """Compute the table and store it as metrics.parquet and metrics.csv; the same evidence, the same bytes.

    Raises:
        RecordError: The evidence is damaged.
        StorageError: The disk is full.
    """
    frame = compute(run)
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), buffer, compression="zstd")
    write_atomic(run.metrics_parquet, buffer.getvalue())
    write_atomic(run.metrics_csv, frame.to_csv(index=False, lineterminator="\n").encode())
    return frame


def read(run: RunFolder) -> pd.DataFrame:
    """The stored table.

    Raises:
        RecordError: It is missing, damaged, or of another version.
    """
    try:
        frame: pd.DataFrame = pq.read_table(run.metrics_parquet).to_pandas()
    except (OSError, pa.ArrowException) as error:
        raise RecordError(
            "the metrics cannot be read",
            where=str(run.metrics_parquet),
            why=str(error),
            remedy="compute them anew from the evidence with `sodbench report`",
        ) from error
    if list(frame.columns) != list(COLUMNS):
        raise RecordError(
            "the metrics have other columns than this version writes",
            where=str(run.metrics_parquet),
            why=f"found: {', '.join(map(str, frame.columns))}",
            remedy="compute them anew from the evidence with `sodbench report`",
        )
    return frame.astype({name: kind for name, (kind, _) in COLUMNS.items()})


def valid(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that count in summaries: those of valid attempts."""
    return frame[frame["verdict"] == "valid"]


def gaps(run: RunFolder) -> pd.DataFrame:
    """Every heartbeat gap longer than three periods, one row each; seconds, `start_s` from t = 0.

    `closed` is False for one that never ended: then `length_s` is only what was seen of it. `sender_s` is the
    longest the sender itself was silent around it. An attempt without a heartbeat has no rows.
    """
    columns = {
        "start_s": "float64", "length_s": "float64", "migration": "Int64", "requests": "Int64",
        "sender_s": "float64", "closed": "boolean",
    }  # fmt: skip
    return _table(run, columns, _gaps)


def _gaps(attempt: Attempt) -> Iterator[dict[str, object]]:
    zero_ns = attempt.window_ns
    for gap in outage.gaps(attempt):
        yield {
            "start_s": seconds(gap.start_ns - zero_ns),
            "length_s": gap.length_s,
            "migration": gap.migration,
            "requests": gap.requests,
            "sender_s": gap.sender_s,
            "closed": gap.closed,
        }


def pauses(run: RunFolder) -> pd.DataFrame:
    """Every STOP and RESUME on one host that is no switch-over; seconds, `start_s` from t = 0."""
    columns = {"host": "string", "start_s": "float64", "length_s": "float64", "migration": "Int64"}
    return _table(run, columns, _pauses)


def _pauses(attempt: Attempt) -> Iterator[dict[str, object]]:
    zero_ns = attempt.window_ns
    for pause in switchover.pauses(attempt):
        yield {
            "host": pause.host,
            "start_s": seconds(pause.start_ns - zero_ns),
            "length_s": pause.length_s,
            "migration": pause.migration,
        }


def precopy(run: RunFolder) -> pd.DataFrame:
    """The pre-copy curves, one row a sample: `t_s` from the migration's start, `window_s` from t = 0.

    Bytes and bytes a second; a field libvirt did not give is missing.
    """
    columns = {
        "migration": "Int64", "t_s": "float64", "window_s": "float64", "iteration": "Int64",
        "remaining_bytes": "float64", "processed_bytes": "float64", "dirty_bytes_s": "float64",
        "bandwidth_bytes_s": "float64",
    }  # fmt: skip
    return _table(run, columns, _precopy)


def _precopy(attempt: Attempt) -> Iterator[dict[str, object]]:
    zero_ns = attempt.window_ns
    for migration in attempt.migrations:
        for t_ns, stats in transfer.samples(migration):
            yield {
                "migration": migration.n,
                "t_s": seconds(t_ns - migration.started_ns),
                "window_s": seconds(t_ns - zero_ns),
                "iteration": number(stats, "memory_iteration"),
                "remaining_bytes": number(stats, "data_remaining"),
                "processed_bytes": number(stats, "data_processed"),
                "dirty_bytes_s": transfer.bytes_of(stats, "memory_dirty_rate") or None,  # 0: not known yet
                "bandwidth_bytes_s": number(stats, "memory_bps"),
            }


def timelines(run: RunFolder) -> pd.DataFrame:
    """The workloads' reports, one row each: arrival `t_s` from t = 0, `work` since the one before, `rate`.

    `work` is in `work_unit`, `rate` in that a second. A workload that does nothing countable has no rows.
    """
    columns = {
        "t_s": "float64", "work": "float64", "work_unit": "string", "rate": "float64", "latency_s": "float64"
    }  # fmt: skip
    return _table(run, columns, _timeline)


def _timeline(attempt: Attempt) -> Iterator[dict[str, object]]:
    zero_ns = attempt.window_ns
    rates = {step.end_ns: step.rate for step in brownout.rate_of(attempt).steps}
    timeline = outage.timeline_of(attempt)
    for sample in timeline.samples:
        yield {
            "t_s": seconds(sample.t_ns - zero_ns),
            "work": sample.work,
            "work_unit": timeline.work_unit,
            "rate": rates.get(sample.t_ns),
            "latency_s": sample.latency_s,
        }


def heartbeat(run: RunFolder) -> pd.DataFrame:
    """Every heartbeat reply, one row each: arrival `t_s` from t = 0 and the `span_s` since the one before."""
    return _table(run, {"t_s": "float64", "span_s": "float64"}, _replies)


def _replies(attempt: Attempt) -> Iterator[dict[str, object]]:
    zero_ns = attempt.window_ns
    beat = outage.heartbeat(attempt)
    spans: list[float | None] = [None, *(seconds(int(span_ns)) for span_ns in beat.spans_ns)]
    for reply_ns, span_s in zip(beat.replies_ns, spans, strict=True):
        yield {"t_s": seconds(int(reply_ns) - zero_ns), "span_s": span_s}


def _table(
    run: RunFolder, columns: Mapping[str, str], rows: Callable[[Attempt], Iterator[dict[str, object]]]
) -> pd.DataFrame:
    """The `rows` of every finished attempt under trial, attempt, workload and `columns`, typed."""
    found: list[dict[str, object]] = []
    for attempt in read_attempts(run):
        key = {
            "trial": attempt.trial,
            "attempt": attempt.attempt,
            "workload": attempt.fact("attempt.started", "workload"),
        }
        try:
            found += [{**key, **row} for row in rows(attempt)]
        except NotMeasured:
            continue  # the table of metrics has the reason; a figure shows that there is nothing
    types = {"trial": "string", "attempt": "int64", "workload": "string", **columns}
    return pd.DataFrame(found, columns=list(types)).astype(types)
