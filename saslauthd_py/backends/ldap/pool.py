"""The connections to one server: the one that carries all searches, and those for binds that nobody uses at the moment."""

from __future__ import annotations

import trio

from saslauthd_py.backends.ldap.connection import Connection
from saslauthd_py.backends.ldap.opening import Manner, open_connection
from saslauthd_py.config.settings.ldap_server import LdapServer
from saslauthd_py.waits import Waits

LONGEST_REST = 60.0
"""Seconds after which a connection that nobody used is closed: what stands between may have forgotten it without a word."""


class Pool:
    """`nursery` runs the connection for searches until it is lost or closed, and closes those that have rested too long."""

    def __init__(self, server: LdapServer, manner: Manner, nursery: trio.Nursery) -> None:
        self._server = server
        self._manner = manner
        self._nursery = nursery
        self._searching: Connection | None = None
        self._resting: list[Connection] = []
        self._rests = Waits(LONGEST_REST, nursery)

    def for_searches(self) -> Connection | None:
        """The one that all use; None: it has to be opened."""
        connection = self._searching
        if connection is None or connection.lost:
            return None
        if connection.idle and trio.current_time() - connection.heard > LONGEST_REST:
            connection.close()
            return None
        return connection

    async def reach(self) -> None:
        """Open the connection for searches: afterwards there is one. Raises LinkBroken, Refused. Cancelled, it leaves nothing open."""
        connection = await open_connection(self._server, self._manner, for_searches=True)
        self._nursery.start_soon(connection.serve)
        if self.for_searches() is None:
            self._searching = connection
        else:
            connection.close()

    def rested(self) -> Connection | None:
        """One for a bind, the caller's alone until it is given back; None: it has to be opened."""
        while self._resting:
            connection = self._resting.pop()
            self._rests.over(connection)
            if connection.quiet():
                return connection
            connection.close()
        return None

    async def opened(self) -> Connection:
        """A new one for a bind. Raises LinkBroken. Cancelled, it leaves nothing open."""
        return await open_connection(self._server, self._manner, for_searches=False)

    def give_back(self, connection: Connection) -> None:
        """A bind on it has been answered."""
        self._resting.append(connection)
        self._rests.begin(connection, connection.heard)

    def close(self, *, for_good: bool = False) -> None:
        """All that are here; one that is used for a bind is its user's to close. `for_good`: none will be given back."""
        searching, self._searching = self._searching, None
        resting, self._resting = self._resting, []
        if searching is not None:
            searching.close()
        for connection in resting:
            self._rests.over(connection)
            connection.close()
        if for_good:
            self._rests.close()
