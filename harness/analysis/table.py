"""A run's numbers: every metric of every finished attempt as one tidy table.

The table is computed from the evidence alone and can be computed again at any time with the same bytes.
Nothing is summarised and nothing left out: an attempt that is not valid is in the table with its verdict, and
a metric that could not be measured is a row with its reason. Unfinished attempts do not count.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from harness import workloads
from harness.attest.measures import line as record
from harness.attest.measures import table as attestation_table
from harness.errors import PrerequisiteError, UsageError
from harness.evidence.attempt import Attempt, Migration
from harness.evidence.events import AttemptStarted
from harness.evidence.folder import RunFolder, read_manifest
from harness.evidence.metric import Metric, NotMeasured, Value, extensions
from harness.evidence.reading import attempts
from harness.files import write_atomic
from harness.json_types import Json
from harness.migration.measures import interval_metrics, intervals, metrics, trial_metrics
from harness.migration.measures.intervals import Interval
from harness.response.measures import metrics as response_metrics
from harness.response.measures import table as response_table
from harness.sentence import sentence
from harness.workloads.contract import Line, Timeline

COLUMNS: Mapping[str, tuple[str, str]] = {
    "campaign": ("string", "The campaign's name."),
    "run": ("string", "The run: the name of its folder, `<utc>-<short id>`."),
    "trial": ("string", "The trial's id in the plan, such as `001-idle`."),
    "attempt": ("int64", "Which try at the trial, from 1."),
    "verdict": ("string", "`valid`, `invalid`, `unknown` or `skipped`; only `valid` counts in summaries."),
    "kind": ("string", "`migrations`, or `control` for a trial without any: the noise floor, in no mean."),
    "workload": ("string", "The workload's name."),
    "generator": ("string", "The load generator and its version."),
    "substitutes": ("string", "The paper's generator that it stands in for; empty where it is the paper's."),
    "repetition": ("Int64", "Which repetition of the workload, from 1."),
    "migration": ("Int64", "The migration's number in its trial, from 1; in a control trial its slot's; "
                  "empty for a metric of the trial."),
    "direction": ("string", "`a->b` or `b->a`; empty for the trial's and where nothing started."),
    "planned_s": ("float64", "When the migration was planned, or its slot begins, seconds after t = 0."),
    "first_after_boot": ("boolean", "Whether it was the guest's first since its start."),
    "metric": ("string", "The metric's name, one of those below."),
    "value": ("float64", "The number in `unit`; empty when there is none, never 0 for that."),
    "unit": ("string", "The value's unit: seconds and bytes throughout; work is in the workload's own unit."),
    "better": ("string", "`lower`, `higher` or `none`."),
    "observer": ("string", "Who saw it, as in the journal; several are joined by ` + `."),
    "resolution": ("float64", "The least difference the observer sees, in `unit`; empty where not known."),
    "uncertainty": ("float64", "The value is certain within ± this, in `unit`; empty where not known."),
    "note": ("string", "What the value is where its metric leaves that to the tool; empty elsewhere."),
    "reason": ("string", "Why there is no value; always there then, and only then."),
    "rig": ("string", "`lab` or `pair`; `played` where no machine exists and nothing was measured."),
    "accelerator": ("string", "`kvm` or `tcg`: what the guest ran under."),
}  # fmt: skip
"""The table's columns in order: pandas type and meaning."""

VARIANT: Mapping[str, tuple[str, str]] = {
    "variant": ("string", "Under which of the campaign's variants; the column is there where it has any."),
}
"""The last column of every table of a run with variants."""

GUEST: Mapping[str, tuple[str, str]] = {
    "guest": ("string", "Which of several guests; the column is there where it names any."),
}
"""The column of every table of a run with several guests; that of the variant is behind it."""

