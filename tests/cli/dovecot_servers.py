"""A server of Dovecot's protocol for the command to talk to: the wire's connection and the server's side of the mechanisms, no more."""

from __future__ import annotations

import os
import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from saslauthd_py.identity import split
from saslauthd_py.keys import AccountKeys, Hash
from saslauthd_py.mechanisms.exchange import Challenge, Disproved, NeedCertificate, NeedKeys, NeedPassword, Proved, Step
from saslauthd_py.mechanisms.scram.keys import derive
from saslauthd_py.mechanisms.table import MECHANISMS
from saslauthd_py.secret import Secret
from saslauthd_py.wire.dovecot import REJECTED, UNAVAILABLE, Auth, Completed, Connection, Refused, Request, Response, hello

NAME, PASSWORD = "tim@example.org", b"correct horse"
SALT, ROUNDS = b"0123456789abcdef", 4096


@dataclass(frozen=True, slots=True)
class Conduct:
    """How it behaves otherwise than a good server with the one account NAME."""

    mechanisms: tuple[str, ...] = tuple(MECHANISMS)
    unavailable: str = ""
    """ "close" or "fail", instead of any verdict."""
    server_key: bytes | None = None
    """A ServerKey that is not the account's."""
    rounds: int = ROUNDS
    believes: bool = False
    """Says OK to whatever it hears first."""
    piece: int = 65536
    """Bytes that it sends at once."""


class Session:
    """One connection: bytes in, bytes out; None closes it."""

    def __init__(self, conduct: Conduct) -> None:
        self.asked: list[Auth] = []
        self._conduct = conduct
        self._connection = Connection(frozenset(conduct.mechanisms))
        self._steps: dict[Request, Challenge] = {}

    def hello(self) -> bytes:
        return hello(self._conduct.mechanisms, os.getpid(), 1, b"c" * 16)

    def hear(self, data: bytes) -> bytes | None:
        self._connection.feed(data)
        said = b""
        while (event := self._connection.next_event()) is not None:
            match event:
                case Auth():
                    self.asked.append(event)
                    reply = self._begin(event)
                case Response(request, message):
                    reply = self._go_on(request, self._steps.pop(request).receive(message.reveal()))
                case Refused() | Completed():
                    reply = event.reply
                case _:
                    reply = b""
            if reply is None:
                return None
            said += reply
        return None if self._connection.closed else said

    def _begin(self, auth: Auth) -> bytes | None:
        if self._conduct.unavailable:
            return None if self._conduct.unavailable == "close" else self._connection.fail(auth.request, UNAVAILABLE)
        if self._conduct.believes:
            return self._connection.ok(auth.request, split(NAME))
        initial = None if auth.initial is None else auth.initial.reveal()
        return self._go_on(auth.request, MECHANISMS[auth.mechanism].begin(initial))

    def _go_on(self, request: Request, step: Step) -> bytes:
        while True:
            match step:
                case Challenge(message):
                    self._steps[request] = step
                    return self._connection.challenge(request, message)
                case NeedKeys(_, _, function):
                    step = step.resolve(self._keys(function))
                case NeedCertificate():
                    step = step.resolve(self.asked[-1].client.certificate_user.decode() or None)
                case NeedPassword(authzid, authcid, secret):
                    right = authcid == NAME and secret == Secret(PASSWORD)
                    step = Proved(authzid, authcid) if right else Disproved(authzid, authcid, b"")
                case Proved(authzid, authcid, message):
                    return self._connection.ok(request, split(authzid or authcid), message)
                case _:
                    return self._connection.fail(request, REJECTED)

    def _keys(self, function: Hash) -> AccountKeys:
        rounds = self._conduct.rounds
        keys = derive(function, Secret(PASSWORD), SALT, rounds)
        keys = replace(keys, server_key=self._conduct.server_key or keys.server_key)
        return AccountKeys(SALT, rounds, ((1, keys),))


class Server(threading.Thread):
    """Serves any number of connections until it is closed."""

    def __init__(self, listener: socket.socket, conduct: Conduct) -> None:
        super().__init__()
        self.address = listener.getsockname()
        self.sessions: list[Session] = []
        self._listener = listener
        self._conduct = conduct
        self._ending, self._end = socket.socketpair()

    @property
    def asked(self) -> list[Auth]:
        return [auth for session in self.sessions for auth in session.asked]

    def run(self) -> None:
        with selectors.DefaultSelector() as selector, ExitStack() as connections:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._ending, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._ending:
                        return
                    if key.fileobj is self._listener:
                        connection = connections.enter_context(self._listener.accept()[0])
                        self.sessions.append(session := Session(self._conduct))
                        selector.register(connection, selectors.EVENT_READ, session)
                        self._send(connection, session.hello())
                    elif isinstance(key.fileobj, socket.socket) and not self._served(key.fileobj, key.data):
                        selector.unregister(key.fileobj)
                        key.fileobj.close()

    def _served(self, connection: socket.socket, session: Session) -> bool:
        """Whether it goes on."""
        with suppress(ConnectionError):  # a client may leave at any time
            data = connection.recv(65536)
            reply = session.hear(data) if data else None
            if reply is not None:
                self._send(connection, reply)
                return True
        return False

    def _send(self, connection: socket.socket, said: bytes) -> None:
        for at in range(0, len(said), self._conduct.piece):
            connection.sendall(said[at : at + self._conduct.piece])

    def close(self) -> None:
        self._end.close()
        self.join()
        self._ending.close()
        self._listener.close()


@contextmanager
def serving(place: Path | None, conduct: Conduct = Conduct()) -> Iterator[Server]:
    """A server at a path, or at a port of 127.0.0.1 where that is None."""
    listener = socket.create_server(("127.0.0.1", 0)) if place is None else socket.socket(socket.AF_UNIX)
    if place is not None:
        listener.bind(str(place))
        listener.listen()
    server = Server(listener, conduct)
    server.start()
    try:
        yield server
    finally:
        server.close()
