"""Protocols in which a connection is one request and one reply: what the cache decides is answered inline, the rest by a task each.

The order of the hot path is fixed by rule C6 and by measurement: accept, recv, clock, look, MAC, find, send, peer, close, one client
after the other, so that a waiting client works while the next one is served. Lines are made once a round.
"""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial

import trio

from saslauthd_py.authenticator import Decision, Question
from saslauthd_py.backend import Attempt
from saslauthd_py.front import peers
from saslauthd_py.front.connections import Connection, Port, State
from saslauthd_py.front.held import Held
from saslauthd_py.front.inline import Inline
from saslauthd_py.front.loop import BATCH
from saslauthd_py.front.ports import Front, PortSettings
from saslauthd_py.front.record import Hit
from saslauthd_py.front.sockets import NOW, STREAM, UNIX, Stream, acceptor, unread
from saslauthd_py.log import request_id
from saslauthd_py.log.style import Asked
from saslauthd_py.verdict import Accepted, Rejected, Unavailable, UnknownUser

_logger = logging.getLogger(__name__)

READ = 8192
"""Bytes of one recv: libsasl's largest request (`checkpw.c`)."""

OUTAGE_DELAY = 1.0
"""Seconds from arrival: libsasl's clients try again at once when they are told nothing (rule E5)."""

DRAIN = 1.0
"""Seconds after a reply in which a client's unread bytes are thrown away, so that the reply is not lost to a reset (rule E6)."""

_NOT_LOOKED = None, b""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that nobody is asked about: answered no at once. `why` is for the log; `login` is its name, where that was read."""

    why: str
    login: bytes = b""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one protocol says and means: its two replies, `span` as `Inline` takes it, and `read`, which never raises for its bytes.

    `read` gives None as long as a request is not whole. `exact`: as `Inline` takes it.
    """

    ok: bytes
    no: bytes
    span: Callable[[bytes], int]
    read: Callable[[bytes], Attempt | Refusal | None]
    exact: bool = False


