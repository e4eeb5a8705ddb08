"""LMDB files of 64-bit machines, the default of Cyrus SASL's next release and of some builds of 2.1: read whole, from memory. Pure.

LMDB's own library trusts what it maps: a file that was cut short ends the process that reads it. So the tree is walked here. Two meta
pages tell of the last two states; what the newer one tells of is never written over while it is the newer one. Each page is visited
once at most. The number of records is compared with the one that the meta page counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

from saslauthd_py.sasldb.entry import SasldbError

_MAGIC = 0xBEEFC0DE
_MAGIC_AT, _MAGIC_AT_32_BITS = 16, 12
_VERSION = 1

_HEADER = 16
_NODE = 8
_META_SIZE = 152
_PAGE_SIZES = frozenset(1 << bits for bits in range(9, 17))
_NO_PAGE = (1 << 64) - 1
_DEEPEST = 32

_BRANCH, _LEAF, _OVERFLOW = 1, 2, 4
"""Flags of pages."""

_KINDS = _BRANCH | _LEAF | _OVERFLOW | 8 | 0x20 | 0x40
_FAR = 1
"""The one flag of nodes in a database without duplicates: the value stands in pages of its own."""

_DAMAGED = "it is damaged, or of another machine"


@dataclass(frozen=True, slots=True)
class _Order:
    """How numbers are written in this file. `node`: the low half of a value's size comes first where the low byte does."""

    long: Struct
    wide: Struct
    page: Struct
    node: Struct
    offsets: str
    low_first: bool


_LITTLE = _Order(Struct("<I"), Struct("<Q"), Struct("<QHHHH"), Struct("<HHHH"), "<{}H", low_first=True)
_BIG = _Order(Struct(">I"), Struct(">Q"), Struct(">QHHHH"), Struct(">HHHH"), ">{}H", low_first=False)


@dataclass(frozen=True, slots=True)
class _Meta:
    """A state of the file: its main database's root and number of records."""

    transaction: int
    page_size: int
    root: int
    counted: int


@dataclass(frozen=True, slots=True)
class _Node:
    low: int
    flags: int
    key: bytes
    rest: memoryview
    """From its value on; a branch's pages are numbered in `low` and, above 32 bits, `flags`."""


def recognises(file: bytes) -> bool:
    """Whether it bears the magic number of LMDB, in either byte order."""
    return any(_at(order.long, file, place) == _MAGIC for order in (_LITTLE, _BIG) for place in (_MAGIC_AT, _MAGIC_AT_32_BITS))


