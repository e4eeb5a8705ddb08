"""Lines and fields, and the pure functions with which the loop answers what the cache decides: no event is built for that."""

from __future__ import annotations

import binascii
import re

MAX_LINE = 16384
"""Bytes of a client's line, without its LF (Dovecot: AUTH_CLIENT_MAX_LINE_LENGTH). The peer of a longer one is broken."""

MAX_REPLY = 8191
"""Bytes of a line of ours, with its LF: Exim reads into a buffer of 8192."""

MAX_BUFFERED = 65536
"""Bytes that were fed to a connection and are not yet read as lines."""

MAX_REQUESTS = 256
"""Requests of one connection without their final reply."""

MAX_HELD = 65536
"""Bytes of the lines, all together, of the requests of one connection that wait for our answer."""

MAX_ID = 0xFFFFFFFF

_ESCAPE = re.compile(rb"\x01(.?)", re.DOTALL)
_MEANT = {b"0": b"\0", b"1": b"\1", b"t": b"\t", b"r": b"\r", b"n": b"\n"}
_SHORT_ID = 9
_ZERO = ord("0")


def span(data: bytes, at: int = 0) -> tuple[int, int]:
    """Of the AUTH line that begins at `at`: where its number ends, and where its LF is. (0, 0): not whole, or not to be answered here.

    `data[at + 5 : first]` is the number, decimal and not 0; `data[first:second]` is every byte that says who asks what. Equal bytes ask
    the same on every connection, where they hold an initial response that decides alone. Nothing of them is judged: they are for
    comparison with those that a `Connection` has let pass as its `Auth.span`. A number of ten digits is left to the connection.
    """
    first = data.find(b"\t", at + 5)
    end = data.find(b"\n", first)
    number = data[at + 5 : first]
    if end < 0 or first < 0 or len(number) > _SHORT_ID or not number.isdigit() or number[0] == _ZERO or not data.startswith(b"AUTH\t", at):
        return 0, 0
    return first, end


def ok(number: bytes, user: bytes) -> bytes:
    """The OK line for a request that no connection has heard of. Both go out as they are: the number from `span`, a confirmed name."""
    return b"OK\t%b\tuser=%b\n" % (number, user)


def unescape(field: bytes) -> bytes:
    """A field as it was meant, after the line was split (Dovecot's str_tabunescape)."""
    return _ESCAPE.sub(lambda escape: _MEANT.get(escape[1], escape[1]), field) if b"\1" in field else field


def number_of(field: bytes) -> int | None:
    """A request's number: decimal, 32 bits, not 0; None for anything else."""
    number = int(field) if field.isdigit() and len(field) <= len(str(MAX_ID)) else 0
    return number if 0 < number <= MAX_ID else None


def decode(message: bytes) -> bytes | None:
    """A SASL message out of its base64 (RFC 4648 section 4, padding required); None: it is not base64."""
    if len(message) % 4:  # before Python 3.13, one "=" too many is overlooked
        return None
    try:
        return binascii.a2b_base64(message, strict_mode=True)
    except binascii.Error:
        return None


def encode(message: bytes) -> bytes:
    """A SASL message in base64, on one line."""
    return binascii.b2a_base64(message, newline=False)
