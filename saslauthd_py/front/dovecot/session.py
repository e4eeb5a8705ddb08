"""One client's connection: its lines read, those that the cache decides answered at once, every other AUTH as an exchange of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, assert_never

import trio

from saslauthd_py.front.connections import Connection, State
from saslauthd_py.front.dovecot.exchange import Exchange
from saslauthd_py.front.dovecot.outgoing import Outgoing
from saslauthd_py.identity import Identity
from saslauthd_py.log import request_id
from saslauthd_py.wire import dovecot as wire
from saslauthd_py.wire.dovecot import Auth, Cancel, Completed, Event, Failure, Hello, Refused, Request, Response, Violation

if TYPE_CHECKING:
    from saslauthd_py.front.dovecot.port import DovecotPort

HANDSHAKE = 60.0
"""Seconds for a client's VERSION and CPID."""

_SERIAL = 0
"""The minor version of Postfix and Exim. They have one request at a time, and never say that one was given up: the next AUTH says it."""


class Session:
    """Implements `connections.Dialogue` and `outgoing.Reader`.

    `port` is the one that serves it now, `offered` the mechanisms of which its client was told.
    """

    def __init__(self, connection: Connection, port: DovecotPort) -> None:
        self.connection = connection
        self.port = port
        self.offered = port.offered
        self._taken = port.taken
        self._wire = wire.Connection(self._taken)
        self._exchanges: dict[Request, Exchange] = {}
        self._replies: list[bytes] | None = None
        self._out = Outgoing(connection.client, self)

    def greet(self) -> None:
        """Send our whole side of the handshake, and wait for the client's."""
        self.port.loop.watch(self.connection)
        self.port.loop.due(self.connection, trio.current_time() + HANDSHAKE)
        self._out.send(self.port.greeting())

    def read(self, data: bytes) -> int:
        """Take what has come; returns how many requests were in it. What is answered at once goes out in one write."""
        dialogue, port, peer = self._wire, self.port, self.connection.peer
        replies = self._replies = []
        at, whole, answered, known_all = 0, dialogue.at_line, 0, True
        find, now = port.known.find, port.known.sure_at()
        while at < len(data):
            first, last = wire.span(data, at) if whole else (0, 0)
            if (
                last
                and (known := find(data[first:last], now)) is not None
                and (not self._exchanges or (dialogue.minor > _SERIAL and dialogue.is_free(data[at + 5 : first])))
            ):
                replies.append(wire.ok(data[at + 5 : first], known.user))
                port.hit((known.proof, peer, known.client))
                answered += 1
                at = last + 1
                continue
            known_all = False
            end = data.find(b"\n", at) + 1 or len(data)
            answered += self._feed(data[at:end])
            at, whole = end, dialogue.at_line
        self._replies = None
        if replies:
            self._out.send(b"".join(replies))
        if dialogue.closed:
            port.loop.close(self.connection)
        elif not known_all:
            self.rest()
        return answered

    def _feed(self, line: bytes) -> int:
        """What the loop cannot answer by itself: a line, or a piece of one. Returns how many events were in it."""
        events = 0
        self._wire.feed(line)
        while (event := self._wire.next_event()) is not None:
            events += 1
            self._take(event)
        return events

    def expire(self) -> None:
        """The handshake, or the answer to a challenge, has not come in time."""
        now = trio.current_time()
        if missing := self._wire.missing:
            self._record(f"no {missing} within {HANDSHAKE:g} s of its connection: a client that waits for something else?")
            self.port.loop.close(self.connection)
            return
        for exchange in [one for one in self._exchanges.values() if one.due <= now]:
            self._record("a challenge was not answered in time")
            self._drop(exchange)
        self._wait()
        self.rest()

    def end(self) -> None:
        """As `Dialogue.end`."""
        self._wire.close()
        self._out.end()
        while self._exchanges:
            self._exchanges.popitem()[1].over()

    def rest(self) -> None:
        """After anything that may have ended a request: without one the connection may be closed for room, or served by another port."""
        if self.connection.state is State.CLOSED:
            return
        while self._out.empty and (successor := self.port.successor) is not None and self._served_by(successor):
            self._move(successor)
        loop, port = self.port.loop, self.port
        if self._wire.owed or (port.retired and not self._out.empty):
            loop.connections.complete(self.connection)
            return
        loop.connections.rest(self.connection)
        if not self._out.empty or any(exchange.bound for exchange in self._exchanges.values()):
            return
        if (not self._exchanges or port.retired) and (port.retired or not set(self.offered) <= set(port.offered)):
            if port.successor is not None and (why := port.successor.refusal(self.connection)):
                self._record(why)
            loop.close(self.connection)

    def start(self, task: Callable[[], Awaitable[object]]) -> None:
        """As `Reader.start`."""
        self.port.nursery.start_soon(self.run, task)

    def throttle(self) -> None:
        """As `Reader.throttle`."""
        self.port.loop.unpark(self.connection)

    def go_on(self) -> None:
        """As `Reader.go_on`."""
        self.port.loop.watch(self.connection)

    def lost(self) -> None:
        """As `Reader.lost`."""
        self.port.loop.close(self.connection)

    def is_open(self, request: Request) -> bool:
        """Whether it still has no final reply."""
        return self._wire.is_open(request)

    def owes_others(self, request: Request) -> bool:
        """Whether another request of this connection waits for us."""
        return any(one is not request for one in self._wire.owed)

    def challenge(self, request: Request, message: bytes) -> None:
        """Send it, and wait for the client's answer."""
        self._send(self._wire.challenge(request, message))
        if self.connection.until is None:
            self._wait()

    def ok(self, request: Request, user: Identity, final: bytes | None) -> None:
        """The final reply, or a mechanism's last message before it (`wire.Connection.ok`)."""
        self._send(self._wire.ok(request, user, final))
        if self._wire.is_open(request):
            self._exchanges[request].wait()
            if self.connection.until is None:
                self._wait()
        else:
            self._over(request)

    def fail(self, request: Request, failure: Failure, user: Identity | None) -> None:
        """The final reply."""
        self._send(self._wire.fail(request, failure, user))
        self._over(request)

    async def flush(self) -> None:
        """Return when everything that was answered has gone out, or never will."""
        await self._out.flush()

    def give_up(self, exchange: Exchange) -> None:
        """Nobody will decide it: told by the end of the connection, where that hurts no other request that waits for us (rule E4)."""
        if not self.owes_others(exchange.request):
            self.close()
        elif exchange.due < float("inf"):
            self._drop(exchange)
        else:
            self.fail(exchange.request, wire.UNAVAILABLE, None)

    def close(self) -> None:
        """End the connection."""
        self.port.loop.close(self.connection)

    async def run(self, task: Callable[[], Awaitable[object]]) -> None:
        """Do what must wait for others. A bug in it ends the connection, and is logged."""
        request_id.begin()
        try:
            await task()
        except Exception:
            self.port.fault()
            self.port.loop.close(self.connection)
        finally:
            self.rest()

    def _served_by(self, port: DovecotPort) -> bool:
        return set(self.offered) <= set(port.offered) and self._taken <= port.taken and not port.refusal(self.connection)

    def _move(self, port: DovecotPort) -> None:
        """New requests are for `port`; those that we owe an answer end under the configuration that they began with (rule H1)."""
        self.port = port
        port.loop.hand_over(self.connection, port)
        for exchange in self._exchanges.values():
            exchange.follow()

    def _take(self, event: Event) -> None:
        match event:
            case Auth():
                self._begin(event)
            case Response(request, message):
                self._exchanges[request].respond(message)
            case Refused(_, reason, reply, request):
                self._record(reason)
                self._send(reply)
                if request is not None:
                    self._over(request)
            case Completed(request, reply):
                self._send(reply)
                self._over(request)
            case Cancel(request):
                self._over(request)
            case Violation():
                self._record(event.value)
            case Hello():
                self._wait()
            case _:
                assert_never(event)

    def _begin(self, auth: Auth) -> None:
        if self._wire.minor == _SERIAL:
            for given_up in self._wire.awaited:
                self._drop(self._exchanges[given_up])
        exchange = self._exchanges[auth.request] = Exchange(auth, self)
        exchange.begin()

    def _send(self, reply: bytes) -> None:
        if self._replies is None:
            self._out.send(reply)
        else:
            self._replies.append(reply)

    def _drop(self, exchange: Exchange) -> None:
        self._wire.drop(exchange.request)
        self._over(exchange.request)

    def _over(self, request: Request) -> None:
        exchange = self._exchanges.pop(request, None)
        if exchange is not None:
            exchange.over()

    def _wait(self) -> None:
        """Be told when the next challenge has waited too long."""
        due = min((exchange.due for exchange in self._exchanges.values()), default=float("inf"))
        self.connection.until = None
        if due < float("inf"):
            self.port.loop.due(self.connection, due)

    def _record(self, why: str) -> None:
        self.port.record.refused(why, self.port.path, self.connection.peer)
