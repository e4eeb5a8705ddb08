"""One listener on which Dovecot's auth protocol is spoken: who may connect, what is offered to them, what the cache answered."""

from __future__ import annotations

import errno
import itertools
import logging
import os
import socket
from typing import TYPE_CHECKING

import trio

from saslauthd_py.authenticator import Authenticator
from saslauthd_py.cache import Cache
from saslauthd_py.front import peers
from saslauthd_py.front.connections import Connection, Port, State
from saslauthd_py.front.dovecot.known import KnownLines
from saslauthd_py.front.dovecot.reading import Reading
from saslauthd_py.front.dovecot.session import Session
from saslauthd_py.front.held import Held
from saslauthd_py.front.inline import Inline
from saslauthd_py.front.loop import BATCH, Loop
from saslauthd_py.front.ports import Front, PortSettings
from saslauthd_py.front.record import Hit, Record
from saslauthd_py.front.sockets import NOW, STREAM, Stream, acceptor
from saslauthd_py.mechanisms.table import MECHANISMS, Need
from saslauthd_py.wire.dovecot import hello

if TYPE_CHECKING:
    from saslauthd_py.front.dovecot.exchange import Exchange

_logger = logging.getLogger(__name__)

READ = 4096
"""Bytes of one recv: some forty requests, and of what costs most for its size not more than a turn is worth (rule E3)."""

_NUMBERS = itertools.count(1)
"""Of connections in this process (CUID)."""

_COMPUTED = frozenset(mechanism.name for mechanism in MECHANISMS.values() if mechanism.need is not Need.CERTIFICATE)
"""Those that are offered without being named, some of them to some sites."""

_COOKIE_SIZE = 16


class DovecotPort:
    """Implements `connections.Port`. `offered`: the mechanisms that a new client is told of.

    After `retire` it serves what is under way; `successor` has everything else, None: nobody has. `exchanges`: those that are under way.
    """

    def __init__(self, listener: socket.socket, reading: Reading, settings: PortSettings, front: Front, held: Held) -> None:
        self.path = settings.path
        self.deadline = settings.deadline
        self.reading = reading
        self.held = held
        self.inline = Inline(front.cache, settings.number, len, exact=True)
        self.known = KnownLines(front.cache, settings.number)
        self.offered: tuple[str, ...] = ()
        self.exchanges: set[Exchange] = set()
        self.retired = False
        self.successor: DovecotPort | None = None
        self._front = front
        self._settings = settings
        self._listener = listener
        self._family = listener.family
        self._accept = acceptor(listener)
        self._hits: list[Hit] = []
        self._over = trio.Event()

    @property
    def loop(self) -> Loop:
        """That of its front, as are the others here."""
        return self._front.loop

    @property
    def record(self) -> Record:
        """See `loop`."""
        return self._front.record

    @property
    def authenticator(self) -> Authenticator:
        """See `loop`."""
        return self._front.authenticator

    @property
    def cache(self) -> Cache:
        """See `loop`."""
        return self._front.cache

    @property
    def nursery(self) -> trio.Nursery:
        """See `loop`."""
        return self._front.nursery

    def offer(self, mechanisms: tuple[str, ...]) -> None:
        """From now on. Clients that were told of more are closed once they have no request under way: an MTA then comes and asks anew."""
        before, self.offered = self.offered, mechanisms
        if not set(before) <= set(mechanisms):
            self._rest_all()

    @property
    def taken(self) -> frozenset[str]:
        """The mechanisms in which an exchange may begin: an smtpd goes on telling its clients of those that it was told of."""
        named = self.reading.listen.mechanisms
        return frozenset(named) if named is not None else frozenset(self.offered) | _COMPUTED

    async def withheld(self, mechanism: str) -> str:
        """As `PortSettings.withheld`."""
        return await self._settings.withheld(mechanism) if self._settings.withheld is not None else ""

    def greeting(self) -> bytes:
        """Our side of the handshake, for one new client."""
        return hello(self.offered, os.getpid(), next(_NUMBERS), os.urandom(_COOKIE_SIZE))

    def round(self) -> tuple[int, bool]:
        """As `Port.round`."""
        accepted = 0
        for _ in range(BATCH):
            try:
                client = Stream(self._family, STREAM, 0, self._accept()[0])
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.EINVAL:  # shut down, and nobody waits in it any more (rule H1)
                    self.loop.exhausted(self, error)
                break
            accepted += 1
            try:
                self._begin(client)
            except Exception:
                self.fault()
                client.close()
        return accepted, accepted > 0

    def settle(self) -> None:
        """As `Port.settle`: what was answered inline is written down."""
        hits, self._hits = self._hits, []
        if hits:
            self.record.hits(hits, self.path)

    def resume(self, connection: Connection) -> int:
        """As `Port.resume`."""
        session = connection.dialogue
        assert isinstance(session, Session)  # noqa: S101 - all of this port's have one
        try:
            data = connection.client.recv(READ, NOW)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""
        if not data:
            self.loop.close(connection)
            return 0
        return session.read(data)

    def expire(self, connection: Connection) -> None:
        """As `Port.expire`."""
        if isinstance(connection.dialogue, Session):
            connection.dialogue.expire()

    def retire(self, successor: Port | None) -> None:
        """As `Port.retire`."""
        self.retired = True
        self.successor = successor if isinstance(successor, DovecotPort) else None
        self._rest_all()

    def fault(self) -> None:
        """As `Port.fault`."""
        self.record.counters.faults += 1
        _logger.exception("bug while a client was served; its connection is closed")

    def over(self, exchange: Exchange) -> None:
        """It is under way here no more."""
        self.exchanges.discard(exchange)
        if not self.exchanges:
            self._over.set()

    async def answered(self) -> None:
        """Return when no exchange is under way. Cancellation changes nothing."""
        while self.exchanges:
            self._over = trio.Event()
            await self._over.wait()

    def give_up(self) -> None:
        """End the connections of whoever is not answered yet."""
        for exchange in tuple(self.exchanges):
            exchange.give_up()

    def refusal(self, connection: Connection) -> str:
        """Why this client may not ask; empty: it may."""
        allowed, admits = self._settings.allowed, self._settings.admits
        if allowed is not None and connection.uid not in allowed:
            return f"user id {connection.uid} is not in allow_users"
        if admits is not None and not admits(peers.address(connection.peer)):
            return "its address is not in networks"
        return ""

    def hit(self, hit: Hit) -> None:
        """A login that the cache has decided."""
        self._hits.append(hit)
        if self.retired or len(self._hits) >= BATCH:
            self.settle()

    def _rest_all(self) -> None:
        for connection in self.loop.clients(self):
            if isinstance(connection.dialogue, Session):
                connection.dialogue.rest()

    def _begin(self, client: Stream) -> None:
        connection = Connection(client, self, trio.current_time())
        if why := self.refusal(connection):
            client.close()
            self.record.refused(why, self.path, connection.peer)
            return
        if not self.loop.admit(connection):
            client.close()
            self.record.refused("too many connections, see max_connections and max_connections_per_peer", self.path, connection.peer)
            return
        connection.state = State.OPEN
        session = Session(connection, self)
        connection.dialogue = session
        self.loop.guarded(lambda _: session.greet(), connection)
