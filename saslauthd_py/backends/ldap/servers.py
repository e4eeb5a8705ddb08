"""The servers of a backend, taken for one directory: asked in their order, those that are down passed over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from saslauthd_py.backends.ldap.connection import Reply
from saslauthd_py.backends.ldap.directory import Answer, DirectoryFailed, LinkLost
from saslauthd_py.backends.ldap.link import LinkBroken
from saslauthd_py.backends.ldap.opening import Manner
from saslauthd_py.backends.ldap.server import Server, Unreachable
from saslauthd_py.config.settings.ldap import LdapSettings
from saslauthd_py.wire.ldap import BindRequest, CompareRequest, ResultCode, SearchRequest

_ELSEWHERE = frozenset({ResultCode.BUSY, ResultCode.UNAVAILABLE})
"""What a server says that asks to try another one."""


class Servers:
    """Implements `Directory`. `nursery` runs connections and probes, and outlives every request."""

    def __init__(self, settings: LdapSettings, manner: Manner, nursery: trio.Nursery) -> None:
        limits = settings.connections, settings.timeout
        self._servers = tuple(Server(where, manner, limits, nursery) for where in settings.servers)

    async def search(self, request: SearchRequest) -> Answer:
        """As `Directory.search`."""
        return await self._by_any(lambda server: server.ask(request))

    async def compare(self, request: CompareRequest) -> Answer:
        """As `Directory.compare`."""
        return await self._by_any(lambda server: server.ask(request))

    async def bind(self, request: BindRequest) -> Answer:
        """As `Directory.bind`. Where one server has not answered, the next is asked: it may be judged twice, and is never lost."""
        return await self._by_any(lambda server: server.bind(request), lost=LinkLost)

    async def warm(self) -> None:
        """Reach the first servers that answer before a login does."""
        for server in self._servers:
            await server.warm()
            if not server.cause:
                return

    def down(self) -> dict[str, str]:
        """The servers that are down, and why."""
        return {str(server.where): server.cause for server in self._servers if server.cause}

    def close(self) -> None:
        """End all connections."""
        for server in self._servers:
            server.close()

    async def _by_any(self, ask: Callable[[Server], Awaitable[Reply]], lost: type[DirectoryFailed] = DirectoryFailed) -> Answer:
        told: list[str] = []
        failure = DirectoryFailed
        busy: Answer | None = None
        for server in self._servers:
            if server.cause:
                told.append(f"{server.where}: {server.cause}")
                continue
            try:
                reply = await ask(server)
            except Unreachable as error:
                told.append(f"{server.where}: {error}")
            except LinkBroken as error:
                told.append(f"{server.where}: {error}")
                failure = lost
            else:
                answer = Answer(reply.result.code, reply.result.diagnostic.decode(errors="replace"), str(server.where), reply.entries)
                if answer.code not in _ELSEWHERE:
                    return answer
                busy = busy or answer
        if busy is not None:
            return busy
        raise failure("; ".join(told))
