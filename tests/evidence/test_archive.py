from __future__ import annotations

import gzip
import hashlib
import io
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis import table as results
from harness.errors import AlteredError, RecordError, UsageError
from harness.evidence import archive, inflate, seal
from harness.evidence.folder import RunFolder
from tests.synthetic import evidence


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with its tables and its sums, of which each test takes a copy."""
    made = evidence.build(tmp_path_factory.mktemp("closed") / "run")
    results.write(made)
    seal.close(made)
    seal.keep_derived(made)
    return made.root


@pytest.fixture
def run(closed: Path, tmp_path: Path) -> RunFolder:
    return RunFolder(shutil.copytree(closed, tmp_path / "run"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def test_a_run_comes_back_to_the_same_bytes_and_takes_less(run: RunFolder, tmp_path: Path) -> None:
    size = archive.pack(run, tmp_path / "packed")
    packed = contents(tmp_path / "packed")
    assert size == sum(map(len, packed.values())) < sum(map(len, contents(run.root).values())) / 3
    again = archive.unpack(tmp_path / "packed", tmp_path / "again")
    assert contents(again.root) == contents(run.root)


def test_the_metrics_come_out_again_to_the_same_bytes(run: RunFolder, tmp_path: Path) -> None:
    archive.pack(run, tmp_path / "packed")
    again = archive.unpack(tmp_path / "packed", tmp_path / "again" / run.root.name)
    before = again.metrics_parquet.read_bytes()
    again.metrics_parquet.unlink()
    results.write(again)
    assert again.metrics_parquet.read_bytes() == before


def test_the_same_run_packs_to_the_same_bytes(run: RunFolder, tmp_path: Path) -> None:
    archive.pack(run, tmp_path / "one")
    archive.pack(run, tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_series_are_parquet_and_text_is_gzip(run: RunFolder, tmp_path: Path) -> None:
    archive.pack(run, tmp_path / "packed")
    names = set(contents(tmp_path / "packed"))
    assert "journal.jsonl.gz" in names
    assert any(name.endswith("heartbeat.csv.parquet-of-csv") for name in names)
    assert "manifest.json" in names


def test_a_file_that_was_changed_is_not_packed(run: RunFolder, tmp_path: Path) -> None:
    run.plan.write_text("{}")
    with pytest.raises(RecordError, match="not what it was"):
        archive.pack(run, tmp_path / "packed")


def test_a_damaged_archive_is_named_and_nothing_is_written(run: RunFolder, tmp_path: Path) -> None:
    archive.pack(run, tmp_path / "packed")
    journal = tmp_path / "packed/journal.jsonl.gz"
    for damaged in (journal.read_bytes()[:-20], b"no gzip at all", gzip.compress(b"another journal\n")):
        journal.write_bytes(damaged)
        with pytest.raises(RecordError) as caught:
            archive.unpack(tmp_path / "packed", tmp_path / "again")
        assert (caught.value.exit_code, caught.value.why) == (21, "changed: journal.jsonl.gz")
        assert not (tmp_path / "again").exists()
    journal.unlink()
    with pytest.raises(RecordError, match="missing: journal"):
        archive.unpack(tmp_path / "packed", tmp_path / "again")


@pytest.mark.parametrize("kind", ["text", "series"])
def test_a_few_kilobytes_do_not_become_more_than_is_ever_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Their sum is right: it is the length alone that is refused."""
    monkeypatch.setattr(archive, "MAX_BYTES", 10**6)
    packed = tmp_path / "packed"
    packed.mkdir()
    whole = b"0\n" * 4_000_000
    if kind == "text":
        (packed / "x.csv.gz").write_bytes(gzip.compress(whole))
    else:
        zero = pa.table({"0": pa.array([0]).take(pa.array([0] * (len(whole) // 2 - 1)))})
        pq.write_table(zero, packed / "x.csv.parquet-of-csv", compression="zstd")
    (packed / "SHA256SUMS").write_text(f"{hashlib.sha256(whole).hexdigest()}  x.csv\n")
    with pytest.raises(AlteredError, match=r"changed: x\.csv"):
        archive.unpack(packed, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_run_that_could_not_be_unpacked_is_not_packed(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_BYTES", 10**4)
    with pytest.raises(RecordError, match="too large for an archive"):
        archive.pack(run, tmp_path / "packed")
    assert not (tmp_path / "packed").exists()


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../b", ""])
def test_a_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed/SHA256SUMS").write_text(f"{'0' * 64}  {name}\n")
    with pytest.raises(RecordError, match="not a line of sha256sum"):
        archive.unpack(tmp_path / "packed", tmp_path / "again")


def test_an_unfinished_run_and_a_folder_that_exists_are_refused(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there already"):
        archive.pack(run, tmp_path)
    (run.root / "SHA256SUMS").unlink()
    with pytest.raises(RecordError, match="has no sums"):
        archive.pack(run, tmp_path / "packed")


@given(st.lists(st.lists(st.text('0123456789-.,e "', max_size=20), min_size=2, max_size=2), max_size=30))
def test_any_table_of_plain_fields_survives(rows: list[list[str]]) -> None:
    text = "\n".join(["a,b", *(",".join(row) for row in rows)]) + "\n"
    data = text.encode() + b" " * archive.SMALL_BYTES
    for whole in (text.encode(), data, data + b"\n"):
        name, packed = archive._packed("x.csv", whole)
        back = packed
        if name.endswith(inflate.SERIES):
            back = b"".join(inflate.csv(io.BytesIO(packed)))
        elif name.endswith(inflate.ZIPPED):
            back = gzip.decompress(packed)
        assert back == whole
