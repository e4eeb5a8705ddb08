"""`key=value`: what was decided for whom, where, by which backend, how fast, asked by which process."""

from __future__ import annotations

import logging

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
    head = b"%b user=%b service=%b listener=%b" % (word, escape.text(user), escape.text(asked.service), escape.text(asked.listener))
    backend_field = b" backend=%b" % escape.text(backend) if backend else b""
    hit = b" cached=yes" if cached else b""
    address = b" address=%b" % escape.text(str(asked.address)) if asked.address else b""
    return b"%b%b%b%b%b ms=%.1f" % (head, backend_field, rest, hit, address, asked.seconds * 1000)


def cached(user: str, backend: str, service: str, listener: str) -> bytes:
    """As `Style.cached`."""
    fields = (escape.text(value) for value in (user, service, listener, backend))
    return b"accepted user=%b service=%b listener=%b backend=%b cached=yes" % tuple(fields)


def refused(why: str, login: bytes, listener: str) -> bytes:
    """As `Style.refused`."""
    user = b" user=%b" % escape.field(login) if login else b""
    return b"refused%b listener=%b cause=%b" % (user, escape.text(listener), escape.phrase(why))


def message(text: str, traceback: str, request: str) -> list[bytes]:
    """As `Style.message`; the lines of a traceback are set in, so that none of them is taken for a decision."""
    first = escape.line(f"{text} id={request}" if request else text)
    return [first, *(b"  " + escape.line(line) for line in traceback.splitlines())]


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
