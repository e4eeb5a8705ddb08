"""Configurations as the monitor serves them: the one that counts, the one that the front is trying, those that are being left."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from saslauthd_py import listeners
from saslauthd_py.config.load import Checked, ConfigurationError, check
from saslauthd_py.config.settings import Settings, WorkerSettings
from saslauthd_py.listeners import Bound, ListenError
from saslauthd_py.monitor import worker
from saslauthd_py.monitor.channel import send
from saslauthd_py.monitor.errors import PamUnusable
from saslauthd_py.monitor.slots import Slots
from saslauthd_py.privileges import PrivilegeError
from saslauthd_py.wire.monitor import Begin, Configuration, Failed, Frame, Listening, Switch, Working

_LONGEST_TEXT = 8000
_POOLS = 1 << 16

_MOST_ASKED = 64
"""Reloads that wait for the one that is under way: one that is read later serves all who asked before."""

MOST_LEFT = 8
"""Configurations of before that have workers still, each as many as the one that counts."""


class Served:
    """One configuration: what it says, its workers, and its listeners once they are bound."""

    def __init__(self, checked: Checked, channel: socket.socket, first_pool: int, asked: int = 0) -> None:
        self.settings = checked.settings
        self.channel = channel
        self.asked = asked
        self.bound: list[Bound] = []
        self.pools = pools_of(checked.settings)
        self.slots = Slots(self.pools, self._hand_worker, first_pool)
        self._text = checked.text

    def hand_over(self, path: str) -> None:
        """What a front needs to try it: its text, its listeners where they are bound already, its workers. Raises OSError."""
        with _in_memory(self._text) as descriptor:
            send(self.channel, Configuration(os.fsencode(path), self.slots.first, self.asked), descriptor)
        for place, one in enumerate(self.bound):
            send(self.channel, Listening(place), one.socket.fileno())
        self.slots.fill()
        send(self.channel, Begin())

    def _hand_worker(self, frame: Working, end: socket.socket) -> None:
        with suppress(OSError):  # the front is gone: its end comes next, and the worker sees the same
            send(self.channel, frame, end.fileno())


class Offers:
    """The one that counts is `current`. A new one is read, offered, opened by the front, bound, and counts when the front has switched.

    Whatever goes wrong before leaves everything as it is; the front is told why (rule H1).
    """

    def __init__(self, current: Served, path: str) -> None:
        self.current = current
        self._path = path
        self._channel = current.channel
        self._offered: Served | None = None
        self._left: list[Served] = []
        self._next_pool = len(current.pools)
        self._asked: list[int] = []
        self._switching = False
        self._stopped = False

    def __iter__(self) -> Iterator[Served]:
        """All that have workers."""
        yield self.current
        yield from self._left
        if self._offered is not None:
            yield self._offered

    def reload(self, asked: int) -> None:
        """Read the file again, now or after the reload that is under way."""
        if self._stopped:
            return
        if len(self._asked) >= _MOST_ASKED:
            self._tell(Failed(b"too many reloads are asked for at once: ask again when they are done", asked))
        elif asked or asked not in self._asked:
            self._asked.append(asked)
        if self._offered is None:
            self._next()

    def opened(self) -> None:
        """The front could open what was offered: bind what is new, and have it switch."""
        offered = self._offered
        if offered is None or self._switching or self._stopped:
            return
        try:
            offered.bound = listeners.rebind_all(offered.settings, self.current.bound)
        except (ListenError, PrivilegeError) as error:
            self._drop(str(error))
            return
        kept = {one.socket for one in self.current.bound}
        for place, one in enumerate(offered.bound):
            if one.socket not in kept:
                self._tell(Listening(place), one.socket)
        self._switching = True
        self._tell(Switch())

    def declined(self) -> None:
        """The front could not open what was offered, and has said why to whoever asked."""
        self._drop(None)

    def serving(self) -> None:
        """The front has switched. Names that the new configuration does not have are taken away.

        It says so too of what it began with, and by then another configuration may have been offered.
        """
        if self._offered is None or not self._switching or self._stopped:
            return
        self._switching = False
        before, self.current, self._offered = self.current, self._offered, None
        self._left.append(before)
        listeners.unlink_gone(before.bound, self.current.bound)
        kept = {one.socket for one in self.current.bound}
        for one in before.bound:
            if one.socket not in kept:
                one.socket.close()  # the front has its own copy of it
        self._next()

    def retired(self, first_pool: int) -> None:
        """The last request of that configuration is answered: its workers are of no more use."""
        for served in self._left:
            if served.slots.first == first_pool and served.pools:
                served.slots.close()

    def stop(self) -> None:
        """No name leads to the daemon any more, nothing is read and nothing bound. A second time does nothing."""
        self._stopped = True
        self._asked.clear()
        if self._offered is not None:
            kept = {one.socket for one in self.current.bound}
            listeners.let_go([one for one in self._offered.bound if one.socket not in kept])
            self._offered.bound.clear()
        listeners.let_go(self.current.bound)

    def fill(self) -> float | None:
        """As `Slots.fill`, for all of them; those whose last worker has ended are forgotten."""
        self._left = [served for served in self._left if len(served.slots) or (served.pools and not served.slots.closed)]
        waits = [wait for served in self if (wait := served.slots.fill()) is not None]
        return min(waits, default=None)

    def _next(self) -> None:
        while self._asked and self._offered is None:
            self._offer(self._asked.pop(0))

    def _offer(self, asked: int) -> None:
        if len(self._left) >= MOST_LEFT:  # whoever reloads without end shall not fill the machine with workers
            self._tell(
                Failed(f"{MOST_LEFT} configurations of before still answer what they began: ask again when they are done".encode(), asked)
            )
            return
        try:
            checked = check(self._path, for_root=True)
            self._check(checked.settings)
        except (ConfigurationError, ListenError, PrivilegeError, PamUnusable) as error:
            self._tell(Failed(str(error).encode()[:_LONGEST_TEXT], asked))
            return
        offered = Served(checked, self._channel, self._first_of(len(pools_of(checked.settings))), asked)
        self._offered, self._switching = offered, False
        try:
            offered.hand_over(self._path)
        except OSError as error:  # no process, no descriptor, no memory; or the front is gone, and its end comes next
            self._drop(f"{self._path}: the monitor cannot start its workers, or hand it over: {error.strerror}")

    def _first_of(self, count: int) -> int:
        """The next numbers for so many backends: all of them fit in a frame."""
        first = self._next_pool if self._next_pool + count <= _POOLS else 0
        self._next_pool = first + count
        return first

    def _check(self, settings: Settings) -> None:
        old, new = self.current.settings.server, settings.server
        if (old.user, old.group) != (new.user, new.group):
            raise ListenError(f"{self._path}: [server] user and group are changed by a restart only")
        if self.current.settings.control != settings.control:
            raise ListenError(f"{self._path}: [control] path is changed by a restart only")
        listeners.check_all(settings, self.current.bound)
        for pool in pools_of(settings):
            worker.prepare(pool)

    def _drop(self, why: str | None) -> None:
        offered, self._offered = self._offered, None
        if offered is None:
            return
        self._switching = False
        offered.slots.close()
        self._left.append(offered)
        if why is not None:
            self._tell(Failed(why.encode()[:_LONGEST_TEXT], offered.asked))
        self._next()

    def _tell(self, frame: Frame, listener: socket.socket | None = None) -> None:
        with suppress(OSError):
            send(self._channel, frame, listener.fileno() if listener else None)


def pools_of(settings: Settings) -> tuple[WorkerSettings, ...]:
    """The backends that have workers, in the order in which frames count them."""
    return tuple(one for one in settings.backend.values() if isinstance(one, WorkerSettings))


@contextmanager
def _in_memory(text: str) -> Iterator[int]:
    """A descriptor of a file that nobody else can open, positioned at its start."""
    descriptor = os.memfd_create("configuration", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(text.encode())
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)
