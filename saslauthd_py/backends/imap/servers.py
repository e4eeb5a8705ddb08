"""The servers of a backend: asked in their order, those that are down passed over."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import trio

from saslauthd_py import trace
from saslauthd_py.backends.imap import verdicts
from saslauthd_py.backends.imap.connection import Connection, Manner
from saslauthd_py.config.settings.imap import ImapSettings
from saslauthd_py.config.settings.imap_server import ImapServer
from saslauthd_py.remote.failing import Failed
from saslauthd_py.remote.standing import Standing
from saslauthd_py.secret import Secret
from saslauthd_py.trace import Fact
from saslauthd_py.wire.imap import Response

_T = TypeVar("_T")

TAKEN_BY_ALL = 900
"""Bytes of name and secret that every server reads. Dovecot hangs up on a LOGIN of 1024, and takes 6000 in AUTHENTICATE PLAIN."""

GOOD_BYE = 1.0
"""Seconds for a server to close after LOGOUT, while nobody waits for that."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one server, by its URI, said of a login, and how the password was sent. `words`: as `verdicts.words`."""

    response: Response
    server: str
    method: str
    words: str


class Servers:
    """`nursery` runs what watches the servers, and good-byes that nobody waits for; it outlives every login."""

    def __init__(self, settings: ImapSettings, manner: Manner, nursery: trio.Nursery) -> None:
        self._servers = tuple(_Server(where, manner, settings.timeout, nursery) for where in settings.servers)

    async def login(self, name: bytes, secret: Secret) -> Said:
        """What the first says that can tell. Neither has a NUL in it. Raises Failed: which servers, and what was wrong with each.

        Where one has not answered, the next is asked: the secret may be judged twice, and no answer is lost.
        """
        told: list[str] = []
        later: Said | None = None
        sent = False
        for server in self._servers:
            try:
                said = await _noted(server, name, secret)
            except Failed as error:
                told.append(f"{server.name}: {error}")
                sent |= error.sent
                continue
            if not verdicts.elsewhere(said.response):
                return said
            if later is None or verdicts.judged(said.response):
                later = said
        if later is not None and not sent:  # where a secret may have been judged, that comes first (rule D9)
            return later
        raise Failed("; ".join(told), sent=sent)

    async def warm(self) -> None:
        """Find out which are down before a login does."""
        for server in self._servers:
            await server.standing.warm()

    def down(self) -> dict[str, str]:
        """The servers that are down, and why."""
        return {server.name: server.standing.cause for server in self._servers if server.standing.cause}


class _Server:
    """One of them."""

    def __init__(self, where: ImapServer, manner: Manner, timeout: float, nursery: trio.Nursery) -> None:
        self.name = str(where)
        self._where = where
        self._manner = manner
        self._timeout = timeout
        self._nursery = nursery
        self.standing = Standing(self.name, self._probe, nursery)

    async def login(self, name: bytes, secret: Secret) -> Said:
        """What it says. Raises Failed, within the timeout."""
        telling = len(name) + len(secret) <= TAKEN_BY_ALL
        return await self.standing.ask(name, lambda: self._timed(lambda one: self._login(one, name, secret)), telling=telling)

    async def _login(self, connection: Connection, name: bytes, secret: Secret) -> Said:
        method = connection.method  # before: a server offers other things to whoever is in
        response = await connection.login(name, secret)
        return Said(response, self.name, method, verdicts.words(response, name, secret))

    async def _probe(self) -> None:
        await self._timed(_nothing)

    async def _timed(self, ask: Callable[[Connection], Awaitable[_T]]) -> _T:
        """On a connection of its own."""
        connection: Connection | None = None
        try:
            with trio.move_on_after(self._timeout):
                connection = await Connection.open(self._where, self._manner)
                answer = await ask(connection)
                leaving, connection = connection, None
                self._nursery.start_soon(leaving.leave, GOOD_BYE)
                return answer
            sent = connection is not None and connection.secret_sent
            raise Failed(f"no answer within {self._timeout:g} s", sent=sent, silent=True)
        finally:
            if connection is not None:
                await connection.close()


async def _nothing(_: Connection) -> None:
    """It is reached, and offers a login: that is all."""


async def _noted(server: _Server, name: bytes, secret: Secret) -> Said:
    """The answer, after it has become a step of the trace, and how long it took; so has a failure."""
    began = time.monotonic()
    try:
        said = await server.login(name, secret)
    except Failed as error:
        if trace.recorded():
            trace.note("imap-login", server=server.name, failed=str(error), ms=_ms(began))
        raise
    if trace.recorded():
        response = said.response
        facts: dict[str, Fact] = {"method": said.method, "result": str(response.word), "code": response.code}
        trace.note("imap-login", server=server.name, **facts, words=said.words, ms=_ms(began))
    return said


def _ms(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 3)
