"""`key=value`: what was decided for whom, where, by which backend, how fast, asked by which process."""

from __future__ import annotations

import logging
from functools import lru_cache

from saslauthd_py.backend import Address
from saslauthd_py.log import escape, stamp
from saslauthd_py.log.request_id import START
from saslauthd_py.log.style import Asked
from saslauthd_py.verdict import Accepted, Rejected, Unavailable, UnknownUser, Verdict

IDENT = "saslauthd-py"
LINE = b"%b%b peer=%b id=" + START.encode() + b"%x\n"

field = escape.field


def opening(level: int, now: int | None) -> bytes:
    """Time (UTC) and level in words."""
    return b"" if now is None else f"{stamp.utc(now)} {logging.getLevelName(level)} ".encode()


def decision(user: str, verdict: Verdict, backend: str, asked: Asked, *, cached: bool = False) -> bytes:
    """As `Style.decision`."""
    word, rest = _outcome(verdict)
    authzid = _pair(b"authzid", asked.authzid) if asked.authzid else b""
    where = _place(asked.service, asked.listener, backend)
    hit = b" cached=yes" if cached else b""
    address = _address(asked.address)
    mechanism = _pair(b"mechanism", asked.mechanism) if asked.mechanism else b""
    known = (word, escape.text(user), authzid, where, rest, hit, address, mechanism, asked.seconds * 1000)
    return b"%b user=%b%b%b%b%b%b%b ms=%.1f" % known


def cached(user: str, backend: str, service: str, listener: str) -> bytes:
    """As `Style.cached`."""
    fields = (escape.text(value) for value in (user, service, listener, backend))
    return b"accepted user=%b service=%b listener=%b backend=%b cached=yes" % tuple(fields)


def from_client(address: bytes, mechanism: str) -> bytes:
    """As `Style.from_client`."""
    return (b" address=%b" % escape.field(address) if address else b"") + _pair(b"mechanism", mechanism)


def refused(why: str, login: bytes, listener: str, address: Address | None = None) -> bytes:
    """As `Style.refused`."""
    user = b" user=%b" % escape.field(login) if login else b""
    return b"refused%b listener=%b cause=%b%b" % (user, escape.text(listener), escape.phrase(why), _address(address))


def message(text: str, traceback: str, request: str) -> list[bytes]:
    """As `Style.message`; the lines of a traceback are set in, so that none of them is taken for a decision."""
    first = escape.line(f"{text} id={request}" if request else text)
    return [first, *(b"  " + escape.line(line) for line in traceback.splitlines())]


@lru_cache(maxsize=256)
def _place(service: str, listener: str, backend: str) -> bytes:  # the same few in almost all lines
    return _pair(b"service", service) + _pair(b"listener", listener) + (_pair(b"backend", backend) if backend else b"")


def _pair(name: bytes, value: str) -> bytes:
    return b" %b=%b" % (name, escape.text(value))


def _address(address: Address | None) -> bytes:
    return _pair(b"address", str(address)) if address else b""


def _outcome(verdict: Verdict) -> tuple[bytes, bytes]:
    match verdict:
        case Accepted():
            return b"accepted", b""
        case Rejected(reason):
            return b"rejected", b" reason=%b" % reason.encode()
        case UnknownUser():
            return b"rejected", b" reason=unknown-user"
        case Unavailable(cause):
            return b"unavailable", b" cause=%b" % escape.phrase(cause)
