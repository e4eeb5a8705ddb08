"""Who is at the other end of a UNIX socket, as the log writes it: `smtpd[123]`, the pid that is in Postfix's own line too."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable

from saslauthd_py.front.sockets import PEERCRED, PEERCRED_SIZE, SOL_SOCKET, Stream
from saslauthd_py.log import escape

_UCRED = struct.Struct("iII")
UNKNOWN = _UCRED.pack(0, 0xFFFFFFFF, 0xFFFFFFFF)
"""What a socket that cannot name its peer counts as: no process, and nobody's user id."""


def credentials(client: Stream) -> bytes:
    """The raw SO_PEERCRED of a connection: who connected, whatever became of that process since."""
    try:
        return client.getsockopt(SOL_SOCKET, PEERCRED, PEERCRED_SIZE)
    except OSError:
        return UNKNOWN


def uid(raw: bytes) -> int:
    """The user id in raw credentials."""
    number: int = _UCRED.unpack(raw)[1]
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
        """COMM[PID], escaped; `?` for COMM when the process is gone or hidden (ProtectProc, hidepid)."""
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
