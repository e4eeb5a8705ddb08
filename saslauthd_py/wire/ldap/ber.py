"""BER as LDAP restricts it (RFC 4511 section 5.1): definite lengths, strings in one piece, TRUE is 0xFF.

What we write is the shortest form. What we read may have lengths of up to four octets that fewer could hold (Active Directory writes
all of its own that way) and numbers with octets to spare.
"""

from __future__ import annotations

import struct

INTEGER = 0x02
OCTETS = 0x04
ENUMERATED = 0x0A
SEQUENCE = 0x30
SET = 0x31

_MAX_LENGTH_OCTETS = 4
_MAX_NUMBER_OCTETS = 4
_MAX_NUMBER = 0x7FFFFFFF
_LONG = 0x80
_HIGH_TAG = 0x1F
_OCTET = tuple(bytes([value]) for value in range(256))
_NUMBER = struct.Struct(">BBI")
"""Tag, length, and as many octets as a number may have."""


class Malformed(ValueError):
    """Bytes that are none of LDAP's. The text says what is wrong in one line, and holds none of them."""


def element(tag: int, body: bytes) -> bytes:
    """A tag of one octet, the length, the contents."""
    size = len(body)
    return _OCTET[tag] + (_OCTET[size] if size < _LONG else length(size)) + body


def length(size: int) -> bytes:
    """A length in its shortest form."""
    if size < _LONG:
        return _OCTET[size]
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return _OCTET[_LONG | len(octets)] + octets


def number(tag: int, value: int) -> bytes:
    """An INTEGER or ENUMERATED that is not negative."""
    return element(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def boolean(tag: int, value: bool) -> bytes:
    """A BOOLEAN."""
    return element(tag, b"\xff" if value else b"\0")


def read(data: bytes | bytearray, at: int, end: int) -> tuple[int, int, int]:
    """Of the element at `at`: its tag, and where its contents begin and end. Raises Malformed where it is not whole before `end`."""
    if at + 2 > end:
        raise Malformed("an element that is cut off")
    tag = data[at]
    size = data[at + 1]
    at += 2
    if size & _LONG:
        begin = at
        at += octets_of_length(size)
        if at > end:
            raise Malformed("an element that is cut off")
        size = int.from_bytes(data[begin:at], "big")
    if tag & _HIGH_TAG == _HIGH_TAG:
        raise Malformed("a tag of more than one octet, which LDAP does not have")
    if at + size > end:
        raise Malformed("an element that is longer than the one that holds it")
    return tag, at, at + size


def octets_of_length(first: int) -> int:
    """How many octets of a length follow its first. Raises Malformed: indefinite, or more than any length needs."""
    if first < _LONG:
        return 0
    if first == _LONG:
        raise Malformed("an indefinite length, which LDAP does not allow")
    if first > _LONG | _MAX_LENGTH_OCTETS:
        raise Malformed("a length of more than four octets")
    return first & ~_LONG


def expect(tag: int, data: bytes, at: int, end: int) -> tuple[int, int]:
    """Where the contents of the element at `at` begin and end. Raises Malformed, also for another tag."""
    if at + 1 < end and data[at] == tag and data[at + 1] < _LONG and at + 2 + data[at + 1] <= end:  # nearly every one: `read` is slower
        return at + 2, at + 2 + data[at + 1]
    found, begin, stop = read(data, at, end)
    if found != tag:
        raise Malformed(f"tag 0x{found:02x} where 0x{tag:02x} belongs")
    return begin, stop


def read_number(tag: int, data: bytes, at: int, end: int) -> tuple[int, int]:
    """The INTEGER or ENUMERATED at `at`, 0 to 2147483647, and where it ends. Raises Malformed."""
    if at + _NUMBER.size <= end:  # in nearly every answer: the whole of it in one step, and what stands behind it is shifted out
        found, size, octets = _NUMBER.unpack_from(data, at)
        if found == tag and 0 < size <= _MAX_NUMBER_OCTETS and octets <= _MAX_NUMBER:
            return octets >> 8 * (_MAX_NUMBER_OCTETS - size), at + 2 + size
    begin, stop = expect(tag, data, at, end)
    if not 0 < stop - begin <= _MAX_NUMBER_OCTETS or data[begin] & _LONG:
        raise Malformed("a number that is negative, empty or over 2147483647")
    return int.from_bytes(data[begin:stop], "big"), stop


def read_all(tag: int, data: bytes, at: int, end: int) -> tuple[bytes, ...]:
    """The contents of the elements that fill `data[at:end]`, all of one tag. Raises Malformed."""
    found = []
    while at < end:
        begin, at = expect(tag, data, at, end)
        found.append(data[begin:at])
    return tuple(found)
