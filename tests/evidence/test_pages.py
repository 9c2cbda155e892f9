"""The pages of a Parquet column become no more than the column says, whatever their own headings say."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence import inflate, pages

WORDS = ["", "one", None, "two"]


def written(**options: object) -> bytes:
    table = pa.table(
        {"text": WORDS * 5000, "number": list(range(20_000)), "none": pa.array([None] * 20_000, pa.int64())}
    )
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


@pytest.mark.parametrize("compression", ["zstd", "snappy", "gzip", "none"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [True, False])
@pytest.mark.parametrize("page_bytes", [1000, 1 << 20])
def test_honest_pages_pass(compression: str, version: str, dictionary: bool, page_bytes: int) -> None:
    content = written(
        compression=compression,
        data_page_version=version,
        use_dictionary=dictionary,
        data_page_size=page_bytes,
        write_page_checksum=True,
        row_group_size=7000,
    )
    lines = b"".join(inflate.csv(io.BytesIO(content))).splitlines()
    assert lines[0] == b"text,number,none"
    assert lines[2] == b"one,1,"
    assert len(lines) == 20_001


def lying(content: bytes, offset: int, size: int) -> bytes:
    """The same file, whose page at `offset` says that it becomes `size` bytes: a number of as many digits."""
    # i32 page type; then the number, whose length a varint's first bits tell.
    assert content[offset] == 0x15
    begin = offset + 3
    end = next(at for at in range(begin, begin + 5) if content[at] < 0x80) + 1
    assert content[begin - 1] == 0x15
    number = size << 1
    digits = bytes(number >> 7 * at & 0x7F | 0x80 for at in range(end - begin - 1))
    last = number >> 7 * (end - begin - 1)
    assert last < 0x80
    return content[:begin] + digits + bytes([last]) + content[end:]


@pytest.mark.parametrize("name", ["text", "number"])
def test_a_page_that_says_more_than_its_column_is_not_inflated(name: str) -> None:
    content = written(compression="zstd", use_dictionary=False)
    column = pq.ParquetFile(io.BytesIO(content)).metadata.row_group(0).column(["text", "number"].index(name))
    for size in (column.total_uncompressed_size + 1, 1_000_000):
        changed = lying(content, column.data_page_offset, size)
        with pytest.raises(ValueError, match="longer than its column says"):
            list(inflate.csv(io.BytesIO(changed)))


@given(st.binary(max_size=200))
def test_any_heading_is_read_or_refused(data: bytes) -> None:
    header = pages._Header(data)
    try:
        inflated, packed = header.numbers()
    except ValueError:
        return
    assert isinstance(inflated, int)
    assert isinstance(packed, int)


def test_a_heading_that_is_nested_without_an_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nested too deep"):
        pages._Header(b"\x1c" * 100).numbers()
