"""One trio task over one selector that holds the listeners and all waiting clients (design decision 6).

What is ready is served inline, in rounds until nothing is, within a budget; then the task yields. A silent client is an entry in the
selector and in a heap of deadlines. An event counts only for the registration it was reported for: a connection leaves the selector
before it is handed to its port or closed, and a batch of events is matched against those still registered (rule E1).
"""

from __future__ import annotations

import heapq
import itertools
import logging
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Collection

import trio

from saslauthd_py.front.connections import Connection, Connections, Port, State
from saslauthd_py.front.sockets import OUT_OF_RESOURCES
from saslauthd_py.front.spare import Spare
from saslauthd_py.listeners import BACKLOG

_logger = logging.getLogger(__name__)

BATCH = 64
SLICE = 0.002
"""A turn serves at most so many requests, or so many seconds, before everything else gets its turn (rule E3)."""

EXHAUSTED_PAUSE = 0.1
"""Seconds without accepting after the process ran out of descriptors (rule E2)."""


class Loop:
    """Serves ports until it is cancelled. `pulse` is called by the loop itself, after a turn that a byte from `beat` began."""

    def __init__(self, connections: Connections, pulse: Callable[[], None]) -> None:
        self.connections = connections
        self._pulse = pulse
        self._selector = selectors.DefaultSelector()
        self._listeners: dict[Port, socket.socket] = {}
        self._hot: set[Port] = set()
        self._parked: set[Connection] = set()
        self._ready: deque[Connection] = deque()
        self._deadlines: list[tuple[float, int, Connection]] = []
        self._order = itertools.count()
        self._soonest = float("inf")
        self._sooner = trio.Event()
        self._left = trio.Event()
        self._listening = True
        self._resume_at: float | None = None
        self._spare = Spare()
        self._beat_in, self._beat_out = socket.socketpair()
        for end in (self._beat_in, self._beat_out):
            end.setblocking(False)
        self._selector.register(self._beat_in, selectors.EVENT_READ)

    def add(self, listener: socket.socket, port: Port) -> None:
        """Serve this listener too, from the next turn on."""
        self._listeners[port] = listener
        if self._listening:
            self._selector.register(listener, selectors.EVENT_READ, port)

    def remove(self, port: Port) -> None:
        """Accept nobody on this port any more; those that it has accepted are served on."""
        port.settle()
        listener = self._listeners.pop(port, None)
        self._hot.discard(port)
        if listener is not None and self._listening:  # else nobody is accepted on any port any more
            self._selector.unregister(listener)

    def replace(self, old: Port, new: Port) -> None:
        """Serve the listener of one port by another from now on, and with it those clients that have not asked yet."""
        listener = self._listeners[old]
        self.remove(old)
        self._listeners[new] = listener
        if self._listening:
            self._selector.register(listener, selectors.EVENT_READ, new)
        old.retire(new)

    async def serve(self) -> None:
        """Until cancelled. What a port raises for one client closes that client; anything else ends the daemon."""
        descriptor = self._selector.fileno()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_deadlines)
            while True:
                await trio.lowlevel.wait_readable(descriptor)
                while self._turn():
                    await trio.lowlevel.checkpoint()

    def beat(self) -> None:
        """Ask the loop for a pulse: it comes only while the loop turns (rule E9)."""
        try:
            self._beat_out.send(b"\0")
        except BlockingIOError:
            return

    def park(self, connection: Connection, until: float) -> None:
        """Wait for the connection's next bytes, until trio's clock says `until`; then its port is told to expire it."""
        self.watch(connection)
        self.due(connection, until)

    def watch(self, connection: Connection) -> None:
        """Tell its port when bytes have come: once, or while it is OPEN each time, until it is unparked."""
        self._selector.register(connection.client, selectors.EVENT_READ, connection)
        self._parked.add(connection)

    def due(self, connection: Connection, until: float) -> None:
        """When trio's clock says `until`, its port is told to expire it: if it is parked, or OPEN, and nothing else is due by then."""
        if connection.until != until:  # else its entry is in the heap already: a client that sends byte by byte has one
            connection.until = until
            heapq.heappush(self._deadlines, (until, next(self._order), connection))
            if len(self._deadlines) > 2 * len(self.connections) + BATCH:
                self._sweep()
        if until < self._soonest:
            self._sooner.set()

    def unpark(self, connection: Connection) -> None:
        """Take it out of the selector, before it is closed or handed over."""
        if connection in self._parked:
            self._parked.remove(connection)
            self._selector.unregister(connection.client)

    def close(self, connection: Connection) -> None:
        """End a connection, in whatever state it is."""
        if connection.state is not State.CLOSED:
            self.unpark(connection)
            connection.state = State.CLOSED
            if connection.dialogue is not None:
                connection.dialogue.end()
            connection.frame = b""  # a secret is in it, and the heap may hold the connection until its deadline
            connection.client.close()
            self.connections.leave(connection)
            self._left.set()

    def hand_over(self, connection: Connection, port: Port) -> None:
        """Let another port of the same kind serve it from now on."""
        connection.port = port
        self._left.set()

    def admit(self, connection: Connection) -> bool:
        """Let it in; if there is no room, in place of the oldest without a whole request. False: there is none, and it stays outside."""
        connections, uid = self.connections, connection.uid
        if connections.full(uid):
            if victim := connections.victim(uid):
                self.close(victim)
            if connections.full(uid):
                return False
        connections.enter(connection)
        return True

    def exhausted(self, port: Port, error: OSError) -> None:
        """accept(2) failed for want of descriptors or memory: one client is told by closing, then nobody is accepted for a while."""
        if error.errno not in OUT_OF_RESOURCES:
            _logger.error("cannot accept on %s: %s; trying again in %g s", port.path, error.strerror, EXHAUSTED_PAUSE)
            self._pause()
            return
        self._spare.turn_away(self._listeners[port])
        _logger.error("cannot accept on %s: %s; trying again in %g s. Raise LimitNOFILE", port.path, error.strerror, EXHAUSTED_PAUSE)
        self._pause()

    def stop_listening(self) -> None:
        """Serve what waits in the backlogs, then accept nobody. The listeners are whoever's who added them."""
        for port in self._listeners:
            for _ in range(BACKLOG // BATCH):
                port.round()
                port.settle()
            port.retire(None)
        self._pause()
        self._resume_at = None
        self._listeners.clear()

    async def drained(self) -> None:
        """Return when no client is left that has a whole request or has not read its reply. Cancellation changes nothing."""
        while self.connections.whole():
            await self._one_less()

    def clients(self, port: Port) -> list[Connection]:
        """Of this port, whatever state they are in."""
        return [connection for connection in self.connections.all() if connection.port is port]

    async def left(self, ports: Collection[Port]) -> None:
        """Return when no client of these ports is left. Cancellation changes nothing."""
        while any(connection.port in ports for connection in self.connections.all()):
            await self._one_less()

    async def _one_less(self) -> None:
        if self._left.is_set():
            self._left = trio.Event()
        await self._left.wait()

    def shut(self) -> None:
        """Close everything that is the loop's. Nothing is served after this."""
        for connection in self.connections.all():
            self.close(connection)
        self._selector.close()
        self._beat_in.close()
        self._beat_out.close()
        self._spare.close()

    def _turn(self) -> bool:
        """Serve what is ready. True: the budget is spent and there may be more."""
        until = time.monotonic() + SLICE
        served, spent, hot, more = 0, False, self._hot, True
        while more and not spent:  # an OPEN client may have the next request ready by now
            read = self._gather(until)
            more, served = read > 0, served + read
            while True:
                for port in tuple(hot):
                    read, again = port.round()
                    served += read
                    if not again:
                        hot.discard(port)
                spent = served >= BATCH or time.monotonic() >= until
                if spent or not hot:
                    break
        for port in self._listeners:
            if port not in hot:  # one that is has its turn again before the loop waits
                port.settle()
        return spent or bool(self._ready)

    def _gather(self, until: float) -> int:
        ready, served = self._ready, 0
        if not ready:
            for key, _ in self._selector.select(0):
                whose = key.data
                if whose is None:
                    self._beat_in.recv(4096)
                    self._pulse()
                elif isinstance(whose, Connection):
                    ready.append(whose)
                else:
                    self._hot.add(whose)
        while ready and served < BATCH and time.monotonic() < until:
            whose = ready.popleft()
            if whose in self._parked:  # else an earlier event of this very batch has closed it
                if whose.state is not State.OPEN:
                    self.unpark(whose)
                served += self.guarded(whose.port.resume, whose)
        if ready and self._listening:
            self._hot.update(self._listeners)  # whoever connects now is not behind all of them
        return served

    def guarded(self, call: Callable[[Connection], int | None], connection: Connection) -> int:
        """What `call` returns; a connection for which it raises is closed, and logged (rule E1)."""
        try:
            return call(connection) or 0
        except Exception:
            connection.port.fault()
            self.close(connection)
            return 1

    def _sweep(self) -> None:
        self._deadlines = [entry for entry in self._deadlines if entry[2].state is not State.CLOSED and entry[2].until == entry[0]]
        heapq.heapify(self._deadlines)

    def _pause(self) -> None:
        if self._listening:
            self._listening = False
            self._hot.clear()
            for listener in self._listeners.values():
                self._selector.unregister(listener)
            self._resume_at = trio.current_time() + EXHAUSTED_PAUSE
            self._sooner.set()

    def _listen_again(self) -> None:
        self._listening = True
        self._resume_at = None
        for port, listener in self._listeners.items():
            self._selector.register(listener, selectors.EVENT_READ, port)

    async def _watch_deadlines(self) -> None:
        while True:
            now = trio.current_time()
            if self._resume_at is not None and self._resume_at <= now:
                self._listen_again()
            self._soonest = min(self._expire(now), self._resume_at or float("inf"))
            self._sooner = trio.Event()
            with trio.move_on_at(self._soonest):
                await self._sooner.wait()

    def _expire(self, now: float) -> float:
        """End what is due; returns when the next is."""
        ended = 0
        while self._deadlines:
            until, _, connection = self._deadlines[0]
            if until > now or ended == BATCH:
                return until
            heapq.heappop(self._deadlines)
            if connection.until == until and (connection.state is State.OPEN or connection in self._parked):
                ended += 1
                if connection.state is State.OPEN:
                    connection.until = None
                else:
                    self.unpark(connection)
                self.guarded(connection.port.expire, connection)
        return float("inf")
