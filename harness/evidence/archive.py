"""A run packed small enough to keep in a repository, and unpacked again to the same bytes.

Series become Parquet columns (Apache Parquet, zstd), journals, logs and other text gzip (RFC 1952, without
name or time, so that the same run packs to the same bytes). Everything else is kept as it is. The run's own
lists of sums (:mod:`harness.evidence.seal`) are packed with it byte for byte: nothing is packed that they do
not fit, and nothing is unpacked before every file has the sum it had. A signature over these lists
(:mod:`harness.evidence.signature`) says whose archive it is.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import secrets
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from cryptography.hazmat.primitives.asymmetric import ec

from harness import disk, sums
from harness.errors import AlteredError, RecordError, UsageError
from harness.evidence import inflate, played, seal, signature
from harness.evidence.folder import PACKED_SUFFIXES, RunFolder, require_schema
from harness.evidence.inflate import SERIES, ZIPPED
from harness.files import MAX_JSON_BYTES, json_object, sync_folder, write_atomic
from harness.legible import legible

ALREADY_SMALL = (".parquet", ".gz", ".png")
SMALL_BYTES = 4096
"""A text below this is kept readable: a block of the disk is not worth saving."""

KIND = signature.Kind("archive", f"{signature.TRUSTED}; --unsigned reads without that check")
"""What a signature says it vouches for."""
MAX_BYTES = 2**31
"""What a run may take that is packed, and what an archive may become: a few kilobytes could fill a disk."""

_INTEGER = re.compile(r"(?:0|-?[1-9][0-9]{0,17})?", re.ASCII)


def pack(run: RunFolder, out: Path, *, key: ec.EllipticCurvePrivateKey | None = None) -> int:
    """Pack the run, which has ended, into the folder `out`, which must not be there yet; the bytes it takes.

    With `key` the archive is signed.

    Raises:
        AlteredError: The evidence is not what it was when the run ended.
        RecordError: The run has no sums (it has not ended), was played, a table is not what it was when
            computed, or it takes more than :data:`MAX_BYTES`.
        StorageError: `out` cannot be written.
        UsageError: `out` exists.
    """
    if out.exists():
        raise UsageError("the archive's folder is there already", where=str(out), remedy="choose another")
    if not seal.require(run):
        raise RecordError(
            "not a run that has ended",
            where=legible(str(run.root)),
            why=f"its evidence has no sums ({seal.EVIDENCE_SUMS}), which are written when a run ends",
            remedy="`sodbench resume` brings a run to its end",
        )
    played.refuse(run)
    differs = seal.derived_differences(run)
    if differs:
        raise RecordError(
            "a table is not what it was when it was computed",
            where=legible(str(run.root)),
            why=str(differs),
            remedy="`sodbench metrics` computes the tables from the evidence again",
        )
    total, listed = 0, _listed(run.root)
    size = sum((run.root / name).stat().st_size for name in listed)
    if size > MAX_BYTES:
        why = f"its files take {size} bytes, and {MAX_BYTES} are packed at most"
        raise RecordError("too large for an archive", where=legible(str(run.root)), why=why)
    for name, wanted in listed.items():
        packed, data = _packed(name, _matching(sums.content(run.root / name), wanted, run.root / name))
        total += _write(out / packed, data)
    total += sum(_write(out / name, data) for name, data in _kept_lists(run.root))
    if key is not None:
        names = [name for name, _ in _kept_lists(run.root)]
        total += signature.sign(out, names, key, kind=KIND).stat().st_size
    return total


def unpack(archive: Path, out: Path, *, key: ec.EllipticCurvePublicKey | None = None) -> RunFolder:
    """Make the run of `archive` again in the folder `out`, which must not be there yet.

    With `key` only an archive that its owner signed; without it any archive.

    Raises:
        AlteredError: A file of the archive was changed, removed or added, or `key` did not sign it.
        RecordError: It is not an archive, is of another schema, or a file cannot be read.
        StorageError: `out` cannot be written.
        UsageError: `out` exists.
    """
    if out.exists():
        raise UsageError("the run's folder is there already", where=str(out), remedy="choose another")
    if not (archive / seal.EVIDENCE_SUMS).is_file():
        raise RecordError(
            "not an archive",
            where=legible(str(archive)),
            why=f"it holds no {seal.EVIDENCE_SUMS}",
            remedy="name a folder that `sodbench archive pack` made",
        )
    if key is not None:
        require_signed(archive, key)  # first: nothing that a stranger packed is inflated
    partial = out.with_name(f".{out.name}.{secrets.token_hex(4)}.partial")
    try:
        _make_whole(archive, partial)
        _require_schema(archive, partial)
        for name, data in _kept_lists(archive):
            _write(partial / name, data)
        partial.rename(out)
        sync_folder(out.parent)
    except OSError as error:
        raise disk.failure("cannot write", out, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return RunFolder(out)


def require_signed(archive: Path, key: ec.EllipticCurvePublicKey) -> None:
    """Refuse an archive that the key's owner did not sign; its files are not looked at.

    Raises:
        AlteredError: It is not signed, or by another key.
        RecordError: A list of sums cannot be read.
    """
    signature.verify(archive, [name for name, _ in _kept_lists(archive)], key, kind=KIND)


def _listed(root: Path) -> dict[str, str]:
    """Every file with its sum: the evidence and the tables."""
    found = seal.lists(root)
    return {**(found.evidence or {}), **found.derived}


def _kept_lists(root: Path) -> Iterator[tuple[str, bytes]]:
    """The lists of sums themselves, byte for byte."""
    for name in (seal.EVIDENCE_SUMS, seal.DERIVED_SUMS):
        if (root / name).is_file():
            yield name, sums.content(root / name)


def _write(path: Path, data: bytes) -> int:
    write_atomic(path, data)
    return len(data)


def _require_schema(archive: Path, made: Path) -> None:
    manifest = made / "manifest.json"
    raw = sums.content(manifest, limit=MAX_JSON_BYTES) if manifest.exists() else b""
    require_schema(json_object(raw, archive / manifest.name), archive / manifest.name)


def _make_whole(archive: Path, out: Path) -> None:
    """Make every file of the run in `out`; each has the sum it had, and the archive holds nothing else."""
    wanted, there = _listed(archive), dict(sums.walk(archive))
    used = {seal.EVIDENCE_SUMS, seal.DERIVED_SUMS, signature.FILE}
    changed, missing, left = [], [], MAX_BYTES
    for name, digest in wanted.items():
        suffix = next((one for one in ("", *PACKED_SUFFIXES) if there.get(name + one)), None)
        if suffix is None:
            missing.append(name)
            continue
        used.add(name + suffix)
        if _made(inflate.pieces(archive / (name + suffix), suffix, left), out / name) != digest:
            changed.append(name + suffix)
        else:
            left -= (out / name).stat().st_size
    added = sorted(there.keys() - used)
    if changed or missing or added:
        differs = seal.Differences(changed=tuple(changed), missing=tuple(missing), added=tuple(added))
        raise AlteredError(
            "the archive is not what was packed",
            where=legible(str(archive)),
            why=str(differs),
            remedy="restore these files from a copy, such as the repository that keeps the archive",
        )


def _made(pieces: Iterator[bytes], path: Path) -> str | None:
    """The SHA-256 of what was written to `path`, in hexadecimal; None where it comes from a damaged file."""
    digest, sound = hashlib.sha256(), True
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        while True:
            try:
                some = next(pieces, b"")
            except (OSError, EOFError, ValueError, zlib.error, pa.ArrowException, MemoryError):
                sound = False
                break
            if not some:
                break
            digest.update(some)
            file.write(some)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest() if sound else None


def _matching(data: bytes, wanted: str, path: Path) -> bytes:
    """`data`, read to be packed: checked once more, because it was read again since the whole was checked."""
    if hashlib.sha256(data).hexdigest() != wanted:
        raise AlteredError("changed while it was packed", where=legible(str(path)), remedy="pack again")
    return data


def _packed(name: str, data: bytes) -> tuple[str, bytes]:
    """The name and the bytes under which a file is kept."""
    if name.endswith(ALREADY_SMALL) or len(data) < SMALL_BYTES:
        return name, data
    columns = _columns(data) if name.endswith(".csv") else None
    if columns is not None and _come_back(columns, data):
        return name + SERIES, columns
    return name + ZIPPED, gzip.compress(data, compresslevel=9, mtime=0)


def _come_back(columns: bytes, data: bytes) -> bool:
    """Whether the columns are small enough to be unpacked, and give the CSV in `data` again."""
    try:
        return b"".join(inflate.csv(io.BytesIO(columns))) == data
    except ValueError:
        return False


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
