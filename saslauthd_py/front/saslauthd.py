"""The saslauthd protocol on a listener: what the cache decides is answered inline, everything else by a task with a deadline.

The order of the hot path is fixed by rule C6 and by measurement: accept, recv, clock, look, MAC, find, send, peer, close, one client
after the other, so that a waiting client works while the next one is served. Lines are made once a round.
"""

from __future__ import annotations

import logging
import socket
from dataclasses import dataclass

import trio

from saslauthd_py import identity
from saslauthd_py.authenticator import Authenticator, Decision, Question
from saslauthd_py.backend import Attempt
from saslauthd_py.cache import Cache, Proof
from saslauthd_py.credential import service_word
from saslauthd_py.front import peers
from saslauthd_py.front.connections import Connection, State
from saslauthd_py.front.held import Held
from saslauthd_py.front.loop import BATCH, Loop
from saslauthd_py.front.record import Record
from saslauthd_py.front.sockets import NOW, STREAM, UNIX, Stream, acceptor
from saslauthd_py.identity import InvalidIdentity
from saslauthd_py.log import kv
from saslauthd_py.verdict import Accepted, Unavailable
from saslauthd_py.wire import saslauthd as wire

_logger = logging.getLogger(__name__)

READ = 8192
"""Bytes of one recv: libsasl's largest request (`checkpw.c`)."""

OUTAGE_DELAY = 1.0
"""Seconds from arrival: libsasl's clients try again at once when they are told nothing (rule E5)."""

DRAIN = 1.0
"""Seconds after a reply in which a client's unread bytes are thrown away, so that the reply is not lost to a reset (rule E6)."""

