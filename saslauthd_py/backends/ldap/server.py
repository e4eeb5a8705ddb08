"""One server of a backend: its connections, whether it is up, and the tries in the background that find out (rule D8)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import trio

from saslauthd_py.backends.ldap.connection import Connection, Reply
from saslauthd_py.backends.ldap.link import LinkBroken
from saslauthd_py.backends.ldap.opening import Manner, open_connection
from saslauthd_py.config.settings.ldap_server import LdapServer
from saslauthd_py.wire.ldap import AnonymousBind, BindRequest, CompareRequest, SearchRequest

_logger = logging.getLogger(__name__)

_T = TypeVar("_T")

FAILURES = 3
"""Requests in a row that a server that can be reached does not answer, before it counts as down."""

PROBE_EVERY = 1.0
"""Seconds between two tries to reach a server that is down; a try that hangs does not keep the next from its time."""


class Silent(LinkBroken):
    """The server has not answered in time."""


class Unreachable(LinkBroken):
    """There is no connection to the server, so it was not asked."""


class Server:
    """Asked by all logins at once. `nursery` runs its connections and probes. `cause`: why it is down, one line; empty: it is up."""

    def __init__(self, where: LdapServer, manner: Manner, limits: tuple[int, float], nursery: trio.Nursery) -> None:
        """`limits`: connections for binds, and the seconds that one answer may take."""
        places, self._timeout = limits
        self.where = where
        self.cause = ""
        self._manner = manner
        self._nursery = nursery
        self._failures = 0
        self._searching: Connection | None = None
        self._opening = trio.Lock()
        self._idle: list[Connection] = []
        self._places = trio.Semaphore(places, max_value=places)

    async def ask(self, request: SearchRequest | CompareRequest) -> Reply:
        """As the service. Raises LinkBroken. A link that was idle for too long is opened anew, so that nobody's login pays for that."""
        with self._counting():
            connection = self._searching
            if connection is not None and not connection.lost:
                try:
                    return await self._in_time(connection.ask(request))
                except LinkBroken:
                    if not connection.lost:
                        raise
            return await self._in_time((await self._search_connection()).ask(request))

    async def bind(self, request: BindRequest) -> Reply:
        """On a connection that is nobody else's meanwhile. Raises Unreachable; LinkBroken: it may have been judged. Else as `ask`."""
        async with self._places:
            with self._counting():
                while self._idle:
                    connection = self._idle.pop()
                    if connection.lost:
                        continue
                    try:
                        return await self._bind_on(connection, request)
                    except Silent:
                        raise
                    except LinkBroken:
                        break
                return await self._bind_on(await self._opened(for_searches=False), request)

    async def warm(self) -> None:
        """Reach it before the first login does."""
        try:
            await self._search_connection()
        except LinkBroken:
            return

    def close(self) -> None:
        """End all connections."""
        searching, self._searching = self._searching, None
        if searching is not None:
            searching.close()
        while self._idle:
            self._idle.pop().close()

    async def _bind_on(self, connection: Connection, request: BindRequest) -> Reply:
        try:
            reply = await self._in_time(connection.ask(request))
        except BaseException:
            connection.close()  # rule G3: what it still answers must meet nobody
            raise
        if self.cause:
            connection.close()
        else:
            self._idle.append(connection)
        return reply

    async def _search_connection(self) -> Connection:
        async with self._opening:
            if self._searching is None or self._searching.lost:
                self._searching = await self._opened(for_searches=True)
            return self._searching

    async def _opened(self, *, for_searches: bool) -> Connection:
        if self.cause:
            raise Unreachable(self.cause)
        try:
            connection = await self._in_time(open_connection(self.where, self._manner, for_searches=for_searches))
        except LinkBroken as error:
            self._down(str(error))
            raise Unreachable(str(error)) from None
        self._nursery.start_soon(connection.serve)
        return connection

    async def _in_time(self, answer: Awaitable[_T]) -> _T:
        with trio.move_on_after(self._timeout):
            return await answer
        raise Silent(f"no answer within {self._timeout:g} s")

    @contextmanager
    def _counting(self) -> Iterator[None]:
        try:
            yield
        except LinkBroken as error:
            self._failures += 1
            if self._failures >= FAILURES:
                self._down(str(error))
            raise
        self._failures = 0

    def _down(self, why: str) -> None:
        if not self.cause:
            self.cause = why
            _logger.error("%s is down: %s; it is tried every %g s", self.where, why, PROBE_EVERY)
            self.close()
            self._nursery.start_soon(self._probe)

    async def _probe(self) -> None:
        async with trio.open_nursery() as tries:
            while self.cause:
                await trio.sleep(PROBE_EVERY)
                tries.start_soon(self._try, tries)

    async def _try(self, tries: trio.Nursery) -> None:
        try:
            connection = await self._in_time(open_connection(self.where, self._manner, for_searches=True))
            self._nursery.start_soon(connection.serve)
            if isinstance(self._manner.service, AnonymousBind):  # nobody has answered yet: a listener that says nothing is no directory
                await self._in_time(connection.ask(AnonymousBind()))
        except LinkBroken as error:
            self.cause = self.cause and str(error)
            return
        if not self.cause:
            connection.close()
            return
        self.cause, self._failures, self._searching = "", 0, connection
        _logger.warning("%s is back", self.where)
        tries.cancel_scope.cancel()
