"""A client of the saslauthd socket: what libsasl sends, and the raw answer."""

from __future__ import annotations

import socket
from os import PathLike, fspath

from saslauthd_py.secret import Secret
from saslauthd_py.wire.saslauthd import NO, OK, Request, encode
from tests.interop.waiting import PATIENCE

__all__ = ["NO", "OK", "ask", "exchange"]


def exchange(path: str | PathLike[str], sent: bytes) -> bytes:
    """All that the daemon says to `sent` until it closes: OK, NO or nothing (an outage)."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(fspath(path))
        connection.sendall(sent)
        answer = b""
        while more := connection.recv(1024):
            answer += more
        return answer


def ask(path: str | PathLike[str], name: str, password: str, service: str = "smtp") -> bytes:
    """A login, `name` split at its last @ as libsasl does."""
    login, _, realm = name.rpartition("@") if "@" in name else (name, "", "")
    return exchange(path, encode(Request(login.encode(), Secret(password.encode()), service.encode(), realm.encode())))