METRICS: tuple[Metric[Any], ...] = (
    *metrics.METRICS,
    *interval_metrics.METRICS,
    *trial_metrics.METRICS,
    *response_metrics.METRICS,
    *response_metrics.LAUNCH,
)
"""The project's own metrics in the order of the table; :func:`metric_set` has the others' too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSet:
    """Every known metric: those of a migration alone, of any interval, and of a trial.

    The last two are read of trials that demonstrate a response only: of their migrations, and of themselves.
    """

    migration: tuple[Metric[Migration], ...]
    interval: tuple[Metric[Interval], ...]
    trial: tuple[Metric[Attempt], ...]
    response: tuple[Metric[Migration], ...] = response_metrics.METRICS
    launch: tuple[Metric[Attempt], ...] = response_metrics.LAUNCH

    @property
    def all(self) -> tuple[Metric[Any], ...]:
        """All of them, in the order of the table."""
        return (*self.migration, *self.interval, *self.trial, *self.response, *self.launch)

    @property
    def of_migrations(self) -> tuple[Metric[Migration], ...]:
        """The metrics of every migration: its own, and those of its interval."""
        return (*self.migration, *self.interval)


def metric_set() -> MetricSet:
    """The project's own metrics and those registered under ``sodbench.metrics``.

    Raises:
        PrerequisiteError: A registered one cannot be imported, or two have one name.
    """
    more = extensions()
    found = MetricSet(
        migration=(*metrics.METRICS, *(metric for metric in more if metric.scope == "migration")),
        interval=(*interval_metrics.METRICS, *(metric for metric in more if metric.scope == "interval")),
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


def parse_output(workload: str, options: Mapping[str, Json], lines: Sequence[Line]) -> Timeline:
    """The timeline of a workload's stored output, read by the workload as it was chosen.

    Raises:
        NotMeasured: This installation does not know the workload or its options, so it cannot read its
            output.
    """
    try:
        return workloads.make(workload, options).parse(lines)
    except (UsageError, PrerequisiteError) as error:
        raise NotMeasured(f"the output of {workload!r} cannot be read: {error.what}") from error
    except ValidationError as error:
        raise NotMeasured(
            f"the output of {workload!r} cannot be read: its option {sentence(error)}"
        ) from error


def read_attempts(run: RunFolder) -> Iterator[Attempt]:
    """The evidence of every finished attempt, in the order they finished.

    Raises:
        RecordError: The journal is damaged or missing.
    """
    return attempts(run, parse_output)


def compute(run: RunFolder, read: Iterable[Attempt] | None = None) -> pd.DataFrame:
    """The tidy table of a run: one row a metric of a migration, a slot or a trial; columns as in `COLUMNS`.

    Args:
        run: The run's folder.
        read: What :func:`read_attempts` gave, for who has it already.

    Raises:
        RecordError: The manifest or the journal is damaged or missing.
    """
    known = metric_set()
    manifest = read_manifest(run)
    evidence = read_attempts(run) if read is None else read
    rows = [_encodable(row) for attempt in evidence for row in _rows(run, manifest, attempt, known)]
    return _frame(rows, COLUMNS)


def _frame(rows: Sequence[Mapping[str, object]], columns: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """The rows under these columns, and that of the variant where there is any."""
    extra = {name: kind for name, kind in {**GUEST, **VARIANT}.items() if any(row.get(name) for row in rows)}
    whole = {**columns, **{name: kind for name, kind in extra.items() if name not in columns}}
    frame = pd.DataFrame(rows, columns=list(whole))
    return frame.astype({name: kind for name, (kind, _) in whole.items()})


def _rows(
    run: RunFolder, manifest: dict[str, Json], attempt: Attempt, known: MetricSet
) -> Iterator[dict[str, object]]:
    common = _common(run, manifest, attempt)
    responds = attempt.scenario is not None
    of_migrations = (*known.of_migrations, *known.response) if responds else known.of_migrations
    several = len(attempt.guests) > 1
    for migration in attempt.migrations:
        which = {
            "guest": migration.attempt.guests[0] if several else None,
            "migration": migration.n,
            "direction": migration.direction,
            "planned_s": migration.planned_s,
            "first_after_boot": migration.first_after_boot,
        }
        for metric in of_migrations:
            yield {**common, **which, **_reading(metric, metrics.measure(metric, migration))}
    for slot in intervals.slots(attempt):
        which = {"migration": slot.n, "planned_s": slot.planned_s}
        for interval_metric in known.interval:
            value = interval_metrics.measure(interval_metric, slot)
            yield {**common, **which, **_reading(interval_metric, value)}
    for trial_metric in known.trial:
        yield {**common, **_reading(trial_metric, trial_metrics.measure(trial_metric, attempt))}
    for of_guest, view in _views(attempt) if responds else ():
        for launch_metric in known.launch:
            value = trial_metrics.measure(launch_metric, view)
            yield {**common, **of_guest, **_reading(launch_metric, value)}


def _views(attempt: Attempt) -> list[tuple[dict[str, str], Attempt]]:
    """The attempt as each of its guests saw it, and which that is; the only guest is not named."""
    several = attempt.guests if len(attempt.guests) > 1 else ()
    return [({"guest": name}, attempt.of(name)) for name in several] or [({}, attempt)]


def _common(run: RunFolder, manifest: dict[str, Json], attempt: Attempt) -> dict[str, object]:
    started, load, guest = attempt.value(AttemptStarted), attempt.load, attempt.guest
    return {
        "campaign": manifest.get("campaign") or run.root.parent.name,
        "run": manifest.get("run") or run.root.name,
        "trial": attempt.trial,
        "attempt": attempt.attempt,
        "verdict": attempt.verdict,
        "kind": attempt.kind or None,
        "workload": attempt.workload or None,
        "generator": None if load is None else f"{load.generator} {load.version or ''}".rstrip(),
        "substitutes": None if load is None else load.substitutes,
        "repetition": None if started is None else started.repetition,
        "variant": attempt.variant,
        "rig": manifest.get("rig"),
        "accelerator": (guest and guest.accelerator) or manifest.get("accelerator"),
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
        "note": value.note,
        "reason": value.reason,
    }


def attestations(run: RunFolder, read: Iterable[Attempt] | None = None) -> pd.DataFrame:
    """Every attestation of the finished attempts, a row each: :mod:`harness.attest.measures.table`.

    Args:
        run: The run's folder.
        read: What :func:`read_attempts` gave, for who has it already.

    Raises:
        RecordError: The manifest, the journal or a file of attestations is damaged.
    """
    return _frame(_attestations(run, read_attempts(run) if read is None else read), attestation_table.COLUMNS)


def _attestations(run: RunFolder, read: Iterable[Attempt]) -> list[dict[str, object]]:
    manifest = read_manifest(run)
    return [_encodable(row) for attempt in read for row in _attested(run, manifest, attempt)]


def _attested(run: RunFolder, manifest: dict[str, Json], attempt: Attempt) -> Iterator[dict[str, object]]:
    stored = record.read(run.attempt(attempt.trial, attempt.attempt) / record.FILE)
    common = _common(run, manifest, attempt)
    common["trial_kind"] = common.pop("kind")
    return attestation_table.rows(attempt, stored, common)


def responses(run: RunFolder, read: Iterable[Attempt] | None = None) -> pd.DataFrame:
    """Every response of the finished attempts, a row each: :mod:`harness.response.measures.table`.

    Args:
        run: The run's folder.
        read: What :func:`read_attempts` gave, for who has it already.

    Raises:
        RecordError: The manifest or the journal is damaged or missing.
    """
    evidence = list(read_attempts(run) if read is None else read)
    return _frame(_responses(run, evidence), _response_columns(evidence))


def _responses(run: RunFolder, read: Iterable[Attempt]) -> list[dict[str, object]]:
    manifest = read_manifest(run)
    return [
        _encodable(row)
        for attempt in read
        for row in response_table.rows(attempt, _common(run, manifest, attempt))
    ]


def _response_columns(read: Iterable[Attempt]) -> dict[str, tuple[str, str]]:
    return response_table.columns(several=any(len(attempt.guests) > 1 for attempt in read))


def write(run: RunFolder) -> pd.DataFrame:
    """Compute the table and store it as metrics.parquet and metrics.csv; the same evidence, the same bytes.

    Where anything was attested, that table is stored as well, as attestations.parquet and .csv; so
    are responses, as responses.parquet and .csv.

    Raises:
        RecordError: The evidence is damaged.
        StorageError: The disk is full.
    """
    evidence = list(read_attempts(run))
    frame = compute(run, evidence)
    _store(frame, run.metrics_parquet, run.metrics_csv)
    if attested := _attestations(run, evidence):
        rows = _frame(attested, attestation_table.COLUMNS)
        _store(rows, run.root / "attestations.parquet", run.root / "attestations.csv")
    if responded := _responses(run, evidence):
        rows = _frame(responded, _response_columns(evidence))
        _store(rows, run.root / "responses.parquet", run.root / "responses.csv")
    return frame


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes a text for that begins so, in full width too: something to compute."""
_LATER = re.compile('([;\t\r\n]"*)(?=[=+@\uff1d\uff0b\uff0d\uff20-])')
"""Where a cell would begin so in a spreadsheet that takes something else than the comma for the separator."""


