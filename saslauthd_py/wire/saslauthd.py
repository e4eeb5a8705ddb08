"""The saslauthd socket protocol as bytes: one request, one reply, then the connection ends.

Followed: Cyrus SASL 2.1.28 and master, `lib/checkpw.c` (client) and `saslauthd/ipc_unix.c` (server). A request is four strings -
login, password, service, realm - each a 2-byte big-endian count and that many bytes; unreleased Cyrus 2.2 appends a fifth, the mail
client's `address;port`. Nothing marks the end, so a fifth field counts when it is whole in what was read, and is never waited for.
A reply is a counted text that begins with OK or NO, without a NUL.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from saslauthd_py.secret import Secret

MAX_REQUEST = 16384
"""Bytes in a request, counts included. libsasl sends 8192 at most (`checkpw.c`: query buffer), others send tokens (decision 13)."""

COMPAT_MAX_FIELD = 256
"""Bytes in a field, inclusive, in the original (`saslauthd-main.h`: MAX_REQ_LEN); ours with `compat_limits`."""

OK = b"\0\2OK"
NO = b"\0\2NO"

_COUNT = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes that a whole request and one field may have."""

    request: int = MAX_REQUEST
    field: int = MAX_REQUEST


LIMITS = Limits()
COMPAT_LIMITS = Limits(field=COMPAT_MAX_FIELD)


class Request(NamedTuple):
    """What a client asks. `client` is the fifth field as it was sent, empty where there is none."""

    login: bytes
    secret: Secret
    service: bytes
    realm: bytes
    client: bytes = b""


class BadRequest(Enum):
    """A request that is answered NO at once; the value is its one line for the log."""

    FIELD_TOO_LONG = "a field over its limit"
    REQUEST_TOO_LONG = "request over its limit"
    NUL = "NUL in a field"
    EMPTY_LOGIN = "empty login"
    EMPTY_PASSWORD = "empty password"  # noqa: S105 - a complaint, not a password


_EMPTY = (BadRequest.EMPTY_LOGIN, BadRequest.EMPTY_PASSWORD, None, None)
"""What is said of each of the four fields where it is empty; None: it may be."""


def span(data: bytes) -> int:
    """Where the fourth field ends in `data`; 0 while it is not there. No limit is judged: for data that is bounded already.

    `data[:span]` holds every byte that says who asks what, length-prefixed, and so unambiguously; the fifth field has a port in it.
    """
    try:
        end = 2 + (data[0] << 8 | data[1])
        end += 2 + (data[end] << 8 | data[end + 1])
        end += 2 + (data[end] << 8 | data[end + 1])
        end += 2 + (data[end] << 8 | data[end + 1])
    except IndexError:
        return 0
    return end if end <= len(data) else 0


def parse(data: bytes, limits: Limits = LIMITS) -> Request | BadRequest | None:
    """The request at the start of `data`; BadRequest as soon as one can be told; None: more bytes are needed.

    Bytes after the fourth field that are no whole fifth field are ignored, as the original does.
    """
    fields: list[bytes] = []
    end, read, most = 0, len(data), limits.field
    room = limits.request - len(_EMPTY) * _COUNT
    for empty in _EMPTY:
        begin = end + _COUNT
        size = data[end] << 8 | data[end + 1] if begin <= read else 0
        if size > most:
            return BadRequest.FIELD_TOO_LONG
        room -= size
        if room < 0:
            return BadRequest.REQUEST_TOO_LONG
        end = begin + size
        if end > read:
            return None
        field = data[begin:end]
        if b"\0" in field:
            return BadRequest.NUL  # the original's C strings end there: "good\0x" would be verified as "good"
        if not field and empty:
            return empty
        fields.append(field)
    login, secret, service, realm = fields
    return Request(login, Secret(secret), service, realm, _fifth(data, end, limits) if end < read else b"")


def client_address(request: Request) -> IPv4Address | IPv6Address | None:
    """The address in the fifth field, `address;port`; None for anything else (rule D10)."""
    if not request.client:
        return None
    try:
        address = ip_address(request.client.partition(b";")[0].decode("ascii"))
    except ValueError:
        return None
    # an IPv6 zone may hold any letters, line ends too; no client of a mail server has one that means anything here
    return None if isinstance(address, IPv6Address) and address.scope_id is not None else address


def encode(request: Request) -> bytes:
    """A request as a client sends it: four fields, or five where `client` is not empty. OverflowError: a field over 65535 bytes."""
    fields = [request.login, request.secret.reveal(), request.service, request.realm]
    if request.client:
        fields.append(request.client)
    return b"".join(len(field).to_bytes(_COUNT, "big") + field for field in fields)


def parse_reply(data: bytes) -> bytes | None:
    """The text of a reply, as libsasl reads it: its first two bytes decide. None: not whole. Compare with OK[2:]."""
    if len(data) < _COUNT:
        return None
    end = _COUNT + int.from_bytes(data[:_COUNT], "big")
    return data[_COUNT:end] if end <= len(data) else None


def _fifth(data: bytes, at: int, limits: Limits) -> bytes:
    size = int.from_bytes(data[at : at + _COUNT], "big")
    end = at + _COUNT + size
    field = data[at + _COUNT : end]
    return field if len(data) >= end and end <= limits.request and size <= limits.field and b"\0" not in field else b""
