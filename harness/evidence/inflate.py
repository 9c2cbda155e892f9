"""Packed files made whole again, some at a time: a few hundred bytes may become gigabytes.

Whatever comes of a file is handed over in pieces of a few MiB, and no more than was asked for. Columns say in
their heading what they take, which is looked at before any is read; the fields of a row may all be one long
text that is stored once, so their length is added up before they are written out.
"""

from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from harness import sums
from harness.evidence import pages
from harness.evidence.folder import PACKED_SUFFIXES

SERIES, ZIPPED = PACKED_SUFFIXES
"""Suffix of a series whose CSV can be made again from its columns, and of what is compressed."""

_PIECE_BYTES = 2**20
_BATCH_ROWS = 4096
_BATCH_BYTES = 8 * 2**20
"""Of text, what is made of columns at once."""
_COLUMN_BYTES = 64 * 2**20
"""What one column of a group of rows may take; a million numbers take an eighth of it."""
_HEADING_BYTES = 2**20
"""What Parquet's own description of a file may take; in memory it is some fifty times as long."""
_TABLE_CELLS = 8 * 2**20
_TABLE_TEXT_BYTES = 64 * 2**20
"""What a table may have; 1,000 trials of ten migrations have a quarter of it."""
_END = struct.Struct("<I4s")
"""How a file of columns ends: the length of that description, and a word (Apache Parquet, "File format")."""


def pieces(path: Path, suffix: str, most: int) -> Iterator[bytes]:
    """What the file at `path` was made from, by the suffix that it was packed under; empty for none.

    Raises:
        RecordError: The file cannot be opened.
        OSError, EOFError, ValueError, zlib.error, pyarrow.ArrowException: It is damaged, or becomes more than
            `most` bytes.
    """
    with sums.opened(path) as file:
        if suffix == SERIES:
            yield from _bounded(csv(file), most)
        elif suffix == ZIPPED:
            with gzip.GzipFile(fileobj=file) as unzipped:
                yield from _bounded(_read(unzipped), most)
        else:
            yield from _bounded(_read(file), most)


def _read(file: io.BufferedIOBase | BinaryIO) -> Iterator[bytes]:
    while some := file.read(_PIECE_BYTES):
        yield some


def _bounded(source: Iterator[bytes], most: int) -> Iterator[bytes]:
    size = 0
    for some in source:
        size += len(some)
        if size > most:
            raise ValueError("far too long")
        yield some


def csv(columns: BinaryIO) -> Iterator[bytes]:
    """The CSV that columns were made from.

    Raises:
        ValueError: They take more than columns of a series do, or than they say, or are not of ASCII.
        pyarrow.ArrowException: They are no columns.
    """
    file = _honest(columns)
    yield (",".join(file.schema_arrow.names) + "\n").encode("ascii")
    for batch in _batches(columns, file):
        for some in _small(batch):
            yield _rows(some).encode("ascii")


def table(columns: BinaryIO, names: Callable[[Sequence[str]], bool]) -> pa.Table | None:
    """A table that was stored as columns, whole; None where `names` does not want the names of its columns.

    Raises:
        ValueError: It has more cells or text than tables have, takes more than it says, or has something else
            than texts, numbers and truth values.
        pyarrow.ArrowException: It is no table.
    """
    file = _honest(columns)
    schema = file.schema_arrow
    if not names(schema.names):
        return None
    batches, cells, text = [], 0, 0
    for batch in _batches(columns, file):
        batches.append(batch)
        cells += batch.num_rows * batch.num_columns
        text += sum(_text_bytes(one) for one in batch.columns if pa.types.is_dictionary(one.type))
        if cells > _TABLE_CELLS or text > _TABLE_TEXT_BYTES:
            raise ValueError("a table is far too long")
    found = pa.Table.from_batches(batches) if batches else schema.empty_table()
    return found.cast(schema)


def _honest(columns: BinaryIO) -> pq.ParquetFile:
    """Columns that keep to their bounds; no row is read."""
    _require_short_heading(columns)
    file = pq.ParquetFile(columns, thrift_string_size_limit=_HEADING_BYTES)
    heading = file.metadata
    for group in map(heading.row_group, range(heading.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            if column.total_uncompressed_size > _COLUMN_BYTES:
                raise ValueError("a column is far too long")
            pages.require_honest(columns, column)
    # Before any row is read: of other types a value that is stored once takes its length for every row.
    if not all(_is_text(one.type) or _is_number(one.type) for one in file.schema_arrow):
        raise ValueError("a column of something else than text and numbers")
    return file


def _batches(columns: BinaryIO, known: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    """The rows; a text that is stored once stays one text, however many of them have it."""
    columns.seek(0)
    texts = [one.name for one in known.schema_arrow if _is_text(one.type)]
    file = pq.ParquetFile(columns, metadata=known.metadata, read_dictionary=texts)
    yield from file.iter_batches(batch_size=_BATCH_ROWS)


def _require_short_heading(columns: BinaryIO) -> None:
    whole = columns.seek(0, io.SEEK_END)
    columns.seek(max(0, whole - _END.size))
    end = columns.read(_END.size)
    if len(end) == _END.size and _END.unpack(end)[0] > _HEADING_BYTES:
        raise ValueError("its description is far too long")
    columns.seek(0)


def _small(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in parts whose text can be made at once; ValueError where that is too much for one row."""
    rows = batch.num_rows
    if sum(map(_text_bytes, batch.columns)) <= _BATCH_BYTES:
        yield batch
    elif rows > 1:
        yield from _small(batch.slice(0, rows // 2))
        yield from _small(batch.slice(rows // 2))
    else:
        raise ValueError("a row is far too long")


def _text_bytes(column: pa.Array) -> int:
    """How much text a column has, each field for itself; of numbers the most that they can have."""
    if pa.types.is_dictionary(column.type):
        lengths = pc.binary_length(column.dictionary).take(column.indices)
        return pc.sum(lengths).as_py() or 0
    if _is_text(column.type):
        return pc.sum(pc.binary_length(column)).as_py() or 0
    return 20 * len(column)


def _is_text(kind: pa.DataType) -> bool:
    own = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(own) or pa.types.is_large_string(own))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _rows(batch: pa.RecordBatch) -> str:
    columns = [["" if value is None else str(value) for value in one.to_pylist()] for one in batch.columns]
    return "".join(f"{','.join(row)}\n" for row in zip(*columns, strict=True))
