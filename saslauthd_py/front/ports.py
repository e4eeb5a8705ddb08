"""What a port is made of, whatever is spoken on it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from saslauthd_py.authenticator import Authenticator
from saslauthd_py.cache import Cache
from saslauthd_py.front.loop import Loop
from saslauthd_py.front.record import Record


@dataclass(frozen=True, slots=True)
class Front:
    """What the ports of one front share. `nursery` runs the tasks that serve single requests."""

    loop: Loop
    authenticator: Authenticator
    cache: Cache
    record: Record
    nursery: trio.Nursery


@dataclass(frozen=True, slots=True)
class PortSettings:
    """One listener's part of the configuration. `allowed`: user ids that may ask, None for whoever can open the socket.

    `deadline` in seconds, for a request and for our answer. `number` is the listener's own, in the key of every proof (rule C2).
    `admits`: whether a TCP client with this address may ask; None where they have none. `withheld` says why a SASL mechanism is not
    offered to everybody now, in one line; empty: it is.
    """

    number: int
    path: str
    deadline: float
    allowed: frozenset[int] | None = None
    admits: Callable[[str], bool] | None = None
    withheld: Callable[[str], Awaitable[str]] | None = None
