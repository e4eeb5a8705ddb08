"""The lines of Cyrus saslauthd (`saslauthd/utils.c`: logger, `saslauthd-main.c`: do_auth), so that what reads them reads ours.

A line is the function's name, padded, and a text; ours are its `auth failure` and `auth success` with `[remote=]` as in 2.2, and
what it never says follows in brackets of its own. What it writes as a client sent it is escaped here.
"""

from __future__ import annotations

import os
import socket

from saslauthd_py.backend import Address
from saslauthd_py.log import escape, stamp
from saslauthd_py.log.request_id import START
from saslauthd_py.log.style import Asked
from saslauthd_py.verdict import Accepted, Rejected, Unavailable, UnknownUser, Verdict

IDENT = "saslauthd"
LINE = b"%b%b [peer=%b] [id=" + START.encode() + b"%x]\n"

_DECISION = b"do_auth         : auth "
_REQUEST = b"do_request      : "
_MESSAGE = b"saslauthd-py    : "

field = escape.harmless


def opening(_level: int, now: int | None) -> bytes:
    """What the line begins with in syslog's own file. The original names no level either."""
    if now is None:
        return b""
    host = escape.harmless(socket.gethostname().encode())
    return b"%b %b %b[%d]: " % (stamp.local(now).encode(), host, IDENT.encode(), os.getpid())


def decision(user: str, verdict: Verdict, backend: str, asked: Asked, *, cached: bool = False) -> bytes:
    """As `Style.decision`. `mech` is the backend; SASL's mechanism has its whole name."""
    word, reason = _outcome(verdict, cached=cached)
    known = _who(user, asked.service) + _remote(asked.address) + _pair(b"mech", backend)
    sasl = b"".join(_pair(name, value) for name, value in ((b"mechanism", asked.mechanism), (b"authzid", asked.authzid)) if value)
    where = _pair(b"listener", asked.listener) + sasl
    return b"%b%b:%b%b%b [ms=%.1f]" % (_DECISION, word, known, reason, where, asked.seconds * 1000)


def cached(user: str, backend: str, service: str, listener: str) -> bytes:
    """As `Style.cached`."""
    return b"%bsuccess (cached):%b%b%b" % (_DECISION, _who(user, service), _pair(b"mech", backend), _pair(b"listener", listener))


def from_client(address: bytes, mechanism: str) -> bytes:
    """As `Style.from_client`."""
    return (b" [remote=%b]" % escape.harmless(address) if address else b"") + _pair(b"mechanism", mechanism)


def refused(why: str, login: bytes, listener: str, address: Address | None = None) -> bytes:
    """As `Style.refused`. The original has a text of its own for each cause; ours is one."""
    user = b" [user=%b]" % escape.harmless(login) if login else b""
    return b"%brefused:%b%b [reason=%b]%b" % (_REQUEST, user, _remote(address), escape.words(why), _pair(b"listener", listener))


def message(text: str, traceback: str, request: str) -> list[bytes]:
    """As `Style.message`."""
    first = escape.line(f"{text} [id={request}]" if request else text)
    return [_MESSAGE + first, *(_MESSAGE + b"  " + escape.line(line) for line in traceback.splitlines())]


def _who(user: str, service: str) -> bytes:
    local, at, realm = user.rpartition("@")
    return _pair(b"user", local if at else user) + _pair(b"service", service) + _pair(b"realm", realm if at else "")


def _remote(address: Address | None) -> bytes:
    return _pair(b"remote", str(address)) if address else b""


def _pair(name: bytes, value: str) -> bytes:
    return b" [%b=%b]" % (name, escape.harmless(value.encode("utf-8", "backslashreplace")))


def _outcome(verdict: Verdict, *, cached: bool) -> tuple[bytes, bytes]:
    match verdict:
        case Accepted():
            return b"success (cached)" if cached else b"success", b""
        case Rejected(reason):
            return b"failure", _pair(b"reason", reason)
        case UnknownUser():
            return b"failure", _pair(b"reason", "unknown-user")
        case Unavailable(cause):
            return b"failure", b" [reason=unavailable: %b]" % escape.words(cause)
