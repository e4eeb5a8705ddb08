"""The monitor: one thread that waits for its children, its front and its service manager, and does what only root can (rule A1)."""

from __future__ import annotations

import gc
import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from saslauthd_py import listeners, privileges
from saslauthd_py.config.load import Checked
from saslauthd_py.config.settings import Settings
from saslauthd_py.listeners import Bound, Listener, ListenError
from saslauthd_py.monitor import orphans, signals, worker
from saslauthd_py.monitor.channel import bound_sends, receive, send
from saslauthd_py.monitor.early import Early
from saslauthd_py.monitor.meeting import meet
from saslauthd_py.monitor.offers import Offers, Served, pools_of
from saslauthd_py.monitor.telling import say
from saslauthd_py.wire.monitor import Controlling, Declined, End, Frame, Malformed, Opened, Reload, Retired, Serving

DRAIN_MARGIN = 5.0
"""Seconds that a front may take to end after its own deadline for what is under way."""

_FAILED = 70


class FrontEnded(Exception):
    """The front ended, and with it the daemon. `code` is what it exited with; after its own line, if it had one to say."""

    def __init__(self, line: str, code: int) -> None:
        super().__init__(line)
        self.code = code


def serve(checked: Checked, path: str, early: Early) -> None:
    """Run the daemon with this configuration, read from `path`, until SIGTERM or SIGINT and what was under way is answered.

    `early`: the front, if it could be started so early. SIGHUP reads the file again. As root, before any thread is started. Raises
    ListenError, PrivilegeError, PamUnusable before anybody is served; FrontEnded.
    """
    with signals.noted() as wake, _ready(checked) as sockets, ExitStack() as stack:
        pid, ours = early.take(listeners.daemon_ids(checked.settings))
        stack.enter_context(ours)
        _tend(_Monitor(pid, ours), checked, path, sockets, wake)


def attend(checked: Checked, path: str, meeting: str, ready: Callable[[], object]) -> None:
    """As `serve`, for a front that is a unit of its own and comes to the socket at `meeting`, once: when it goes, the monitor ends too.

    `ready` is called when it may come.
    """
    with signals.noted() as wake, _ready(checked) as sockets, ExitStack() as stack:
        ours = meet(checked.settings, meeting, wake, ready)
        if ours is not None:
            stack.enter_context(ours)
            _tend(_Monitor(None, ours), checked, path, sockets, wake)


@dataclass(frozen=True, slots=True)
class _Sockets:
    """What is bound before there is a front: every listener, and the control socket where it could be had."""

    bound: list[Bound]
    control: Listener | None


@contextmanager
def _ready(checked: Checked) -> Iterator[_Sockets]:
    """A process that may fork, and what it has bound: taken away at the end, unless somebody took it over."""
    os.umask(0o077)
    privileges.raise_nofile()
    with ExitStack() as stack:
        bound = listeners.bind_all(checked.settings)
        stack.callback(listeners.let_go, bound)
        control = stack.enter_context(_control(checked.settings))
        for pool in pools_of(checked.settings):
            worker.prepare(pool)
        orphans.adopt()
        privileges.seal()
        gc.freeze()  # a collection in a fork would copy every page
        yield _Sockets(bound, control)


def _tend(monitor: _Monitor, checked: Checked, path: str, sockets: _Sockets, wake: socket.socket) -> None:
    with ExitStack() as stack:
        stack.callback(monitor.end_all)
        served = Served(checked, monitor.channel, 0)
        served.bound += sockets.bound
        sockets.bound.clear()  # they are let go with the configuration that has them
        monitor.offers = Offers(served, path)
        with suppress(OSError):  # a front that is gone is seen by its end
            if sockets.control is not None:
                send(monitor.channel, Controlling(), sockets.control.socket.fileno())
            served.hand_over(path)
        monitor.run(wake)


