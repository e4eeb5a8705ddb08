"""A descriptor in reserve, so that a client can be turned away when the process has no more (rule E2)."""

from __future__ import annotations

import os
import socket
from contextlib import suppress


class Spare:
    """Given up for one client, and taken again once that one has gone."""

    def __init__(self) -> None:
        """OSError: there is none left."""
        self._descriptor = _opened()

    def turn_away(self, listener: socket.socket) -> None:
        """Close the connection of one client of a listener, which does not block, so that it need not wait in vain. Never raises."""
        self.close()
        with suppress(OSError):  # nobody is there
            listener.accept()[0].close()
        with suppress(OSError):  # none for us, this time
            self._descriptor = _opened()

    def close(self) -> None:
        """Give it up."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _opened() -> int:
    return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
