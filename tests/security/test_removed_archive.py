"""Checks of what an archive becomes: each is removed once, and its attack succeeds."""

from __future__ import annotations

import gzip
import os
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.attest.measures import line
from harness.errors import RecordError
from harness.evidence import inflate
from tests.security.removed import Attack, Removed, require_needed


def zipped_bomb(folder: Path) -> bool:
    """Some bytes of gzip become many."""
    (folder / "log.gz").write_bytes(gzip.compress(bytes(4_000_000)))
    return _too_long(folder / "log.gz", inflate.ZIPPED, 1_000_000)


def _too_long(path: Path, suffix: str, most: int) -> bool:
    try:
        list(inflate.pieces(path, suffix, most))
    except ValueError:
        return True
    return False


def one_long_text(folder: Path) -> bool:
    """One text is stored once, and every row has it."""
    path = folder / f"a.csv{inflate.SERIES}"
    rows = pa.DictionaryArray.from_arrays(pa.array([0] * 64, pa.int32()), pa.array(["x" * 2**20]))
    pq.write_table(pa.table({"a": rows}), path, compression="zstd")
    return max(map(len, inflate.pieces(path, inflate.SERIES, 2**30))) < 16 * 2**20


def one_long_column(folder: Path) -> bool:
    """A column says of itself that it takes more than any honest one."""
    path = folder / f"a.csv{inflate.SERIES}"
    rows = pa.table({"a": pa.array(["x" * 2**20] * 65)})
    pq.write_table(rows, path, compression="zstd", use_dictionary=False)
    return _too_long(path, inflate.SERIES, 2**30)


def _refused_at_once(kind: pa.DataType, value: object, folder: Path) -> bool:
    """Whether columns of that type are refused before the rows are made of one stored value."""
    path = folder / f"a.csv{inflate.SERIES}"
    rows = pa.DictionaryArray.from_arrays(pa.array([0] * 64, pa.int32()), pa.array([value], kind))
    pq.write_table(pa.table({"a": rows}), path, compression="zstd", store_schema=False)
    read, whole = list[object](), pq.ParquetFile.iter_batches

    def counted(*given: Any, **more: Any) -> Any:
        read.append(given)
        return whole(*given, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pq.ParquetFile, "iter_batches", counted)
        return _too_long(path, inflate.SERIES, 2**20) and not read


def bytes_instead_of_text(folder: Path) -> bool:
    """A column is of bytes, of which no dictionary is read: one long value becomes one for each row."""
    return _refused_at_once(pa.binary(), b"x" * 2**20, folder)


def long_heading(folder: Path) -> bool:
    """A file of columns describes a great many of them."""
    path = folder / f"a.csv{inflate.SERIES}"
    pq.write_table(pa.table({f"c{number}": [0] for number in range(200)}), path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inflate, "_HEADING_BYTES", 1000)
        patch.setattr(pq, "ParquetFile", lambda *_given, **_more: pytest.fail("it was read"))
        try:
            return _too_long(path, inflate.SERIES, 2**20)
        except pytest.fail.Exception:
            return False


def _table(path: Path) -> object:
    with path.open("rb") as file:
        try:
            return inflate.table(file, lambda names: names == ["a"])
        except ValueError:
            return None


def table_of_one_text(folder: Path) -> bool:
    """A table that a run keeps has one long text, stored once, in every row."""
    path = folder / "metrics.parquet"
    rows = pa.DictionaryArray.from_arrays(pa.array([0] * 65, pa.int32()), pa.array(["x" * 2**20]))
    pq.write_table(pa.table({"a": rows}), path, compression="zstd", store_schema=False)
    return _table(path) is None


def table_of_many_rows(folder: Path) -> bool:
    """A table has more rows than any run, which take next to no bytes."""
    path = folder / "metrics.parquet"
    pq.write_table(pa.table({"a": pa.array([True] * (inflate._TABLE_CELLS + 1))}), path, compression="zstd")
    return _table(path) is None


def pipe_of_attestations(folder: Path) -> bool:
    """A pipe lies where an attempt's attestations should, in a folder that has no sums."""
    os.mkfifo(folder / line.FILE)
    writer = threading.Timer(2.0, lambda: os.close(os.open(folder / line.FILE, os.O_WRONLY)))
    writer.daemon = True
    writer.start()
    began = time.monotonic()
    try:
        line.read(folder / line.FILE)
    except RecordError:
        writer.cancel()
        return time.monotonic() - began < 1.0
    return False


def columns_bomb(folder: Path) -> bool:
    """Some bytes of columns become many."""
    rows = pa.table({"a": pa.array([0] * 300_000)})
    pq.write_table(rows, folder / f"a.csv{inflate.SERIES}", compression="zstd")
    return _too_long(folder / f"a.csv{inflate.SERIES}", inflate.SERIES, 100_000)


REMOVED: tuple[tuple[Removed, Attack], ...] = (
    (Removed(function=inflate._bounded, check="size > most", by="False"), zipped_bomb),
    (Removed(function=inflate._bounded, check="size > most", by="False"), columns_bomb),
    (Removed(function=inflate._small, check="<= _BATCH_BYTES", by=">= 0"), one_long_text),
    (Removed(function=inflate._honest, check="> _COLUMN_BYTES", by="< 0"), one_long_column),
    (
        Removed(
            function=inflate._honest, check="_is_text(one.type) or _is_number(one.type) for", by="True for"
        ),
        bytes_instead_of_text,
    ),
    (
        Removed(function=inflate._require_short_heading, check="> _HEADING_BYTES", by="< 0"),
        long_heading,
    ),
    (Removed(function=inflate.table, check="text > _TABLE_TEXT_BYTES", by="False"), table_of_one_text),
    (Removed(function=inflate.table, check="cells > _TABLE_CELLS", by="False"), table_of_many_rows),
    (
        Removed(function=line.read, check="sums.content(path, limit=sums.MAX_BYTES)", by="path.read_bytes()"),
        pipe_of_attestations,
    ),
)


@pytest.mark.parametrize(("removed", "attack"), REMOVED, ids=lambda one: getattr(one, "id", ""))
def test_an_attack_notices_that_its_check_is_missing(
    removed: Removed, attack: Attack, tmp_path: Path
) -> None:
    require_needed(removed, attack, tmp_path)
