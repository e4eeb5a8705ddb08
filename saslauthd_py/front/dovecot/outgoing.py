"""What goes out to one client: in one write where it can be, and never more in memory than a client that does not read is worth."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

import trio

from saslauthd_py.front.sockets import NOW, Stream

MOST_UNSENT = 50 * 1024
"""Bytes that may wait for a client; while there are more, it is not read (rule E6; Dovecot: OUTBUF_THROTTLE_SIZE)."""

PATIENCE = 30.0
"""Seconds in which a client that is to be sent something must take some of it."""


class Reader(Protocol):
    """Who must know how the client takes what it is sent."""

    def throttle(self) -> None:
        """There is more than MOST_UNSENT for it to take: read no more of it."""

    def go_on(self) -> None:
        """It has taken a lot of that: read on."""

    def lost(self) -> None:
        """It has gone, or does not read. At most once."""

    def start(self, task: Callable[[], Awaitable[object]]) -> None:
        """Run what waits for it."""


class Outgoing:
    """Of one connection."""

    def __init__(self, client: Stream, reader: Reader) -> None:
        self._client = client
        self._reader = reader
        self._unsent = bytearray()
        self._written: trio.Event | None = None
        self._throttled = False
        self._ended = False

    @property
    def empty(self) -> bool:
        """All that was sent has gone out."""
        return not self._unsent

    def send(self, replies: bytes) -> None:
        """Now as far as the socket takes it, the rest by a task."""
        if self._ended:
            return
        if not self._unsent:
            try:
                sent = self._client.send(replies, NOW)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._reader.lost()
                return
            if sent == len(replies):
                return
            replies = replies[sent:]
        self._unsent += replies
        if len(self._unsent) > MOST_UNSENT and not self._throttled:
            self._throttled = True
            self._reader.throttle()
        if self._written is None:
            self._written = trio.Event()
            self._reader.start(partial(self._write, self._written))

    async def flush(self) -> None:
        """Return when all has gone out, or never will."""
        while self._written is not None:
            await self._written.wait()

    def end(self) -> None:
        """The socket is about to be closed."""
        self._ended = True
        self._unsent.clear()
        if self._written is not None:
            trio.lowlevel.notify_closing(self._client)

    async def _write(self, written: trio.Event) -> None:
        try:
            while self._unsent:
                with trio.fail_after(PATIENCE):
                    await trio.lowlevel.wait_writable(self._client)
                self._send_some()
                if self._throttled and len(self._unsent) <= MOST_UNSENT // 3:
                    self._throttled = False
                    self._reader.go_on()
        except (trio.ClosedResourceError, trio.TooSlowError, OSError):
            if not self._ended:
                self._reader.lost()
        finally:
            self._written = None
            written.set()

    def _send_some(self) -> None:
        try:
            del self._unsent[: self._client.send(self._unsent, NOW)]
        except BlockingIOError:  # writable, and full again
            return
