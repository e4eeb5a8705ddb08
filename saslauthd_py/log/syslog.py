"""The machine's syslog: a datagram a line, as RFC 3164 has it and syslog(3) writes it, without a host's name.

Each goes to whoever has the socket now: a syslog daemon that was restarted gets the next line, and nothing has to be connected anew.
"""

from __future__ import annotations

import errno
import os
import socket
import struct

from saslauthd_py.log import stamp
from saslauthd_py.log.style import Style

PATH = "/dev/log"

PATIENCE = 1.0
"""Seconds that the writer's thread waits for room. Then what it has in its hands is lost, and counted; the loop never waits."""

_AUTH = 4 << 3
"""The facility, RFC 3164 section 4.1.1: that of the original's openlog."""

_TIMEVAL = struct.Struct("@ll")


class Syslog:
    """Implements `Destination`. It need not be there: what comes meanwhile is lost, and told when it is."""

    def __init__(self, path: str = PATH, patience: float = PATIENCE) -> None:
        self._path = path
        self._pid = os.getpid()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        # Python's own timeout waits for the socket, which has room for ever; the kernel's waits for the peer's.
        seconds = int(patience)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL.pack(seconds, int((patience - seconds) * 1e6)))

    def opening(self, style: Style, level: int, now: int) -> bytes:
        """Priority, local time, and who we are."""
        head = f"<{_AUTH | stamp.severity(level)}>{stamp.local(now)} {style.IDENT}[{self._pid}]: "
        return head.encode() + style.opening(level, None)

    def write(self, lines: list[bytes]) -> tuple[int, str]:
        """As `Destination.write`."""
        for number, line in enumerate(lines):
            try:
                self._socket.sendto(line.removesuffix(b"\n"), self._path)
            except OSError as error:
                why = "nobody reads them" if error.errno == errno.EAGAIN else error.strerror or "cannot be sent"
                return number, f"{self._path}: {why}"
        return len(lines), ""

    def reopen(self) -> None:
        """Nothing: it is looked for with every line."""

    def close(self) -> None:
        """As `Destination.close`."""
        self._socket.close()