def _store(frame: pd.DataFrame, parquet: Path, text: Path) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), buffer, compression="zstd")
    write_atomic(parquet, buffer.getvalue())
    write_atomic(text, inert(frame).to_csv(index=False, lineterminator="\n").encode())


def inert(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with an apostrophe before each text that a spreadsheet would take for a formula.

    Texts are in part what attested machines call their files (OWASP, CSV injection). Numbers stay as they
    are, and so does the Parquet file.
    """
    texts = frame.select_dtypes(["string", "object"])
    return frame.assign(**{str(name): texts[name].map(_inert, na_action="ignore") for name in texts})


def _inert(value: object) -> object:
    if not isinstance(value, str):
        return value
    later = _LATER.sub(r"\1'", value)
    return f"'{later}" if value.lstrip('"').startswith(_FORMULA) else later


def _encodable(row: Mapping[str, object]) -> dict[str, object]:
    """`row` with valid UTF-8 texts, as the files need: an invalid byte of a name is escaped."""
    return {
        name: value.encode("utf-8", "backslashreplace").decode("utf-8") if isinstance(value, str) else value
        for name, value in row.items()
    }


def valid(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that count in summaries: those of valid trials that migrate."""
    return frame[frame["verdict"].eq("valid") & frame["kind"].ne("control")]


def floor(frame: pd.DataFrame) -> pd.DataFrame:
    """The noise floor: the rows of the slots of valid control trials, in which nothing was migrated."""
    return frame[frame["verdict"].eq("valid") & frame["kind"].eq("control") & frame["migration"].notna()]
