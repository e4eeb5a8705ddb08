"""Who is at the other end of a UNIX socket, as the log writes it: `smtpd[123]`, the pid that is in Postfix's own line too."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable

from saslauthd_py.front.sockets import PEERCRED, PEERCRED_SIZE, SOL_SOCKET, UNIX, Stream
from saslauthd_py.log import escape

_UCRED = struct.Struct("iII")
_TCP = b"tcp "  # no process has such a number: PID_MAX_LIMIT is 2**22
UNKNOWN = _UCRED.pack(0, 0xFFFFFFFF, 0xFFFFFFFF)
"""What a socket that cannot name its peer counts as: no process, and nobody's user id."""


def credentials(client: Stream) -> bytes:
    """The raw SO_PEERCRED of a connection: who connected, whatever became of that process since."""
    try:
        return client.getsockopt(SOL_SOCKET, PEERCRED, PEERCRED_SIZE)
    except OSError:
        return UNKNOWN


def of(client: Stream) -> bytes:
    """Who is at the other end: raw credentials, and of a TCP connection its address behind `_TCP`."""
    if client.family == UNIX:
        return credentials(client)
    try:
        return _TCP + str(client.getpeername()[0]).encode()
    except OSError:  # it has gone
        return UNKNOWN


def address(raw: bytes) -> str:
    """The TCP client's in what `of` gives; empty where it has none."""
    return raw.removeprefix(_TCP).decode("ascii") if raw.startswith(_TCP) else ""


def uid(raw: bytes) -> int:
    """The user id in what `of` gives; of all TCP clients it is nobody's."""
    number: int = _UCRED.unpack(UNKNOWN if raw.startswith(_TCP) else raw)[1]
    return number


class Peers:
    """Names of peers, forgotten every second, for a pid may be used again. `written`: a process's own name as the log has it."""

    def __init__(self, written: Callable[[bytes], bytes] = escape.field) -> None:
        self._written = written
        self.known: dict[bytes, bytes] = {}
        self._second = 0

    def tick(self, second: int) -> None:
        """`second`: the present one, of any clock."""
        if second != self._second:
            self._second = second
            self.known.clear()

    def name(self, raw: bytes) -> bytes:
        """COMM[PID], escaped, or an address; `?` for COMM when the process is gone or hidden (ProtectProc, hidepid)."""
        if raw.startswith(_TCP):
            text = self.known[raw] = self._written(raw.removeprefix(_TCP))
            return text
        pid = _UCRED.unpack(raw)[0]
        try:
            descriptor = os.open(f"/proc/{pid}/comm", os.O_RDONLY | os.O_CLOEXEC)
            try:
                comm = os.read(descriptor, 16).rstrip(b"\n")
            finally:
                os.close(descriptor)
        except OSError:
            comm = b"?"
        text = self.known[raw] = b"%b[%d]" % (self._written(comm), pid)
        return text
