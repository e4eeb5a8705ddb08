"""Addresses for the servers of tests."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

LOOPBACK = "127.0.0.1"


def free_ports(count: int, *also: str) -> list[int]:
    """Ports of 127.0.0.1, and of other addresses of this machine, that nobody listens on."""
    with ExitStack() as stack:
        ports = [stack.enter_context(socket.create_server((LOOPBACK, 0))).getsockname()[1] for _ in range(count)]
        for address in also:
            for port in ports:
                stack.enter_context(socket.create_server((address, port)))
        return ports


def listens(where: int | Path) -> bool:
    """Whether somebody does, on a port of 127.0.0.1 or at a path."""
    if isinstance(where, Path):
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(where)) == 0
    with socket.socket() as client:
        return client.connect_ex((LOOPBACK, where)) == 0
