"""A JSON object a line (RFC 8259). What a client sent stands in its strings as in the other styles: one word of harmless letters."""

from __future__ import annotations

import json
import logging

from saslauthd_py.backend import Address
from saslauthd_py.log import escape, stamp
from saslauthd_py.log.request_id import START
from saslauthd_py.log.style import Asked
from saslauthd_py.verdict import Accepted, Rejected, Unavailable, UnknownUser, Verdict

IDENT = "saslauthd-py"
LINE = b'%b%b,"peer":"%b","id":"' + START.encode() + b'%x"}\n'


def field(value: bytes) -> bytes:
    """As `Style.field`."""
    return escape.harmless(value).replace(b"\\", b"\\\\")


def opening(level: int, now: int | None) -> bytes:
    """The object's beginning; it has its level always, for what collects such lines may not keep the log's own."""
    time = "" if now is None else f'"time":"{stamp.utc(now)}",'
    return f'{{{time}"level":"{logging.getLevelName(level).lower()}"'.encode()


def decision(user: str, verdict: Verdict, backend: str, asked: Asked, *, cached: bool = False) -> bytes:
    """As `Style.decision`."""
    word, rest = _outcome(verdict)
    who = _pair(b"user", user) + (_pair(b"authzid", asked.authzid) if asked.authzid else b"")
    where = _where(asked.service, asked.listener) + (_pair(b"backend", backend) if backend else b"")
    hit = b',"cached":true' if cached else b""
    client = _address(asked.address) + (_pair(b"mechanism", asked.mechanism) if asked.mechanism else b"")
    return b'%b%b%b%b%b%b,"ms":%.1f' % (_pair(b"verdict", word), who, where, rest, hit, client, asked.seconds * 1000)


def cached(user: str, backend: str, service: str, listener: str) -> bytes:
    """As `Style.cached`."""
    head = _pair(b"verdict", "accepted") + _pair(b"user", user)
    return head + _where(service, listener) + _pair(b"backend", backend) + b',"cached":true'


def from_client(address: bytes, mechanism: str) -> bytes:
    """As `Style.from_client`."""
    return (b',"address":"%b"' % field(address) if address else b"") + _pair(b"mechanism", mechanism)


def refused(why: str, login: bytes, listener: str, address: Address | None = None) -> bytes:
    """As `Style.refused`."""
    user = b',"user":"%b"' % field(login) if login else b""
    cause = _phrase(b"cause", why) + _address(address)
    return b"%b%b%b%b" % (_pair(b"verdict", "refused"), user, _pair(b"listener", listener), cause)


def message(text: str, traceback: str, request: str) -> list[bytes]:
    """As `Style.message`: one object, whatever it holds."""
    fields = {"message": text, "traceback": traceback, "id": request}
    return ["".join(f',"{name}":{json.dumps(value)}' for name, value in fields.items() if value).encode() + b"}"]


def _where(service: str, listener: str) -> bytes:
    return _pair(b"service", service) + _pair(b"listener", listener)


def _pair(name: bytes, value: str) -> bytes:
    return b',"%b":"%b"' % (name, field(value.encode("utf-8", "backslashreplace")))


def _address(address: Address | None) -> bytes:
    return _pair(b"address", str(address)) if address else b""


def _phrase(name: bytes, value: str) -> bytes:
    return b',"%b":%b' % (name, json.dumps(value[: escape.MAX_PHRASE]).encode())


def _outcome(verdict: Verdict) -> tuple[str, bytes]:
    match verdict:
        case Accepted():
            return "accepted", b""
        case Rejected(reason):
            return "rejected", _pair(b"reason", reason)
        case UnknownUser():
            return "rejected", _pair(b"reason", "unknown-user")
        case Unavailable(cause):
            return "unavailable", _phrase(b"cause", cause)
