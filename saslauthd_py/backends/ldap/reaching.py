"""From a server's URI to a socket that is connected to it."""

from __future__ import annotations

import os
import socket
import sys
from functools import cache
from ipaddress import ip_address

import trio

from saslauthd_py.backends.ldap.link import Link, LinkBroken
from saslauthd_py.config.settings.ldap_server import LdapServer

HEAD_START = 0.25
"""Seconds that an address of a name has to itself before the next one is tried beside it (RFC 8305 section 8)."""

MOST_LOOKUPS = 4
"""Threads that look up one name."""

_KEEP_ALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""Seconds, seconds and tries: so that what stands between does not forget a link that nobody uses, and one that is dead is known to be."""


_Address = str | tuple[object, ...]


async def reach(server: LdapServer) -> Link:
    """A link to the server, at the first of its addresses that answers. Raises LinkBroken. Cancelled, it leaves nothing open."""
    if server.scheme == "ldapi":
        return Link(await _connected(socket.AF_UNIX, server.path))
    addresses = await _addresses(server)
    if len(addresses) == 1:
        return Link(await _connected(*addresses[0]))
    return Link(await _first_of(addresses))


async def _addresses(server: LdapServer) -> list[tuple[int, _Address]]:
    """Each with its family, none twice, in the order of the system's preference."""
    try:
        family = socket.AF_INET if ip_address(server.host).version == 4 else socket.AF_INET6
    except ValueError:
        return await _looked_up(server.host, server.port)
    return [(family, (server.host, server.port))]


@cache
def lookups(host: str) -> trio.CapacityLimiter:  # noqa: ARG001 - each has one of its own
    """Whoever looks up this name, which a configuration has.

    A lookup cannot be ended, only left behind: those that hang never take the place of other work, nor of other servers' names.
    """
    return trio.CapacityLimiter(MOST_LOOKUPS)


async def _looked_up(host: str, port: int) -> list[tuple[int, _Address]]:
    def lookup() -> list[tuple[int, _Address]]:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys((int(family), address) for family, _, _, _, address in found))

    try:
        return await trio.to_thread.run_sync(lookup, limiter=lookups(host), abandon_on_cancel=True)
    except OSError as error:
        raise LinkBroken(f"its name is not known: {error.strerror or error}") from None


async def _first_of(addresses: list[tuple[int, _Address]]) -> socket.socket:
    """One that does not answer holds up the others no longer than HEAD_START; one that refuses, not at all."""
    won: list[socket.socket] = []
    said: list[str] = []

    async def attempt(family: int, address: _Address, failed: trio.Event) -> None:
        try:
            connected = await _connected(family, address)
        except LinkBroken as error:
            said.append(str(error))
            failed.set()
            return
        won.append(connected)
        attempts.cancel_scope.cancel()

    try:
        async with trio.open_nursery() as attempts:
            for family, address in addresses:
                failed = trio.Event()
                attempts.start_soon(attempt, family, address, failed)
                with trio.move_on_after(HEAD_START):
                    await failed.wait()
    except BaseException:
        for connected in won:
            connected.close()
        raise
    for late in won[1:]:
        late.close()
    if not won:
        raise LinkBroken("; ".join(dict.fromkeys(said)) or "its name has no address")
    return won[0]


async def _connected(family: int, address: _Address) -> socket.socket:
    """Raises LinkBroken."""
    try:
        connecting = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:  # no descriptor left, or no IPv6
        raise LinkBroken(_told(error)) from None
    try:
        connecting.setblocking(False)
        if family != socket.AF_UNIX:
            _tune(connecting)
        await _connect(connecting, address)
    except OSError as error:
        connecting.close()
        raise LinkBroken(_told(error)) from None
    except BaseException:
        connecting.close()
        raise
    return connecting


async def _connect(connecting: socket.socket, address: _Address) -> None:
    try:
        connecting.connect(address)
    except BlockingIOError:
        if connecting.family == socket.AF_UNIX:  # not begun, and nothing would tell when it can be
            raise OSError(0, "has too many connections waiting to be taken") from None
        await trio.lowlevel.wait_writable(connecting)
        if number := connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(number, os.strerror(number)) from None


def _tune(connecting: socket.socket) -> None:
    connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connecting.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        for option, value in _KEEP_ALIVE.items():
            connecting.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _told(error: OSError) -> str:
    return error.strerror or str(error)
