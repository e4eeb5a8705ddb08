"""What a style of lines is, and what it is given to write."""

from __future__ import annotations

import logging
from typing import NamedTuple, Protocol

from saslauthd_py.backend import Address
from saslauthd_py.verdict import Reason, Rejected, Unavailable, Verdict


class Asked(NamedTuple):
    """What the asking side contributes to a line. `listener` is its path or address; `seconds` from arrival to verdict.

    `mechanism` is SASL's, where we decoded it; `authzid` whom the login wants to act as, or does, where that is somebody else than `user`.
    """

    service: str
    listener: str
    address: Address | None
    seconds: float
    mechanism: str = ""
    authzid: str = ""


class Style(Protocol):
    """How lines look; a module each. A line is an opening, a body, and but for messages the peer and the request's id.

    Whatever a client sent stands in a body as rule B6 says, and no body has a line end in it.
    """

    IDENT: str
    """What syslog calls us."""

    LINE: bytes
    """A whole line, for `%` with opening, body, the peer as `COMM[PID]` (COMM by `field`) and the request's number."""

    def opening(self, level: int, now: int | None, /) -> bytes:
        """What a line of this level begins with. `now`: seconds since the epoch; None where the log knows time and level by itself."""

    def field(self, value: bytes) -> bytes:
        """What a client sent, or a process calls itself, as `LINE` takes it."""

    def decision(self, user: str, verdict: Verdict, backend: str, asked: Asked, *, cached: bool = False) -> bytes:
        """A login that was decided. `user` is the identity that the backend confirmed, else the one that was asked: who sent the proof."""

    def cached(self, user: str, backend: str, service: str, listener: str) -> bytes:
        """A login that the cache decides inline: made once, for all of them."""

    def from_client(self, address: bytes, mechanism: str) -> bytes:
        """What follows the body of `cached` where the client of one such login is known. `address`: an IP address, or nothing."""

    def refused(self, why: str, login: bytes, listener: str, address: Address | None = None) -> bytes:
        """A request that was answered NO, or closed, before anybody was asked: nothing was guessed."""

    def message(self, text: str, traceback: str, request: str) -> list[bytes]:
        """Anything else: the bodies of its lines. `traceback`, of many lines, and `request`, an id, may be empty."""


def level(verdict: Verdict) -> int:
    """An outage is an error; a limit, a name without a route, an identity that is not theirs: somebody's fault; the rest is daily life."""
    match verdict:
        case Unavailable(limited=True) | Rejected(reason=Reason.NO_ROUTE | Reason.AUTHZID):
            return logging.WARNING
        case Unavailable():
            return logging.ERROR
        case _:
            return logging.INFO