class _Monitor:
    """`pid` of a front that is our child; None: it is a unit of its own. `offers` before anything else is called but `end_all`."""

    def __init__(self, pid: int | None, channel: socket.socket) -> None:
        self.channel = channel
        self.offers: Offers | None = None
        self._front = pid
        self._there = True
        self._deaf = False
        self._status = 0
        self._asked_to_stop = False
        self._stop_at: float | None = None

    @property
    def _serving(self) -> Offers:
        assert self.offers is not None  # noqa: S101 - as the class says
        return self.offers

    def run(self, wake: socket.socket) -> None:
        """Until the front has ended. The listeners go as soon as a stop is asked for, so that a new daemon may have their paths."""
        with selectors.DefaultSelector() as selector:
            selector.register(wake, selectors.EVENT_READ)
            selector.register(self.channel, selectors.EVENT_READ)
            bound_sends(self.channel)  # from now on: at the start the front may take its time
            while self._there:
                for key, _ in selector.select(self._pause()):
                    if key.fileobj is not self.channel:
                        self._signalled(signals.heard(wake))
                    elif not self._listen():
                        selector.unregister(self.channel)
                self._reap()
        self._judge()

    def end_all(self) -> None:
        """Nothing of the daemon outlives the monitor."""
        if self.offers is not None:
            for served in self.offers:
                served.slots.close()
            self.offers.stop()
        if self._front is not None and self._there:  # once reaped, its number may be anybody's
            with suppress(ProcessLookupError):
                os.kill(self._front, signal.SIGKILL)
        with suppress(ChildProcessError):
            while True:
                orphans.end()
                os.waitpid(-1, 0)

    def _listen(self) -> bool:
        """One frame of the front's. What is none is nobody's order, and ends nobody; False: the front has closed its end."""
        try:
            frame, descriptors = receive(self.channel, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except Malformed as error:
            say(f"a frame from the front is ignored: {error}", logging.WARNING)
            return True
        except OSError:
            return self._lost()
        for descriptor in descriptors:
            os.close(descriptor)
        return self._lost() if frame is None else self._obey(frame)

    def _obey(self, frame: Frame) -> bool:
        match frame:
            case End():
                for served in self._serving:
                    served.slots.end(frame)
            case Reload(asked):
                self._serving.reload(asked)
            case Opened():
                self._serving.opened()
            case Declined():
                self._serving.declined()
            case Serving():
                self._serving.serving()
            case Retired(first_pool):
                self._serving.retired(first_pool)
            case _:
                say(f"a frame from the front is ignored: {type(frame).__name__} is none of its own", logging.WARNING)
        return True

    def _pause(self) -> float | None:
        """Start what is missing, in a drain too: what is under way needs its workers. Seconds until there is more to do; None: no end."""
        waits = (None if self._deaf else self._serving.fill(), None if self._stop_at is None else self._time_left())
        return min((wait for wait in waits if wait is not None), default=None)

    def _lost(self) -> bool:
        """A front that has closed its channel cannot be told anything any more (rule A5)."""
        self._deaf = True
        if self._front is None:
            self._there = False
        elif self._stop_at is None:
            self._stop_at = time.monotonic() + DRAIN_MARGIN
        return False

    def _signalled(self, numbers: set[int]) -> None:
        if self._asked_to_stop:
            return
        if numbers.intersection(signals.TERMINATING):
            self._serving.stop()
            self._asked_to_stop = True
            self._stop_at = time.monotonic() + self._serving.current.settings.server.deadline + DRAIN_MARGIN
            if self._front is None:  # whoever ends the front does so by its own unit
                self._there = False
            else:
                os.kill(self._front, signal.SIGTERM)
        elif signal.SIGHUP in numbers:
            self._serving.reload(0)

    def _time_left(self) -> float:
        left = (self._stop_at or 0.0) - time.monotonic()
        if left <= 0 and self._front is not None:
            say("the front does not end; it is killed")
            os.kill(self._front, signal.SIGKILL)
        return max(left, 1.0)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._front:
                self._status, self._there = status, False
                continue
            orphans.end([self._front, *(known for served in self._serving for known in served.slots.pids())])
            for ended in [served.slots.reaped(pid, status) for served in self._serving]:
                if ended is not None:
                    with suppress(OSError):
                        send(self.channel, ended)

    def _judge(self) -> None:
        if os.WIFSIGNALED(self._status):
            number = os.WTERMSIG(self._status)
            raise FrontEnded(f"the front was ended by signal {number} ({signal.Signals(number).name}), and the daemon with it", _FAILED)
        if code := os.WEXITSTATUS(self._status):
            raise FrontEnded("", code)  # it has said why
        if not self._asked_to_stop:
            line = (
                "the front has gone, and the monitor with it" if self._front is None else "the front ended, and nobody here had asked it to"
            )
            raise FrontEnded(line, _FAILED)


@contextmanager
def _control(settings: Settings) -> Iterator[Listener | None]:
    """The control socket while the monitor lives; None where it cannot be had: logins come first."""
    try:
        control = listeners.bind_control(settings)
    except (ListenError, OSError) as error:
        say(f"no control socket, so `status` and `reload` will not work: {error}", logging.WARNING)
        yield None
        return
    try:
        yield control
    finally:
        listeners.unlink_own(control)
        control.socket.close()
