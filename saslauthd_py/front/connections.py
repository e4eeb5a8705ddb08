"""The clients that were not answered at once: how many there may be, whose they are, and which of them goes when it is too many."""

from __future__ import annotations

from collections import defaultdict
from enum import Enum, auto
from typing import Protocol

from saslauthd_py.front import peers
from saslauthd_py.front.sockets import NOW, Stream


class AlreadyAnsweredError(RuntimeError):
    """A request was answered twice, or after its connection had ended: a programming error (rule E7)."""


class State(Enum):
    """What a connection waits for. OPEN: it has a dialogue, which goes on until one side ends it."""

    REQUEST = auto()
    OPEN = auto()
    VERDICT = auto()
    DRAINED = auto()
    CLOSED = auto()


class Port(Protocol):
    """One listener and the protocol spoken on it, as the loop sees them."""

    @property
    def path(self) -> str:
        """The listener's, for routes and the log."""

    def round(self) -> tuple[int, bool]:
        """Serve up to a batch of clients that wait in the backlog. Never blocks, never raises.

        Returns how many requests were read, and whether to come again at once, since more may wait: those that have their answer are back.
        """

    def settle(self) -> None:
        """The loop is about to wait: hand it the clients whose bytes have not come."""

    def resume(self, connection: Connection) -> int:
        """A parked connection is readable; it has left the selector. Returns how many requests were read."""

    def expire(self, connection: Connection) -> None:
        """A parked connection's time is over; it has left the selector, unless it is OPEN."""

    def fault(self) -> None:
        """A bug was met while one of its clients was served: to be called where the exception is handled, for log and metrics."""

    def retire(self, successor: Port | None) -> None:
        """No new request is for this port; the clients that have none under way are for `successor`, where that can serve them."""


class Dialogue(Protocol):
    """What a connection of many requests carries from one to the next."""

    def end(self) -> None:
        """The connection is being closed: whatever still waits for it is given up."""


class Connection:
    """One client, from its first incomplete read on. `until` is trio's clock, and None while nothing is due.

    `frame` is the part of a request that has come; a connection with a `dialogue` has it there.
    """

    __slots__ = ("arrived", "client", "dialogue", "frame", "peer", "port", "state", "uid", "until")

    def __init__(self, client: Stream, port: Port, arrived: float) -> None:
        self.client = client
        self.port = port
        self.arrived = arrived
        self.peer = peers.of(client)
        self.uid = peers.uid(self.peer)
        self.frame = b""
        self.until: float | None = None
        self.state = State.REQUEST
        self.dialogue: Dialogue | None = None

    def reply(self, text: bytes) -> None:
        """Send the one reply there is. A client that has gone is no error. Raises AlreadyAnsweredError."""
        if self.state not in (State.REQUEST, State.VERDICT):
            raise AlreadyAnsweredError(f"a second reply, or one after the end, in state {self.state.name}")
        self.state = State.DRAINED
        try:
            self.client.send(text, NOW)
        except OSError:
            return


class Connections:
    """All of them: at most `most`, and `most_per_peer` of one user id. The oldest without a whole request makes room (rule E2)."""

    def __init__(self, most: int, most_per_peer: int) -> None:
        self._most = most
        self._most_per_peer = most_per_peer
        self._open: dict[Connection, None] = {}
        self._incomplete: dict[Connection, None] = {}
        self._by_peer: dict[int, dict[Connection, None]] = defaultdict(dict)

    def limit(self, most: int, most_per_peer: int) -> None:
        """From now on. Those that are over it stay."""
        self._most, self._most_per_peer = most, most_per_peer

    def __len__(self) -> int:
        return len(self._open)

    def victim(self, uid: int) -> Connection | None:
        """Who must go before one more of `uid` may come; None where there is room already, or nobody can go: ask `full`."""
        if len(self._by_peer[uid]) >= self._most_per_peer:
            return next((one for one in self._by_peer[uid] if one in self._incomplete), None)
        if len(self._open) >= self._most:
            return next(iter(self._incomplete), None)
        return None

    def full(self, uid: int) -> bool:
        """No room for one more of `uid`."""
        return len(self._open) >= self._most or len(self._by_peer[uid]) >= self._most_per_peer

    def enter(self, connection: Connection) -> None:
        """Its request is incomplete."""
        self._open[connection] = None
        self._incomplete[connection] = None
        self._by_peer[connection.uid][connection] = None

    def complete(self, connection: Connection) -> None:
        """Its request is whole: from now on it stays until it is answered."""
        self._incomplete.pop(connection, None)

    def rest(self, connection: Connection) -> None:
        """It has no request under way, for now: of those that have none, it is the last that goes."""
        self._incomplete[connection] = None

    def leave(self, connection: Connection) -> None:
        """It is closed."""
        self._open.pop(connection, None)
        self._incomplete.pop(connection, None)
        mine = self._by_peer[connection.uid]
        mine.pop(connection, None)
        if not mine:
            del self._by_peer[connection.uid]

    def whole(self) -> int:
        """How many have a whole request, or their reply."""
        return len(self._open) - len(self._incomplete)

    def all(self) -> tuple[Connection, ...]:
        """Those that are open now."""
        return tuple(self._open)
