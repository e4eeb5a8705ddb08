"""The connections to one server: the one that carries all searches, and those for binds that nobody uses at the moment."""

from __future__ import annotations

import trio

from saslauthd_py.backends.ldap.connection import Connection
from saslauthd_py.backends.ldap.opening import Manner, open_connection
from saslauthd_py.config.settings.ldap_server import LdapServer

LONGEST_REST = 60.0
"""Seconds after which an unused connection is not used again: what stands between may have forgotten it without a word."""


class Pool:
    """`nursery` runs the connections, each until it is lost or closed."""

    def __init__(self, server: LdapServer, manner: Manner, nursery: trio.Nursery) -> None:
        self._server = server
        self._manner = manner
        self._nursery = nursery
        self._searching: Connection | None = None
        self._resting: list[Connection] = []

    def for_searches(self) -> Connection | None:
        """The one that all use; None: it has to be opened."""
        connection = self._searching
        return connection if connection is not None and _usable(connection) else None

    async def reach(self) -> None:
        """Open the connection for searches: afterwards there is one. Raises LinkBroken, Refused. Cancelled, it leaves nothing open."""
        connection = await self._opened(for_searches=True)
        if self.for_searches() is None:
            self._searching = connection
        else:
            connection.close()

    def rested(self) -> Connection | None:
        """One for a bind, the caller's alone until it is given back; None: it has to be opened."""
        while self._resting:
            connection = self._resting.pop()
            if _usable(connection):
                return connection
        return None

    async def opened(self) -> Connection:
        """A new one for a bind. Raises LinkBroken. Cancelled, it leaves nothing open."""
        return await self._opened(for_searches=False)

    def give_back(self, connection: Connection) -> None:
        """A bind on it has been answered."""
        self._resting.append(connection)

    def close(self) -> None:
        """All that are here; one that is used for a bind is its user's to close."""
        searching, self._searching = self._searching, None
        resting, self._resting = self._resting, []
        for connection in (searching, *resting):
            if connection is not None:
                connection.close()

    async def _opened(self, *, for_searches: bool) -> Connection:
        connection = await open_connection(self._server, self._manner, for_searches=for_searches)
        self._nursery.start_soon(connection.serve)
        return connection


def _usable(connection: Connection) -> bool:
    if not connection.lost and connection.idle and trio.current_time() - connection.heard > LONGEST_REST:
        connection.close()
    return not connection.lost
