"""sd_notify(3): what a service manager is told (rule E9). Without NOTIFY_SOCKET nothing is sent, and every call does nothing."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import MutableMapping

_READY_PATIENCE = 1.0
"""Seconds that READY waits for room in the service manager's queue: without it the start fails. Nothing else ever waits."""


class Notifier:
    """Sends states to one service manager. Made by `from_environment`.

    Every method returns whether its message was taken; a service manager that is gone is no reason to stop answering logins.
    With systemd, NotifyAccess=all is needed where the caller is not the unit's main process.
    """

    def __init__(self, address: str | None, watchdog_interval: float | None = None) -> None:
        """`address`: as in NOTIFY_SOCKET, "@" first for an abstract name. `watchdog_interval`: see the property."""
        self._address = f"\0{address[1:]}" if address and address.startswith("@") else address
        self._interval = watchdog_interval
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if address else None

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str]) -> Notifier:
        """The service manager that `environ` names; its variables are taken out, for they are not meant for child processes.

        An address that is neither a path nor an abstract name counts as none. A watchdog meant for another process, or one whose
        time is no number over 0, counts as none.
        """
        address = environ.pop("NOTIFY_SOCKET", "")
        microseconds = environ.pop("WATCHDOG_USEC", "")
        watched = environ.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        if not address.startswith(("/", "@")):
            return cls(None)
        armed = watched and microseconds.isascii() and microseconds.isdigit() and int(microseconds) > 0
        return cls(address, int(microseconds) / 2e6 if armed else None)

    @property
    def watchdog_interval(self) -> float | None:
        """Seconds between calls of `watchdog`: half the time after which the service manager gives up. None: it does not ask."""
        return self._interval

    def ready(self, status: str = "") -> bool:
        """Every listener answers. `status` is one line for `systemctl status`. May wait a second; all others never do."""
        return self._send("READY=1", *_status(status), patience=_READY_PATIENCE)

    def status(self, text: str) -> bool:
        """One line for `systemctl status`."""
        return self._send(*_status(text))

    def stopping(self, status: str = "") -> bool:
        """No new connection is taken from here on."""
        return self._send("STOPPING=1", *_status(status))

    def watchdog(self) -> bool:
        """The loop still turns. Called by the loop itself, never by a thread (rule E9)."""
        return self._interval is not None and self._send("WATCHDOG=1")

    def close(self) -> None:
        """Nothing more will be said."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *states: str, patience: float = 0.0) -> bool:
        if self._socket is None or self._address is None or not states:
            return False
        self._socket.settimeout(patience)
        with contextlib.suppress(OSError):
            # never connected: a service manager that starts anew has another socket at the same address
            self._socket.sendto("\n".join(states).encode("utf-8", "replace"), self._address)
            return True
        return False


def _status(text: str) -> tuple[str, ...]:
    return (f"STATUS={' '.join(text.split())}",) if text else ()
