"""The tidy table: what is in it, that it is the same twice, and that a damaged one is an error."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from harness.analysis import glossary, series
from harness.analysis import table as results
from harness.errors import PrerequisiteError, RecordError
from harness.evidence.folder import RunFolder
from tests import tables
from tests.migration.runs import SMALL
from tests.synthetic.evidence import AttemptTruth, Truths, build


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return build(tmp_path_factory.mktemp("results") / "demo" / "20260921T141320Z-abc123")


def test_one_row_a_metric_a_migration_and_a_trial(run: RunFolder) -> None:
    table = results.compute(run)
    known = results.metric_set()
    assert len(table) == 2 * (5 * len(known.of_migrations) + len(known.trial))
    assert list(table.columns) == list(results.COLUMNS)
    assert not table.duplicated(["trial", "attempt", "migration", "metric"]).any()
    assert set(table["run"]) == {"20260921T141320Z-abc123"}
    assert set(table["campaign"]) == {"demo"}
    assert set(table["rig"]) == {"lab"}
    assert set(table["accelerator"]) == {"tcg"}


def test_generator_and_repetition_are_the_journals(run: RunFolder) -> None:
    table = results.compute(run)
    file = table[table["workload"] == "file"]
    assert set(file["generator"]) == {"dbench 4.00"}
    assert set(file["repetition"]) == {1}
    assert file["substitutes"].isna().all()


def test_every_null_has_a_reason_and_only_nulls(run: RunFolder) -> None:
    table = results.compute(run)
    assert (table["value"].isna() == table["reason"].notna()).all()


def test_writing_twice_gives_the_same_bytes(run: RunFolder) -> None:
    results.write(run)
    first = run.metrics_parquet.read_bytes(), run.metrics_csv.read_bytes()
    written = results.write(run)
    assert (run.metrics_parquet.read_bytes(), run.metrics_csv.read_bytes()) == first
    pd.testing.assert_frame_equal(tables.read(run), written)
    assert list(pd.read_csv(run.metrics_csv).columns) == list(results.COLUMNS)


def test_a_run_without_a_manifest_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordError):
        results.compute(RunFolder(tmp_path))


def test_attempts_are_kept_and_half_finished_ones_left_out(tmp_path: Path) -> None:
    one = SMALL.attempts[0]
    attempts = (
        replace(one, trial="001-file", attempt=1, verdict="invalid", reasons=("dbench died",)),
        replace(one, trial="001-file", attempt=2),
        replace(one, trial="002-file", finished=False),
    )
    table = results.compute(build(tmp_path, replace(SMALL, attempts=attempts)))
    assert {(key, number) for key, number in zip(table["trial"], table["attempt"], strict=True)} == {
        ("001-file", 1),
        ("001-file", 2),
    }
    assert set(results.valid(table)["attempt"]) == {2}


def test_a_run_in_which_nothing_finished_is_an_empty_table(tmp_path: Path) -> None:
    run = build(tmp_path, Truths(attempts=(AttemptTruth(finished=False),)))
    assert results.write(run).empty
    assert tables.read(run).empty
    assert list(tables.read(run).columns) == list(results.COLUMNS)


def test_the_series_are_in_seconds_from_the_windows_opening(run: RunFolder) -> None:
    lines = series.timelines(results.read_attempts(run))
    assert set(lines["trial"]) == {"002-file"}
    assert set(lines["work_unit"]) == {"operations"}
    assert lines["t_s"].min() < 0 < lines["t_s"].max() <= 61
    curve = series.precopy(results.read_attempts(run))
    first = curve[(curve["trial"] == "001-idle") & (curve["migration"] == 1)]
    assert first["t_s"].is_monotonic_increasing and 0 < first["t_s"].min() < first["t_s"].max() < 3
    assert (first["window_s"] - first["t_s"]).tolist() == pytest.approx([0.003] * len(first), abs=1e-9)
    assert first["processed_bytes"].is_monotonic_increasing
    replies = series.heartbeat(results.read_attempts(run))
    assert replies["span_s"].max() == series.gaps(results.read_attempts(run))["length_s"].max()
    assert len(series.gaps(results.read_attempts(run))) == 10


def test_two_metrics_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "extensions", lambda: (results.METRICS[0],))
    with pytest.raises(PrerequisiteError, match="total_time"):
        results.metric_set()


def test_metrics_declare_what_a_report_needs() -> None:
    for metric in results.METRICS:
        assert metric.definition.endswith("."), metric.name
        assert metric.title and metric.source and metric.observer, metric.name
        assert metric.name == metric.name.lower(), metric.name


def test_the_readme_says_what_the_code_says() -> None:
    text = glossary.README.read_text(encoding="utf-8")
    assert glossary.rendered(text) == text, "run `python -m harness.analysis.glossary`"
    for name in [*results.COLUMNS, *(metric.name for metric in results.METRICS)]:
        assert f"`{name}`" in text


def test_the_papers_tables_are_there() -> None:
    folder = glossary.README.parent / "reference"
    table = pd.read_csv(folder / "table5_migration.csv").set_index("workload")
    assert len(table) == 7
    assert [table[name]["idle"] for name in table] == [2.6, 200, 212.34]
    text = glossary.README.read_text(encoding="utf-8")
    assert all(path.name in text for path in folder.glob("*.csv"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('=HYPERLINK("http://x")', '\'=HYPERLINK("http://x")'),
        ("+1+1", "'+1+1"),
        ("-1+1", "'-1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t'=1"),
        ("\r=1", "'\r'=1"),
    ],
)
def test_a_text_is_no_formula_in_the_csv(text: str, shown: str) -> None:
    frame = pd.DataFrame({"detail": [text, "plain", None], "value": [-1.5, 2.0, None]})
    frame = frame.astype({"detail": "string"})
    kept = results.inert(frame)
    assert kept["detail"].tolist()[:2] == [shown, "plain"]
    assert kept["detail"].isna().tolist() == [False, False, True]
    assert kept["value"].tolist()[:2] == [-1.5, 2.0]
    assert frame["detail"].tolist()[0] == text


def test_the_csv_of_a_run_is_written_without_formulas(tmp_path: Path) -> None:
    one = replace(SMALL.attempts[0], generator="=1+1", version="4.00")
    run = build(tmp_path, replace(SMALL, attempts=(one,)))
    results.write(run)
    assert set(pd.read_csv(run.metrics_csv)["generator"]) == {"'=1+1 4.00"}
    assert set(pd.read_parquet(run.metrics_parquet)["generator"]) == {"=1+1 4.00"}