def records(file: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of each record, by key. Raises SasldbError, also after some of them."""
    order = _BIG if _at(_BIG.long, file, _MAGIC_AT) == _MAGIC else _LITTLE
    if _at(order.long, file, _MAGIC_AT) != _MAGIC:
        raise SasldbError("it is an LMDB file of a 32-bit machine, which is not read here; `mdb_dump` it there and `mdb_load` it here")
    meta = _newest(order, file)
    tree = _Tree(order, file, meta.page_size)
    count = 0
    for record in tree.records(meta.root) if meta.root != _NO_PAGE else ():
        count += 1
        yield record
    if count != meta.counted:
        raise SasldbError(f"{count} records are there, and its meta page counts {meta.counted}: {_DAMAGED}")


class _Tree:
    def __init__(self, order: _Order, file: bytes, page_size: int) -> None:
        self._order = order
        self._file = memoryview(file)
        self._size = page_size
        self._seen = bytearray(len(file) // page_size)

    def records(self, number: int, depth: int = 0) -> Iterator[tuple[bytes, bytes]]:
        """Those of the page `number` and all below it."""
        if depth > _DEEPEST:
            raise SasldbError(f"its tree is too deep: {_DAMAGED}")
        kind, page = self._page(number)
        if kind not in (_BRANCH, _LEAF):
            raise SasldbError(f"page {number} is not what points to it: {_DAMAGED}")
        for node in self._nodes(number, page):
            if kind == _LEAF:
                yield node.key, self._value(node)
            else:
                yield from self.records(node.low | node.flags << 32, depth + 1)

    def _page(self, number: int) -> tuple[int, memoryview]:
        if not 1 < number < len(self._seen):
            raise SasldbError(f"it points to page {number}, and has {len(self._seen)}: {_DAMAGED}")
        if self._seen[number]:
            raise SasldbError(f"it points to page {number} twice: {_DAMAGED}")
        self._seen[number] = 1
        page = self._file[number * self._size : (number + 1) * self._size]
        written, _, flags, _, _ = self._order.page.unpack_from(page)
        if written != number:
            raise SasldbError(f"page {number} is not what points to it: {_DAMAGED}")
        return flags & _KINDS, page

    def _nodes(self, number: int, page: memoryview) -> Iterator[_Node]:
        *_, lower, upper = self._order.page.unpack_from(page)
        if lower % 2 or not _HEADER <= lower <= upper <= self._size:
            raise SasldbError(f"page {number} tells of room that it has not: {_DAMAGED}")
        for offset in Struct(self._order.offsets.format((lower - _HEADER) // 2)).unpack_from(page, _HEADER):
            if not lower <= offset <= self._size - _NODE:
                raise SasldbError(f"a record of page {number} stands where none can: {_DAMAGED}")
            first, second, flags, length = self._order.node.unpack_from(page, offset)
            low, high = (first, second) if self._order.low_first else (second, first)
            key = page[offset + _NODE : offset + _NODE + length]
            if len(key) < length:
                raise SasldbError(f"a key of page {number} does not end in it: {_DAMAGED}")
            yield _Node(low | high << 16, flags, bytes(key), page[offset + _NODE + length :])

    def _value(self, node: _Node) -> bytes:
        if node.flags not in (0, _FAR):
            raise SasldbError(f"it has a record of a kind that no sasldb2 has: {_DAMAGED}")
        found = self._far(_at(self._order.wide, node.rest, 0), node.low) if node.flags else node.rest[: node.low]
        if len(found) < node.low:
            raise SasldbError(f"a value of {node.low} bytes has {len(found)} of them: {_DAMAGED}")
        return bytes(found)

    def _far(self, number: int, length: int) -> memoryview:
        kind, _ = self._page(number)
        if kind != _OVERFLOW:
            raise SasldbError(f"page {number} is not what points to it: {_DAMAGED}")
        pages = -(-(_HEADER + length) // self._size)
        if any(self._seen[number + 1 : number + pages]):
            raise SasldbError(f"page {number} and what follows it belong to two values: {_DAMAGED}")
        self._seen[number : number + pages] = b"\1" * len(self._seen[number : number + pages])
        start = number * self._size + _HEADER
        return self._file[start : start + length]


def _newest(order: _Order, file: bytes) -> _Meta:
    first = _meta(order, file, 0)
    second = first and _meta(order, file, first.page_size)
    if first is None or second is None:  # one alone may be the older: without a user, or with a password of before
        raise SasldbError(f"its first two pages make no sense: {_DAMAGED}")
    return max(first, second, key=lambda meta: meta.transaction)


def _meta(order: _Order, file: bytes, start: int) -> _Meta | None:
    if len(file) < start + _META_SIZE or _at(order.long, file, start + _MAGIC_AT) != _MAGIC:
        return None
    version, page_size = _at(order.long, file, start + 20), _at(order.long, file, start + 40)
    if version != _VERSION:
        raise SasldbError(f"version {version} of LMDB's files is not known here, only {_VERSION}")
    if page_size not in _PAGE_SIZES:
        return None
    return _Meta(_at(order.wide, file, start + 144), page_size, _at(order.wide, file, start + 128), _at(order.wide, file, start + 120))


def _at(form: Struct, file: bytes | memoryview, place: int) -> int:
    if len(file) < place + form.size:
        return 0
    number: int = form.unpack_from(file, place)[0]
    return number
