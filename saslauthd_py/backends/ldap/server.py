"""One server of a backend, asked by all logins at once: each is answered, or fails, within the time that one answer may take."""

from __future__ import annotations

from collections.abc import Hashable

import trio

from saslauthd_py.backends.ldap.connection import Connection, Reply, TooMuch
from saslauthd_py.backends.ldap.link import LinkBroken, Silent
from saslauthd_py.backends.ldap.opening import Manner
from saslauthd_py.backends.ldap.pool import Pool
from saslauthd_py.backends.ldap.standing import Standing
from saslauthd_py.config.settings.ldap_server import LdapServer
from saslauthd_py.waits import Waits
from saslauthd_py.wire.ldap import BindRequest, CompareRequest, SearchRequest

ASKED_AGAIN = 2
"""How often a search goes to a new connection when the one it was on is lost, maybe for another's sake."""


class Unreachable(LinkBroken):
    """The server was not asked: there is no connection to it, or none is free."""


class Server:
    """`name`: its URI. `nursery` runs its connections, and what finds out whether it is up."""

    def __init__(self, where: LdapServer, manner: Manner, limits: tuple[int, float], nursery: trio.Nursery) -> None:
        """`limits`: connections for binds, and the seconds that one answer may take."""
        self._places, self._timeout = limits
        self.name = str(where)
        self._pool = Pool(where, manner, nursery)
        self._standing = Standing(self.name, self._pool, self._timeout, nursery)
        self._answers = Waits(self._timeout, nursery)
        self._turns = Waits(self._timeout / 2, nursery)

    @property
    def cause(self) -> str:
        """Why it is down, one line; empty: it is up."""
        return self._standing.cause

    async def ask(self, request: SearchRequest | CompareRequest) -> Reply:
        """As the service, within the timeout. Raises LinkBroken. A link that was dropped is opened anew: nobody's login pays for that."""
        epoch, now, connection = self._standing.epoch, trio.current_time(), self._pool.for_searches()
        try:
            if connection is None:
                reply = await self._ask_anew(request, now + self._timeout, 1 + ASKED_AGAIN)
            else:
                reply = await self._ask_on(connection, request, now)
        except LinkBroken as error:
            self._failed(error, request, epoch)
            raise
        self._standing.answered()
        return reply

    async def bind(self, request: BindRequest) -> Reply:
        """On a connection that is nobody else's meanwhile. Raises Unreachable; LinkBroken: it may have been judged.

        Within the timeout from when a connection is free; for that it waits half as long at most.
        """
        if self._places:
            self._places -= 1
        elif not await self._turns.wait():
            raise Unreachable("all connections for binds are in use: connections says how many there may be")
        epoch = self._standing.epoch
        try:
            reply = await self._bind(request)
        except LinkBroken as error:
            self._failed(error, request, epoch)
            raise
        else:
            self._standing.answered()
            return reply
        finally:
            if self._turns:
                self._turns.wake_first()
            else:
                self._places += 1

    async def warm(self) -> None:
        """Reach it before the first login does; it is down, or ready, within the timeout."""
        if not self.cause and self._pool.for_searches() is None:
            await self._standing.check().wait()

    def close(self) -> None:
        """End all connections, and ask nothing any more. A bind under way is answered still; a search is not."""
        self._standing.close()
        self._pool.close(for_good=True)
        self._answers.close()
        self._turns.close()

    def _failed(self, error: LinkBroken, request: BindRequest | SearchRequest | CompareRequest, epoch: int) -> None:
        if isinstance(error, TooMuch):  # an entry that its own user has filled closes nothing to others (rule D8)
            self._standing.answered()
        else:
            self._standing.failed(_account(request), str(error), epoch)

    async def _ask_on(self, connection: Connection, request: SearchRequest | CompareRequest, now: float) -> Reply:
        try:
            return await connection.ask(request, self._answers)
        except TooMuch:
            raise
        except Silent as error:
            if connection.heard <= now:
                connection.close(str(error))  # all that time it has said nothing to anybody
            raise
        except LinkBroken:
            return await self._ask_anew(request, now + self._timeout, ASKED_AGAIN)

    async def _ask_anew(self, request: SearchRequest | CompareRequest, due: float, times: int) -> Reply:
        with trio.move_on_at(due):
            for left in reversed(range(times)):
                connection = self._pool.for_searches() or await self._search_connection()
                try:
                    return await connection.ask(request, self._answers)
                except TooMuch:
                    raise
                except LinkBroken:
                    if not left:
                        raise
        raise self._silent()

    async def _search_connection(self) -> Connection:
        if not self.cause:
            await self._standing.check().wait()
        connection = self._pool.for_searches()
        if connection is None or self.cause:
            raise Unreachable(self.cause or "ended the connection at once")
        return connection

    async def _bind(self, request: BindRequest) -> Reply:
        now, connection = trio.current_time(), self._pool.rested()
        if connection is None:
            return await self._bind_anew(request, now + self._timeout)
        try:
            reply = await connection.ask_alone(request, self._answers, now)
        except Silent:
            raise
        except LinkBroken as error:  # dropped while nobody used it, most likely; if not, it is judged twice and no answer is lost
            return await self._bind_anew(request, now + self._timeout, lost=error)
        self._let_rest(connection)
        return reply

    async def _bind_anew(self, request: BindRequest, due: float, lost: LinkBroken | None = None) -> Reply:
        connection: Connection | None = None
        try:
            with trio.move_on_at(due):
                connection = await self._opened()
                reply = await connection.ask_alone(request, self._answers, trio.current_time())
                self._let_rest(connection)
                return reply
        except Unreachable as error:
            if lost is None:
                raise
            raise LinkBroken(f"{lost}; {error}") from None
        if connection is None and lost is None:
            raise Unreachable(f"no connection within {self._timeout:g} s")
        raise self._silent()

    def _let_rest(self, connection: Connection) -> None:
        if self.cause:
            connection.close()
        elif not connection.lost:
            self._pool.give_back(connection)

    def _silent(self) -> Silent:
        return Silent(f"no answer within {self._timeout:g} s")

    async def _opened(self) -> Connection:
        if self.cause:
            raise Unreachable(self.cause)
        try:
            return await self._pool.opened()
        except LinkBroken as error:
            self._standing.down(str(error))
            raise Unreachable(str(error)) from None


def _account(request: BindRequest | SearchRequest | CompareRequest) -> Hashable:
    """What tells the requests of one account from another's."""
    if isinstance(request, SearchRequest):
        return request.base, *request.values.values()
    return request.name if isinstance(request, BindRequest) else (request.name, request.value)