_DRAIN_READS = 8
"""Of READ bytes, in one go: a client that never stops sending waits for its turn like all others."""


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

    `trusted`: the peer is believed when it names its own client's address. `deadline` in seconds, for a request and for our answer.
    """

    number: int
    path: str
    deadline: float
    allowed: frozenset[int] | None = None
    trusted: bool = False
    limits: wire.Limits = wire.LIMITS
    default_realm: str = ""


class SaslauthdPort:
    """Implements `connections.Port`."""

    def __init__(self, listener: socket.socket, settings: PortSettings, front: Front, held: Held) -> None:
        self.path = settings.path
        self._settings = settings
        self._front = front
        self._held = held
        self._accept = acceptor(listener)
        self._cache = front.cache
        self._keyed = front.cache.state(settings.number).copy
        self._young: list[Stream] = []

    def round(self) -> int:
        """As `Port.round`."""
        accept, decide, allowed = self._accept, self._decide, self._settings.allowed
        hits: list[tuple[Proof, bytes]] = []
        silent: list[Stream] = []
        read = 0
        young, self._young = self._young, []
        for _ in range(BATCH):
            fresh = not young
            try:
                client = Stream(UNIX, STREAM, 0, accept()[0]) if fresh else young.pop()
            except BlockingIOError:
                break
            except OSError as error:
                self._front.loop.exhausted(self, error)
                break
            try:
                frame = client.recv(READ, NOW)
                read += 1
                proof = decide(frame) if allowed is None else None
                if proof is None or len(frame) == READ:
                    self._begin(client, frame)
                else:
                    client.send(wire.OK, NOW)
                    hits.append((proof, peers.credentials(client)))
                    client.close()
            except BlockingIOError:
                (self._young if fresh else silent).append(client)  # tried twice, and no more
            except OSError:  # it has gone
                client.close()
            except Exception:
                self._fault(client)
        self._young += young
        if hits:
            self._front.record.hits(hits)
        self._wait_for(silent)
        return read

    def settle(self) -> None:
        """As `Port.settle`."""
        young, self._young = self._young, []
        self._wait_for(young)

    def _wait_for(self, silent: list[Stream]) -> None:
        for client in silent:
            try:
                self._begin(client, None)
            except Exception:
                self._fault(client)

    def resume(self, connection: Connection) -> int:
        """As `Port.resume`."""
        try:
            more = connection.client.recv(READ, NOW)
        except BlockingIOError:
            self._wait(connection)
            return 0
        except OSError:
            more = b""
        if not more:
            self._front.loop.close(connection)
        elif connection.state is State.DRAINED:
            self._wait(connection)
        else:
            connection.frame += more
            self._advance(connection)
        return 1

    def expire(self, connection: Connection) -> None:
        """As `Port.expire`: half a request, or silence, is closed without a reply."""
        if connection.state is State.REQUEST:
            self._front.record.incomplete(self.path, connection.peer, began=bool(connection.frame))
        self._front.loop.close(connection)

    def _decide(self, frame: bytes) -> Proof | None:
        """The proof that answers this frame inline. The clock is read after the recv, before the look (rule C6)."""
        cache = self._cache
        now = cache.clock()
        if now >= cache.looked_until and not cache.look(now):
            return None
        state = self._keyed()
        state.update(frame)
        proof = cache.proofs.get(state.digest())  # a frame that is, byte for byte, a remembered span is that request: nothing to parse
        if proof is None:
            end = wire.span(frame)
            if not 0 < end < len(frame):
                return None
            proof = cache.proofs.get(self._key(frame[:end]))
        return proof if proof is not None and proof.inline_until > now else None

    def _key(self, span: bytes) -> bytes:
        state = self._keyed()
        state.update(span)
        return state.digest()

    def _begin(self, client: Stream, frame: bytes | None) -> None:
        """A client that was not answered inline; None: nothing has come from it yet."""
        if frame == b"":
            client.close()
            return
        connection = Connection(client, self, trio.current_time())
        allowed, record = self._settings.allowed, self._front.record
        if allowed is not None and connection.uid not in allowed:
            client.close()
            record.refused(f"user id {connection.uid} is not in allow_users", self.path, connection.peer)
        elif not self._front.loop.make_room(connection.uid):
            client.close()
            record.refused("too many connections, see max_connections and max_connections_per_peer", self.path, connection.peer)
        else:
            self._front.loop.connections.enter(connection)
            connection.frame = frame or b""
            self._front.loop.guarded(self._advance, connection)

    def _advance(self, connection: Connection) -> None:
        """Do what the bytes so far allow."""
        proof = self._decide(connection.frame)
        if proof is not None:
            self._answer(connection, wire.OK, more=False)
            self._front.record.hits([(proof, connection.peer)])
            return
        match wire.parse(connection.frame, self._settings.limits):
            case None:
                self._wait(connection)
            case wire.BadRequest() as bad:
                self._answer(connection, wire.NO, more=True)
                self._front.record.refused(bad.value, self.path, connection.peer)
            case wire.Request() as request:
                connection.state = State.VERDICT
                self._front.loop.connections.complete(connection)
                self._front.nursery.start_soon(self._serve, connection, request)

    def _wait(self, connection: Connection) -> None:
        due = DRAIN if connection.state is State.DRAINED else self._settings.deadline
        self._front.loop.park(connection, connection.arrived + due)

    async def _serve(self, connection: Connection, request: wire.Request) -> None:
        """One request by a task: decided within the deadline, answered at its time, or closed."""
        began = trio.current_time()
        try:
            question = self._question(connection, request)
            decision = Decision(Unavailable(f"no answer within {self._settings.deadline:g} s"), str(question.attempt.identity))
            with trio.move_on_after(self._settings.deadline):
                decision = await self._front.authenticator.verify(question)
            attempt = question.attempt
            asked = kv.Asked(attempt.service, self.path, attempt.address, trio.current_time() - began)
            self._front.record.decision(decision, asked, connection.peer)
            await self._deliver(connection, decision, began, address_known=attempt.address is not None)
        except InvalidIdentity as error:
            self._answer(connection, wire.NO, more=False)
            self._front.record.refused(str(error), self.path, connection.peer, request.login)
        except Exception:
            self._front.record.counters.faults += 1
            _logger.exception("bug while a client was served; its connection is closed")
            self._front.loop.close(connection)
        finally:
            if connection.state is State.VERDICT:
                self._front.loop.close(connection)

    def _question(self, connection: Connection, request: wire.Request) -> Question:
        name = identity.parse(request.login, request.realm, self._settings.default_realm)
        service = service_word(request.service.decode("utf-8", "backslashreplace"))
        address = wire.client_address(request) if self._settings.trusted else None
        span = connection.frame[: wire.span(connection.frame)]
        return Question(Attempt(name, request.secret, service, address), self.path, self._key(span))

    async def _deliver(self, connection: Connection, decision: Decision, began: float, *, address_known: bool) -> None:
        match decision.verdict:
            case Accepted():
                self._answer(connection, wire.OK, more=False)
            case Unavailable():
                await trio.sleep_until(began + OUTAGE_DELAY)
            case _:
                await self._held.until_due(began, address_known=address_known)
                self._answer(connection, wire.NO, more=False)

    def _answer(self, connection: Connection, text: bytes, *, more: bool) -> None:
        """Reply, and close; where bytes of the client are not all read, or `more` may come, throw them away first (rule E6)."""
        connection.reply(text)
        client, unread = connection.client, more
        try:
            client.shutdown(socket.SHUT_WR)
            for _ in range(_DRAIN_READS):
                if not client.recv(READ, NOW):  # it has closed its end
                    unread = False
                    break
                unread = True
        except BlockingIOError:
            pass
        except OSError:
            unread = False
        if unread:
            connection.arrived = trio.current_time()
            self._wait(connection)
        else:
            self._front.loop.close(connection)

    def _fault(self, client: Stream) -> None:
        self._front.record.counters.faults += 1
        _logger.exception("bug while a client was served; its connection is closed")
        client.close()
