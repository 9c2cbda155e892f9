"""The pages of a Parquet column, by their own headings: each is inflated into as much memory as it says.

A column's heading states the size of all of its pages, and nothing holds the pages to it, so each heading of
a page is read before any page is inflated. Source: Apache Parquet, ``parquet.thrift`` (PageHeader); Apache
Thrift, compact protocol.
"""

from __future__ import annotations

from typing import BinaryIO

import pyarrow.parquet as pq

_HEADER_BYTES = 1 << 16
"""What one heading may take; it may quote the least and the largest value of its page."""
_INFLATED, _PACKED = 2, 3
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = (*range(1, 11), 12)
_DEPTH = 8


def require_honest(file: BinaryIO, column: pq.ColumnChunkMetaData) -> None:
    """See that the pages of a column of `file` become no more than the column says.

    Raises:
        ValueError: They do, or their headings are none.
        OSError: The file cannot be read.
    """
    starts = [column.data_page_offset, column.dictionary_page_offset if column.has_dictionary_page else None]
    at = min(start for start in starts if start)
    end, inflated = at + column.total_compressed_size, 0
    while at < end:
        file.seek(at)
        header = _Header(file.read(min(_HEADER_BYTES, end - at)))
        sizes = header.numbers()
        if min(sizes) < 0:
            raise ValueError("a page of less than nothing")
        inflated += sizes[0]
        if inflated > column.total_uncompressed_size:
            raise ValueError("a page is longer than its column says")
        at += header.at + sizes[1]


class _Header:
    """Reads one PageHeader from the beginning of `data`; `at` is where it ends then."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def numbers(self) -> tuple[int, int]:
        """Bytes of the page inflated and as it is stored; ValueError where it does not say both."""
        found: dict[int, int] = {}
        field = 0
        while kind := self._next_field():
            delta, of_type = kind
            field = field + delta if delta else self._zigzag()
            if of_type == _I32:
                found[field] = self._zigzag()
            else:
                self._skip(of_type, _DEPTH)
        if not {_INFLATED, _PACKED} <= found.keys():
            raise ValueError("a page that does not say its size")
        return found[_INFLATED], found[_PACKED]

    def _next_field(self) -> tuple[int, int] | None:
        byte = self._byte()
        return divmod(byte, 16) if byte else None

    def _skip(self, of_type: int, depth: int) -> None:
        if depth == 0:
            raise ValueError("a page's heading is nested too deep")
        match of_type:
            case t if t in (_TRUE, _FALSE):
                return
            case t if t == _BYTE:
                self._byte()
            case t if t in (_I16, _I32, _I64):
                self._zigzag()
            case t if t == _DOUBLE:
                self.at += 8
            case t if t == _BINARY:
                size = self._varint()
                self.at += size
            case t if t in (_LIST, _SET):
                self._skip_list(depth)
            case t if t == _STRUCT:
                self._skip_struct(depth)
            case _:
                raise ValueError("a page's heading of an unknown kind")

    def _skip_struct(self, depth: int) -> None:
        while kind := self._next_field():
            delta, of_type = kind
            if not delta:
                self._zigzag()
            self._skip(of_type, depth - 1)

    def _skip_list(self, depth: int) -> None:
        count, of_type = divmod(self._byte(), 16)
        count = self._varint() if count == 15 else count
        for _ in range(min(count, len(self._data))):
            # Of a list, unlike of a field, a truth takes a byte.
            self._skip(_BYTE if of_type in (_TRUE, _FALSE) else of_type, depth - 1)

    def _byte(self) -> int:
        if self.at >= len(self._data):
            raise ValueError("a page's heading is cut off")
        self.at += 1
        return self._data[self.at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value
            if shift > 63:
                raise ValueError("a number of a page's heading is too long")

    def _zigzag(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)
