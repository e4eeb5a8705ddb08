"""The pwcheck socket protocol as bytes: one request, one reply, then the connection ends.

Followed: Cyrus SASL 2.1.28 and master, `lib/checkpw.c` (client) and `pwcheck/pwcheck.c` (server). A request is two strings - userid and
password - each ended by a NUL. The client sends the userid as the user gave it, not split at its `@`, and names neither service nor
realm. A reply is a text without count or NUL that the end of the connection ends: it begins with OK, or the login has failed.

Nothing says "later": a client takes a connection that ends without a byte for a failed login, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from saslauthd_py.secret import Secret

MAX_REQUEST = 16384
"""Bytes in a request, both NULs included (decision 13). The client has no limit of its own."""

COMPAT_MAX_REQUEST = 1022
"""Bytes in a request that the original takes (`pwcheck.c`: a buffer of 1024 that must not fill up); ours with `compat_limits`."""

MAX_REPLY = 1023
"""Bytes of a reply that libsasl reads (`checkpw.c`)."""

SERVICE = "pwcheck"
"""The service of every request, for routes, backends, credentials and the log: the protocol names none."""

OK = b"OK"
NO = b"Authentication failed"
"""One text for every cause (rule D6): libsasl hands it on to its application."""

_END = b"\0"


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks."""

    userid: bytes
    secret: Secret


class BadRequest(Enum):
    """A request that is answered NO at once; the value is its one line for the log."""

    TOO_LONG = "request over its limit"
    EMPTY_USERID = "empty login"
    EMPTY_PASSWORD = "empty password"  # noqa: S105 - a complaint, not a password
    MORE = "bytes after the second NUL"


def span(data: bytes) -> int:
    """Where the request ends, if `data` is one request and nothing more; else 0. No limit is judged: for data that is bounded already.

    Two NULs, the second at the end, say unambiguously who asks what.
    """
    return len(data) if data.endswith(_END) and data.count(_END) == 2 else 0


def parse(data: bytes, limit: int = MAX_REQUEST) -> Request | BadRequest | None:
    """The request in `data`, of `limit` bytes at most; BadRequest as soon as one can be told; None: more bytes are needed.

    Bytes after the second NUL are refused: no client sends any, and a password with a NUL in it would be taken for the part before.
    """
    userid, first, rest = data.partition(_END)
    if first and not userid:
        return BadRequest.EMPTY_USERID
    password, second, more = rest.partition(_END)
    if not second:
        return BadRequest.TOO_LONG if len(data) >= limit else None
    if len(data) - len(more) > limit:
        return BadRequest.TOO_LONG
    if not password:
        return BadRequest.EMPTY_PASSWORD
    return BadRequest.MORE if more else Request(userid, Secret(password))


def encode(request: Request) -> bytes:
    """A request as a client sends it. ValueError: a NUL in a string, which would end it."""
    strings = request.userid, request.secret.reveal()
    if any(_END in string for string in strings):
        raise ValueError("a NUL within a string of a pwcheck request")
    return b"".join(string + _END for string in strings)


def accepts(reply: bytes) -> bool:
    """Whether a reply says yes, as libsasl reads it: whole at the end of the connection, or at MAX_REPLY bytes."""
    return reply.startswith(OK)
