"""A stored table is read where it is what would be computed, and computed again in every other case."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from harness.analysis import stored
from harness.analysis import table as results
from harness.evidence import seal
from harness.evidence.folder import RunFolder
from tests.played import campaigns
from tests.played.test_variants import TEXT


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = campaigns.begin(tmp_path, TEXT)
    assert campaigns.carry_out(run, TEXT) is not None
    return run


def reads(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the table is read and not computed."""
    computed: list[RunFolder] = []
    whole = results.compute

    def watched(one: RunFolder) -> pd.DataFrame:
        computed.append(one)
        return whole(one)

    monkeypatch.setattr(results, "compute", watched)
    found = stored.table(run)
    monkeypatch.undo()
    pd.testing.assert_frame_equal(found, results.compute(run))
    return not computed


def test_a_table_whose_sum_holds_is_read(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reads(run, monkeypatch)


def test_a_changed_table_is_computed_again(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = results.compute(run)
    results._store(frame.assign(value=1.0), run.metrics_parquet, run.metrics_csv)
    assert not reads(run, monkeypatch)


def test_a_table_of_other_metrics_is_computed_again(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = results.compute(run)
    for other in (frame[frame["metric"].ne("blackout")], frame.drop(columns="note")):
        results._store(other, run.metrics_parquet, run.metrics_csv)
        seal.keep_derived(run)
        assert not reads(run, monkeypatch)


@pytest.mark.parametrize("content", [b"", b"PAR1garbagePAR1"])
def test_what_is_no_table_is_computed_again(
    run: RunFolder, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.metrics_parquet.write_bytes(content)
    seal.keep_derived(run)
    assert not reads(run, monkeypatch)


def test_without_sums_or_table_it_is_computed(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    run.metrics_parquet.unlink()
    assert not reads(run, monkeypatch)
    (run.root / seal.EVIDENCE_SUMS).unlink()
    assert not reads(run, monkeypatch)
