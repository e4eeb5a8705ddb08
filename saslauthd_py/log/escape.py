"""Names come from outside: written so that they cannot forge a field or a line (rule B6). Nothing here ever raises."""

from __future__ import annotations

import re

MAX_FIELD = 256
"""Bytes of a field, before they are written as \\xHH."""

MAX_PHRASE = 512
"""Letters of a phrase: ours, but a backend's own words may be in it."""

_UNSAFE = re.compile(rb"[^!#-&(-<>-Z^-~]")  # all but printable ASCII, and of that: space " ' = [ \ ]
_UNQUOTABLE = re.compile(rb"[^ !#-\[\]-~]")
_BRACKETING = re.compile(rb"[^ !#-Z^-~]")
_UNPRINTABLE = re.compile(rb"[^ -~]")


def harmless(value: bytes) -> bytes:
    """`value`, cut at MAX_FIELD, each unsafe byte as \\xHH."""
    return _UNSAFE.sub(_hex, value[:MAX_FIELD])


def field(value: bytes) -> bytes:
    """As `harmless`; nothing is written as `""`, so that no field is ever missing its value."""
    return harmless(value) or b'""'


def text(value: str) -> bytes:
    """`field` of a name."""
    return _UNSAFE.sub(_hex, value.encode("utf-8", "backslashreplace")[:MAX_FIELD]) or b'""'


def phrase(value: str) -> bytes:
    """Our own words, in quotes: control characters and quotes escaped, spaces kept."""
    return b'"' + _UNQUOTABLE.sub(_hex, _encoded(value[:MAX_PHRASE])) + b'"'


def words(value: str) -> bytes:
    """Our own words between brackets: control characters, quotes and brackets escaped, spaces kept."""
    return _BRACKETING.sub(_hex, _encoded(value[:MAX_PHRASE]))


def line(value: str) -> bytes:
    """A whole line of our own words: what is not printable ASCII is escaped."""
    return _UNPRINTABLE.sub(_hex, _encoded(value))


def _encoded(value: str) -> bytes:
    return value.encode("utf-8", "backslashreplace")


def _hex(match: re.Match[bytes]) -> bytes:
    return b"\\x%02X" % match[0][0]
