"""One login by a client that waits as long as libsasl does: for its place in the backlog, and for the answer."""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import dataclass
from enum import StrEnum

from saslauthd_py.wire import saslauthd

_PATIENCE = 300.0
"""Seconds of silence until a client gives up, which libsasl's never do; the stock daemon takes 80 s for 200 wrong secrets."""

_TIME = struct.Struct("@ll")


class Outcome(StrEnum):
    """How a request ended. CLOSED: without a whole answer, which means "later"; OTHER: an answer that is neither OK nor NO."""

    OK = "OK"
    NO = "NO"
    CLOSED = "closed"
    OTHER = "other"
    UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True)
class Answer:
    """An outcome, and the seconds from connect to it."""

    outcome: Outcome
    seconds: float


def ask(path: str, request: saslauthd.Request) -> Answer:
    """The login, sent once. For many at a time, each in a thread of its own. Raises OSError: there is no such socket."""
    frame = saslauthd.encode(request)
    begun = time.perf_counter()
    with socket.socket(socket.AF_UNIX) as client:
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):  # settimeout would refuse to wait for a place in the backlog
            client.setsockopt(socket.SOL_SOCKET, option, _TIME.pack(int(_PATIENCE), int(_PATIENCE % 1 * 1e6)))
        outcome = _outcome(client, path, frame)
    return Answer(outcome, time.perf_counter() - begun)


def _outcome(client: socket.socket, path: str, frame: bytes) -> Outcome:
    said = b""
    try:
        client.connect(path)
        client.sendall(frame)
        while (text := saslauthd.parse_reply(said)) is None:
            more = client.recv(1024)
            if not more:
                return Outcome.CLOSED
            said += more
    except BlockingIOError:
        return Outcome.UNANSWERED
    except ConnectionError:
        return Outcome.CLOSED
    return {b"OK": Outcome.OK, b"NO": Outcome.NO}.get(text[:2], Outcome.OTHER)
