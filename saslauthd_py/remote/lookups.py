"""Names of hosts, looked up in threads of their own: one that hangs can only be left behind, and takes no place of other work."""

from __future__ import annotations

import socket
from typing import Any

import trio

_THREADS = 4


class Lookups(trio.abc.HostnameResolver):
    """What all of trio's connections ask, once it is set by `trio.socket.set_custom_hostname_resolver`."""

    def __init__(self) -> None:
        self._limiter = trio.CapacityLimiter(_THREADS)

    async def getaddrinfo(
        self,
        host: bytes | None,
        port: bytes | str | int | None,
        family: int = 0,
        type: int = 0,  # noqa: A002 - the name that it has in trio's interface
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """As `socket.getaddrinfo`."""

        def lookup() -> list[Any]:
            return socket.getaddrinfo(host, port, family, type, proto, flags)

        return await trio.to_thread.run_sync(lookup, limiter=self._limiter, abandon_on_cancel=True)

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:  # noqa: ANN401 - trio's interface has a union of private types
        """As `socket.getnameinfo`."""

        def lookup() -> tuple[str, str]:
            return socket.getnameinfo(sockaddr, flags)

        return await trio.to_thread.run_sync(lookup, limiter=self._limiter, abandon_on_cancel=True)