class OneRequestPort:
    """Implements `connections.Port`."""

    def __init__(self, listener: socket.socket, dialect: Dialect, settings: PortSettings, front: Front, held: Held) -> None:
        self.path = settings.path
        self._dialect = dialect
        self._settings = settings
        self._front = front
        self._held = held
        self._accept = acceptor(listener)
        self._inline = Inline(front.cache, settings.number, dialect.span, exact=dialect.exact)
        self._young: list[Stream] = []

    def round(self) -> tuple[int, bool]:
        """As `Port.round`."""
        accept, decide, allowed, ok = self._accept, self._inline.decide, self._settings.allowed, self._dialect.ok
        hits: list[Hit] = []
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
                if error.errno != errno.EINVAL:  # shut down, and nobody waits in it any more (rule H1)
                    self._front.loop.exhausted(self, error)
                break
            try:
                frame = client.recv(READ, NOW)
                read += 1
                proof, key = decide(frame) if allowed is None else _NOT_LOOKED
                if proof is None or len(frame) == READ:  # more may have come
                    self._begin(client, frame, key)
                else:
                    client.send(ok, NOW)
                    hits.append((proof, peers.credentials(client), b""))
                    client.close()
            except BlockingIOError:
                (self._young if fresh else silent).append(client)  # tried twice, and no more
            except OSError:  # it has gone
                client.close()
            except Exception:
                self.fault()
                client.close()
        self._young += young
        if hits:
            self._front.record.hits(hits, self.path)
        self._wait_for(silent)
        return read, bool(hits or (read and self._young)) or read == BATCH

    def settle(self) -> None:
        """As `Port.settle`."""
        young, self._young = self._young, []
        self._wait_for(young)

    def retire(self, successor: Port | None) -> None:
        """As `Port.retire`: whose request has not come yet, sends it to a successor of the same kind."""
        if isinstance(successor, OneRequestPort):
            for connection in self._front.loop.clients(self):
                if connection.state is State.REQUEST:
                    self._front.loop.hand_over(connection, successor)

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
        elif self._may_ask(connection):  # it may have connected under a configuration of before
            connection.frame += more
            self._advance(connection)
        return 1

    def expire(self, connection: Connection) -> None:
        """As `Port.expire`: half a request, or silence, is closed without a reply."""
        if connection.state is State.REQUEST:
            self._front.record.incomplete(self.path, connection.peer, began=bool(connection.frame))
        self._front.loop.close(connection)

    def _wait_for(self, silent: list[Stream]) -> None:
        for client in silent:
            try:
                self._begin(client, None)
            except Exception:
                self.fault()
                client.close()

    def _begin(self, client: Stream, frame: bytes | None, key: bytes = b"") -> None:
        """A client that was not answered inline; `frame`: what has come from it, None: nothing yet. `key`: as `_advance` takes it."""
        if frame == b"":
            client.close()
            return
        connection = Connection(client, self, trio.current_time())
        if not self._may_ask(connection):
            return
        if not self._front.loop.admit(connection):
            client.close()
            self._front.record.refused("too many connections, see max_connections and max_connections_per_peer", self.path, connection.peer)
            return
        try:
            if frame is None:
                self._wait(connection)
            else:
                connection.frame = frame
                self._advance(connection, key)
        except Exception:
            self.fault()
            self._front.loop.close(connection)

    def _may_ask(self, connection: Connection) -> bool:
        """Whether its user is allowed to; else it is closed."""
        allowed = self._settings.allowed
        if allowed is None or connection.uid in allowed:
            return True
        self._front.loop.close(connection)
        self._front.record.refused(f"user id {connection.uid} is not in allow_users", self.path, connection.peer)
        return False

    def _advance(self, connection: Connection, key: bytes = b"") -> None:
        """Do what the bytes so far allow. `key`: the cache does not decide them, and a proof of them goes by that."""
        if not key:
            proof, key = self._inline.decide(connection.frame)
            if proof is not None:
                self._answer(connection, self._dialect.ok, more=False)
                self._front.record.hits([(proof, connection.peer, b"")], self.path)
                return
        match self._dialect.read(connection.frame):
            case Attempt() as attempt:
                if connection.until is not None:  # it was parked since it came
                    connection.arrived = trio.current_time()
                connection.state = State.VERDICT
                self._front.loop.connections.complete(connection)
                copy_context().run(self._ask, connection, Question(attempt, self.path, key or self._inline.key(connection.frame)))
            case Refusal(why, login):
                self._answer(connection, self._dialect.no, more=True)
                self._front.record.refused(why, self.path, connection.peer, login)
            case None:
                self._wait(connection)

    def _wait(self, connection: Connection) -> None:
        due = DRAIN if connection.state is State.DRAINED else self._settings.deadline
        self._front.loop.park(connection, connection.arrived + due)

    def _ask(self, connection: Connection, question: Question) -> None:
        """In a context of its own, which is that of the login from now on."""
        request_id.begin()
        if not self._front.authenticator.begin(question, partial(self._decided, connection, question.attempt)):
            self._front.nursery.start_soon(self._verify, connection, question)

    async def _verify(self, connection: Connection, question: Question) -> None:
        """One request by a task of the front's own."""
        decision = None
        try:
            decision = await self._front.authenticator.verify(question)
        except Exception:
            self.fault()
        finally:
            self._decided(connection, question.attempt, decision)

    def _decided(self, connection: Connection, attempt: Attempt, decision: Decision | None) -> None:
        """Answer it, at once or at its time; None: nobody can."""
        try:
            if decision is None:
                self._front.loop.close(connection)
                return
            seconds = trio.current_time() - connection.arrived
            self._front.record.decision(decision, Asked(attempt.service, self.path, attempt.address, seconds), connection.peer)
            if isinstance(decision.verdict, Accepted):
                self._answer(connection, self._dialect.ok, more=False)
            else:
                self._front.nursery.start_soon(self._deliver, connection, decision.verdict, attempt.address is not None)
        except Exception:
            self.fault()
            self._front.loop.close(connection)

    async def _deliver(self, connection: Connection, refused: Rejected | UnknownUser | Unavailable, address_known: bool) -> None:
        """What is no yes is answered at its time, or closed."""
        try:
            if isinstance(refused, Unavailable):
                await trio.sleep_until(connection.arrived + OUTAGE_DELAY)
            else:
                await self._held.until_due(connection.arrived, address_known=address_known, hold=refused.hold)
                self._answer(connection, self._dialect.no, more=False)
        except Exception:
            self.fault()
            self._front.loop.close(connection)
        finally:
            if connection.state is State.VERDICT:
                self._front.loop.close(connection)

    def _answer(self, connection: Connection, text: bytes, *, more: bool) -> None:
        """Reply, and close; where bytes of the client are not all read, or `more` may come, throw them away first (rule E6)."""
        connection.reply(text)
        if more or unread(connection.client):
            with suppress(OSError):  # it has gone
                connection.client.shutdown(socket.SHUT_WR)
            connection.arrived = trio.current_time()
            self._wait(connection)
        else:
            self._front.loop.close(connection)

    def fault(self) -> None:
        """As `Port.fault`."""
        self._front.record.counters.faults += 1
        _logger.exception("bug while a client was served; its connection is closed")
