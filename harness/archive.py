"""A run packed small enough to keep in a repository, and unpacked again to the same bytes.

Series become Parquet columns (Apache Parquet, zstd), journals, logs and other text gzip (RFC 1952, without
name or time, so that the same run packs to the same bytes). Everything else is kept as it is. The run's own
SHA256SUMS is packed with it: nothing is unpacked before every file has the sum it had.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import RecordError, UsageError
from harness.store import RunFolder, write_atomic

SUMS = "SHA256SUMS"
SERIES = ".parquet-of-csv"
"""Suffix of a series whose CSV can be made again from its columns."""
ZIPPED = ".gz"
ALREADY_SMALL = (".parquet", ".gz", ".png")
SMALL_BYTES = 4096
"""A text below this is kept readable: a block of the disk is not worth saving."""

_INTEGER = re.compile(r"(?:0|-?[1-9][0-9]{0,17})?", re.ASCII)


def pack(run: RunFolder, out: Path) -> int:
    """Pack the finished run into the folder `out`, which must not be there yet; the bytes it takes.

    Raises:
        RecordError: The run has no sums yet (it is not finished), or a file does not match its sum.
        StorageError: `out` cannot be written.
        UsageError: `out` exists.
    """
    if out.exists():
        raise UsageError("the archive's folder is there already", where=str(out), remedy="choose another")
    total = 0
    for name, wanted in _sums(run.root / SUMS):
        packed, data = _packed(name, _checked(run.root / name, wanted))
        write_atomic(out / packed, data)
        total += len(data)
    sums = (run.root / SUMS).read_bytes()
    write_atomic(out / SUMS, sums)
    return total + len(sums)


def unpack(archive: Path, out: Path) -> RunFolder:
    """Make the run of `archive` again in the folder `out`, which must not be there yet.

    Raises:
        RecordError: A file is missing, cannot be read, or is not what it was.
        StorageError: `out` cannot be written.
        UsageError: `out` exists.
    """
    if out.exists():
        raise UsageError("the run's folder is there already", where=str(out), remedy="choose another")
    sums = _sums(archive / SUMS)
    whole = {name: _unpacked(archive, name, wanted) for name, wanted in sums}
    for name, data in whole.items():
        write_atomic(out / name, data)
    write_atomic(out / SUMS, (archive / SUMS).read_bytes())
    return RunFolder(out)


def _sums(path: Path) -> list[tuple[str, str]]:
    """File and sum, as sha256sum(1) writes them; a name that leads out of the folder is refused."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise RecordError(
            "no finished run",
            where=str(path),
            why=str(error),
            remedy="`sodbench resume` brings a run to its end",
        ) from error
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        wanted, _, name = line.partition("  ")
        parts = PurePosixPath(name).parts
        if not re.fullmatch("[0-9a-f]{64}", wanted) or not parts or ".." in parts or name.startswith("/"):
            raise RecordError("not a line of sha256sum", where=f"{path}:{number}", why=line[:200])
        found.append((name, wanted))
    return found


def _checked(path: Path, wanted: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RecordError("cannot be read", where=str(path), why=str(error)) from error
    return _matching(data, wanted, path)


def _matching(data: bytes, wanted: str, path: Path) -> bytes:
    if hashlib.sha256(data).hexdigest() != wanted:
        raise RecordError("not what it was when the run ended", where=str(path), why=f"its sum in {SUMS}")
    return data


def _packed(name: str, data: bytes) -> tuple[str, bytes]:
    """The name and the bytes under which a file is kept."""
    if name.endswith(ALREADY_SMALL) or len(data) < SMALL_BYTES:
        return name, data
    columns = _columns(data) if name.endswith(".csv") else None
    if columns is not None and _csv(columns) == data:
        return name + SERIES, columns
    return name + ZIPPED, gzip.compress(data, compresslevel=9, mtime=0)


def _unpacked(archive: Path, name: str, wanted: str) -> bytes:
    for suffix, whole in (("", bytes), (SERIES, _csv), (ZIPPED, gzip.decompress)):
        path = archive / (name + suffix)
        if path.is_file():
            try:
                return _matching(whole(path.read_bytes()), wanted, path)
            except (OSError, EOFError, ValueError, zlib.error, pa.ArrowException) as error:
                raise RecordError("cannot be unpacked", where=str(path), why=str(error)) from error
    raise RecordError("missing from the archive", where=str(archive / name), why=f"{SUMS} lists it")


def _columns(data: bytes) -> bytes | None:
    """A CSV of unquoted fields as Parquet: whole numbers as int64, an empty field as null, others as text."""
    try:
        header, *rows = data.decode("ascii").removesuffix("\n").split("\n")
    except ValueError:
        return None
    names, fields = header.split(","), [row.split(",") for row in rows]
    if len(set(names)) != len(names) or any(len(row) != len(names) for row in fields):
        return None
    arrays = [_array(list(column)) for column in zip(*fields, strict=True)]
    if not arrays:
        return None
    buffer = io.BytesIO()
    encodings = {name: "DELTA_BINARY_PACKED" for name, one in zip(names, arrays, strict=True) if _whole(one)}
    pq.write_table(
        pa.table(arrays, names=names),
        buffer,
        compression="zstd",
        compression_level=19,
        use_dictionary=[name for name in names if name not in encodings],
        column_encoding=encodings or None,
        write_statistics=False,
    )
    return buffer.getvalue()


def _array(column: list[str]) -> pa.Array:
    if all(_INTEGER.fullmatch(field) for field in column):
        return pa.array([int(field) if field else None for field in column], type=pa.int64())
    return pa.array(column, type=pa.string())


def _whole(array: pa.Array) -> bool:
    return bool(pa.types.is_integer(array.type))


def _csv(columns: bytes) -> bytes:
    table = pq.read_table(io.BytesIO(columns))
    return "".join(_lines(table)).encode("ascii")


def _lines(table: pa.Table) -> Iterator[str]:
    yield ",".join(table.column_names) + "\n"
    columns = [
        ["" if value is None else str(value) for value in column.to_pylist()] for column in table.columns
    ]
    for row in zip(*columns, strict=True):
        yield ",".join(row) + "\n"
