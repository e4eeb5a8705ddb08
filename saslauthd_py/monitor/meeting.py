"""Where a front that is a unit of its own comes to the monitor: one socket, for one front, once."""

from __future__ import annotations

import logging
import selectors
import socket
from collections.abc import Callable
from contextlib import suppress

from saslauthd_py import listeners
from saslauthd_py.config.settings import Settings
from saslauthd_py.monitor import signals
from saslauthd_py.monitor.telling import say
from saslauthd_py.privileges import peer_ids


def meet(settings: Settings, path: str, wake: socket.socket, ready: Callable[[], object]) -> socket.socket | None:
    """The channel to the first who comes to the socket at `path` and is the daemon's user; None: told to end before.

    `wake` is of `signals.noted`; `ready` is called when the front may come. Raises ListenError.
    """
    there = listeners.bind_meeting(settings, path)
    try:
        ready()
        return _met(there.socket, wake, listeners.daemon_ids(settings).uid)
    finally:  # the next front that comes finds nobody, rather than a queue that nobody serves
        listeners.unlink_own(there)
        there.socket.close()


def _met(there: socket.socket, wake: socket.socket, uid: int) -> socket.socket | None:
    with selectors.DefaultSelector() as selector:
        selector.register(wake, selectors.EVENT_READ)
        selector.register(there, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is wake:
                    if signals.heard(wake).intersection(signals.TERMINATING):
                        return None
                    continue
                with suppress(BlockingIOError):
                    came, _ = there.accept()
                    if peer_ids(came).uid == uid:
                        came.setblocking(True)
                        return came
                    say(f"user id {peer_ids(came).uid} is not the front's: refused", logging.WARNING)
                    came.close()
