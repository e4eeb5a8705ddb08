"""Berkeley DB's hash files, as libsasl writes them on Debian and, before 2021, nearly everywhere: read whole, from memory. Pure.

The file is a row of pages of one size; numbers are in the byte order of the machine that made it. Page 0 says how many buckets there
are; a bucket is a chain of hash pages with pairs of items, and an item that is large stands in a chain of overflow pages. Each page is
visited once at most, so no file keeps us long. Of Berkeley DB's features those that libsasl never asks for (duplicates, encryption,
several databases in a file) are refused.

The number of pairs is compared with the one that page 0 counts, which is kept exact where no environment is used, as libsasl does: so a
file that was read while its pages were being written is told from one that is whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

from saslauthd_py.sasldb.entry import SasldbError

MAGIC = 0x00061561
MAGIC_AT = 12

_VERSIONS = range(7, 11)
"""3.1 to 6.x. 9 is that of 4.6 to 5.3; the others differ in what is not read here: the order of pairs on a page, offset pages of others."""

_META_SIZE = 512
_PAGE_SIZES = frozenset(1 << bits for bits in range(9, 17))
_HEADER, _HEADER_WITH_CHECKSUM = 26, 32
_HAS_CHECKSUM = 1
_HAS_SUBDATABASES = 2

_EMPTY, _UNSORTED, _OVERFLOW, _META, _SORTED = 0, 2, 7, 8, 13
"""Types of pages. An empty one was allocated with others, for a bucket that never had a pair."""

_IN_PAGE, _OFF_PAGE = 1, 3
"""Types of items."""

_HALF = "it is damaged, or half written; if that stays so, `db_dump` it and `db_load` it anew"


@dataclass(frozen=True, slots=True)
class _Order:
    """How numbers are written in this file."""

    long: Struct
    page: Struct
    offsets: str
    buckets: Struct


_LITTLE = _Order(Struct("<I"), Struct("<8xIIIHHBB"), "<{}H", Struct("<III4xI4x32I"))
_BIG = _Order(Struct(">I"), Struct(">8xIIIHHBB"), ">{}H", Struct(">III4xI4x32I"))


@dataclass(frozen=True, slots=True)
class _Page:
    number: int
    next: int
    entries: int
    free: int
    type: int
    bytes: memoryview


def recognises(file: bytes) -> bool:
    """Whether it bears the magic number of a Berkeley DB hash, in either byte order."""
    return any(_number(order, file, MAGIC_AT) == MAGIC for order in (_LITTLE, _BIG))


def records(file: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The pairs, bucket by bucket: the order in which Berkeley DB's own cursor walks. Raises SasldbError, also after some pairs."""
    reader = _Reader(file)
    count = 0
    for pair in reader.pairs():
        count += 1
        yield pair
    if count != reader.counted:
        raise SasldbError(f"{count} records are there, and its first page counts {reader.counted}: {_HALF}")


class _Reader:
    def __init__(self, file: bytes) -> None:
        self._order = _BIG if _number(_BIG, file, MAGIC_AT) == MAGIC else _LITTLE
        if len(file) < _META_SIZE:
            raise SasldbError(f"{len(file)} bytes are no database: {_HALF}")
        self._size = self._page_size(file)
        self._header = _HEADER_WITH_CHECKSUM if file[26] & _HAS_CHECKSUM else _HEADER
        self._file = memoryview(file)
        self._seen = bytearray(len(file) // self._size)
        last, _, _, self.counted, *self._spares = self._order.buckets.unpack_from(file, 72)
        self._buckets = last + 1
        if self._buckets > len(self._seen):
            raise SasldbError(f"its first page tells of {self._buckets} buckets, and it has {len(self._seen)} pages: {_HALF}")

    def pairs(self) -> Iterator[tuple[bytes, bytes]]:
        for bucket in range(self._buckets):
            number = bucket + self._spares[bucket.bit_length()]
            while number:
                page = self._page(number, {_EMPTY, _UNSORTED, _SORTED})
                if page.type == _EMPTY:
                    break
                yield from self._pairs(page)
                number = page.next

    def _page_size(self, file: bytes) -> int:
        version, size = _number(self._order, file, 16), _number(self._order, file, 20)
        if version not in _VERSIONS:
            raise SasldbError(f"version {version} of Berkeley DB's hash files is not known here; run `db_upgrade` on a copy of it")
        if file[24]:
            raise SasldbError("it is encrypted, as no sasldb2 is")
        if size not in _PAGE_SIZES or file[25] != _META:
            raise SasldbError(f"its first page makes no sense: {_HALF}")
        if _number(self._order, file, 48) & _HAS_SUBDATABASES:
            raise SasldbError("it holds several databases, as no sasldb2 does")
        return size

    def _page(self, number: int, types: set[int]) -> _Page:
        if not 0 < number < len(self._seen):
            raise SasldbError(f"it points to page {number}, and has {len(self._seen)}: {_HALF}")
        if self._seen[number]:
            raise SasldbError(f"it points to page {number} twice: {_HALF}")
        self._seen[number] = 1
        content = self._file[number * self._size : (number + 1) * self._size]
        written, _, following, entries, free, _, kind = self._order.page.unpack_from(content)
        if kind not in types or (kind != _EMPTY and written != number):
            raise SasldbError(f"page {number} is not what points to it: {_HALF}")
        return _Page(number, following, entries, free, kind, content)

    def _pairs(self, page: _Page) -> Iterator[tuple[bytes, bytes]]:
        lowest = self._header + 2 * page.entries
        if page.entries % 2 or lowest > self._size:
            raise SasldbError(f"page {page.number} counts {page.entries} items: {_HALF}")
        end = self._size
        items = []
        for offset in Struct(self._order.offsets.format(page.entries)).unpack_from(page.bytes, self._header):
            if not lowest <= offset < end:
                raise SasldbError(f"an item of page {page.number} stands where none can: {_HALF}")
            items.append(self._item(page.number, page.bytes[offset:end]))
            end = offset
        yield from zip(items[::2], items[1::2], strict=True)

    def _item(self, page: int, item: memoryview) -> bytes:
        if item[0] == _IN_PAGE:
            return bytes(item[1:])
        if item[0] == _OFF_PAGE and len(item) == 12:
            return self._far(_number(self._order, item, 4), _number(self._order, item, 8))
        raise SasldbError(f"page {page} has an item of a kind that no sasldb2 has ({item[0]}): {_HALF}")

    def _far(self, number: int, length: int) -> bytes:
        found = bytearray()
        while number:
            page = self._page(number, {_OVERFLOW})
            if page.free > self._size - self._header:
                raise SasldbError(f"page {number} says it holds more than a page can: {_HALF}")
            found += page.bytes[self._header : self._header + page.free]
            number = page.next
        if len(found) != length:
            raise SasldbError(f"an item of {length} bytes has {len(found)} of them: {_HALF}")
        return bytes(found)


def _number(order: _Order, file: bytes | memoryview, at: int) -> int:
    if len(file) < at + order.long.size:
        return 0
    number: int = order.long.unpack_from(file, at)[0]
    return number
