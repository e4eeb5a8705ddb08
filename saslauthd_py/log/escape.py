"""Names come from outside: written so that they cannot forge a field or a line (rule B6)."""

from __future__ import annotations

import re

MAX_FIELD = 256
"""Bytes of a field, before they are written as \\xHH."""

_UNSAFE = re.compile(rb"[^!#-&(-<>-Z^-~]")  # all but printable ASCII, and of that: space " ' = [ \ ]


def field(value: bytes) -> bytes:
    """`value`, cut at MAX_FIELD, each unsafe byte as \\xHH; nothing is written as `""`, so that no field is ever missing its value."""
    return _UNSAFE.sub(_hex, value[:MAX_FIELD]) or b'""'


def text(value: str) -> bytes:
    """`field` of a name."""
    return field(value.encode("utf-8", "surrogateescape"))


def phrase(value: str) -> bytes:
    """Our own words, in quotes: control characters and quotes escaped, spaces kept."""
    return b'"' + re.sub(rb"[^ !#-\[\]-~]", _hex, value.encode("utf-8", "surrogateescape")) + b'"'


def _hex(match: re.Match[bytes]) -> bytes:
    return b"\\x%02X" % match[0][0]
