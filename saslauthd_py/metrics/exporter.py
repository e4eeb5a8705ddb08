"""The one page of metrics, served on the loop and made in a thread: however often and however slowly somebody asks, no login waits."""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus

import trio

from saslauthd_py.metrics import http
from saslauthd_py.metrics.families import CONTENT_TYPE, text
from saslauthd_py.metrics.process import Process
from saslauthd_py.metrics.snapshot import Snapshot

_logger = logging.getLogger(__name__)

MOST = 8
"""Connections at once. Whoever comes then takes the place of the oldest: a good client needs it for milliseconds."""

DEADLINE = 5.0
"""Seconds for one connection, from first to last."""

REST = 0.05
"""Seconds before a place is taken again, so that nobody keeps the loop busy with connections."""

FRESH = 0.1
"""Seconds for which a page is given to whoever asks."""

_ACCEPT_PAUSE = 1.0
_NOBODY = frozenset({errno.EAGAIN, errno.ECONNABORTED})
_READ = 4096
_MOST_DRAINED = 16 * _READ


class Exporter:
    """Serves what `snapshot` says, which is called on the loop. Lives as long as the process: made once, it has all that it imports."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot
        self._process = Process()
        self._making = trio.Lock()
        self._thread = trio.CapacityLimiter(1)
        self._page = b""
        self._fresh_until = float("-inf")

    async def serve(self, listener: socket.socket) -> None:
        """Answer on a non-blocking listener, which stays the caller's, until cancelled. Whatever clients or the system do, it goes on."""
        places, talks = trio.Semaphore(MOST), dict[trio.CancelScope, None]()
        async with trio.open_nursery() as nursery:
            while True:
                await trio.lowlevel.wait_readable(listener)
                if not places.value and talks:
                    next(iter(talks)).cancel()
                await places.acquire()
                try:
                    client = listener.accept()[0]
                except OSError as error:
                    places.release()
                    if error.errno not in _NOBODY:
                        _logger.error("metrics: cannot accept: %s; trying again in %g s", error.strerror, _ACCEPT_PAUSE)
                        await trio.sleep(_ACCEPT_PAUSE)
                else:
                    nursery.start_soon(self._talk, client, places, talks)

    async def _talk(self, client: socket.socket, places: trio.Semaphore, talks: dict[trio.CancelScope, None]) -> None:
        try:
            with trio.move_on_after(DEADLINE) as scope, suppress(trio.BrokenResourceError):
                talks[scope] = None
                async with trio.SocketStream(trio.socket.from_stdlib_socket(client)) as stream:
                    await self._answer(stream)
            talks.pop(scope, None)
            await trio.sleep(REST)
        finally:
            places.release()

    async def _answer(self, stream: trio.SocketStream) -> None:
        code = await _asked(stream)
        if code is None:
            return
        body = f"{code.value} {code.phrase}; metrics are at GET {http.PATH}\n".encode()
        if code is HTTPStatus.OK:
            try:
                body = await self._made()
            except Exception:
                _logger.exception("bug while metrics were made")
                code, body = HTTPStatus.INTERNAL_SERVER_ERROR, b"a bug, see the log\n"
        await stream.send_all(http.response(code, body, CONTENT_TYPE if code is HTTPStatus.OK else "text/plain"))
        await stream.send_eof()
        drained = 0
        while drained < _MOST_DRAINED and (more := await stream.receive_some(_READ)):  # else a reset may overtake the answer
            drained += len(more)

    async def _made(self) -> bytes:
        """The page; made anew where it is older than FRESH, by one at a time."""
        async with self._making:
            if trio.current_time() >= self._fresh_until:
                self._page = await trio.to_thread.run_sync(text, self._snapshot(), self._process, limiter=self._thread)
                self._fresh_until = trio.current_time() + FRESH
            return self._page


async def _asked(stream: trio.SocketStream) -> HTTPStatus | None:
    """What a request deserves; None: its client has gone before it was whole."""
    data = b""
    while (code := http.status(data)) is None:
        more = await stream.receive_some(_READ)
        if not more:
            return None
        data += more
    return code
