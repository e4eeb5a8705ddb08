"""The servers of a backend, taken for one directory: asked in their order, those that are down passed over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import TypeVar

import trio

from saslauthd_py.backends.ldap.connection import Reply
from saslauthd_py.backends.ldap.directory import Answer, DirectoryFailed, LinkLost
from saslauthd_py.backends.ldap.link import LinkBroken
from saslauthd_py.backends.ldap.opening import Manner
from saslauthd_py.backends.ldap.server import Server, Unreachable
from saslauthd_py.config.settings.ldap import LdapSettings
from saslauthd_py.wire.ldap import BindRequest, CompareRequest, ResultCode, SearchRequest

_R = TypeVar("_R", SearchRequest, CompareRequest, BindRequest)

_ELSEWHERE = frozenset({ResultCode.BUSY, ResultCode.UNAVAILABLE})
"""What a server says that asks to try another one; it has looked at no secret then."""


class Servers:
    """Implements `Directory`. `nursery` runs connections and what watches the servers, and outlives every request."""

    def __init__(self, settings: LdapSettings, manner: Manner, nursery: trio.Nursery) -> None:
        limits = settings.connections, settings.timeout
        self._servers = tuple(Server(where, manner, limits, nursery) for where in settings.servers)

    def search(self, request: SearchRequest) -> Coroutine[object, object, Answer]:
        """As `Directory.search`."""
        return self._by_any(Server.ask, request)

    def compare(self, request: CompareRequest) -> Coroutine[object, object, Answer]:
        """As `Directory.compare`."""
        return self._by_any(Server.ask, request)

    def bind(self, request: BindRequest) -> Coroutine[object, object, Answer]:
        """As `Directory.bind`. Where one server has not answered, the next is asked: it may be judged twice, and is never lost."""
        return self._by_any(Server.bind, request, lost=LinkLost)

    async def warm(self) -> None:
        """Reach the first servers that answer before a login does."""
        for server in self._servers:
            await server.warm()
            if not server.cause:
                return

    def down(self) -> dict[str, str]:
        """The servers that are down, and why."""
        return {server.name: server.cause for server in self._servers if server.cause}

    def close(self) -> None:
        """End all connections and all watching, when nobody asks any more. A bind under way is answered still."""
        for server in self._servers:
            server.close()

    async def _by_any(
        self, ask: Callable[[Server, _R], Awaitable[Reply]], request: _R, lost: type[DirectoryFailed] = DirectoryFailed
    ) -> Answer:
        told: list[str] = []
        failure = DirectoryFailed
        later: Answer | None = None
        for server in self._servers:
            if server.cause:
                told.append(f"{server.name}: {server.cause}")
                continue
            try:
                reply = await ask(server, request)
            except Unreachable as error:
                told.append(f"{server.name}: {error}")
            except LinkBroken as error:
                told.append(f"{server.name}: {error}")
                failure = lost
            else:
                result = reply.result
                said = result.diagnostic.decode(errors="replace") if result.diagnostic else ""
                answer = Answer(result.code, said, server.name, reply.entries)
                if result.code not in _ELSEWHERE:
                    return answer
                later = later or answer
        if later is not None and failure is DirectoryFailed:  # where a secret may have been judged, that comes first (rule D9)
            return later
        raise failure("; ".join(told))
