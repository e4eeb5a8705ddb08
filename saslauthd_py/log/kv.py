"""Decision lines in `key=value` style: what was decided for whom, where, by which backend, how fast, asked by which process."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from saslauthd_py.backend import Address
from saslauthd_py.log import escape
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict


@dataclass(frozen=True, slots=True)
class Asked:
    """What the asking side contributes to a line. `listener` is its path; `seconds` from arrival to verdict."""

    service: str
    listener: str
    address: Address | None
    seconds: float


def level(verdict: Verdict) -> int:
    """An outage is an error, a name without a route is a fault of the configuration or of the sender; the rest is daily life."""
    match verdict:
        case Unavailable():
            return logging.ERROR
        case Rejected(reason=Reason.NO_ROUTE):
            return logging.WARNING
        case _:
            return logging.INFO


def decision(user: str, verdict: Verdict, backend: str, asked: Asked) -> bytes:
    """The line without prefix and without its peer. `user` is the identity that the backend confirmed, else the one that was asked."""
    word, rest = _outcome(verdict)
    head = b"%b user=%b service=%b listener=%b" % (word, escape.text(user), escape.text(asked.service), escape.text(asked.listener))
    backend_field = b" backend=%b" % escape.text(backend) if backend else b""
    address = b" address=%b" % escape.text(str(asked.address)) if asked.address else b""
    return b"%b%b%b%b ms=%.1f" % (head, backend_field, rest, address, asked.seconds * 1000)


def cached(user: str, backend: str, service: str, listener: str) -> bytes:
    """The line of a login that the cache decides inline, ready once for all of them."""
    fields = (escape.text(value) for value in (user, service, listener, backend))
    return b"accepted user=%b service=%b listener=%b backend=%b cached=yes" % tuple(fields)


def refused(why: str, login: bytes, listener: str) -> bytes:
    """A request that was answered NO, or closed, before anybody was asked."""
    user = b" user=%b" % escape.field(login) if login else b""
    return b"refused%b listener=%b cause=%b" % (user, escape.text(listener), escape.phrase(why))


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
