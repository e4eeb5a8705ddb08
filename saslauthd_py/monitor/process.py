"""The monitor: one thread that waits for its children, its front and its service manager, and does what only root can (rule A1)."""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from saslauthd_py import listeners, privileges
from saslauthd_py.config.load import Checked
from saslauthd_py.config.settings import WorkerSettings
from saslauthd_py.listeners import Bound
from saslauthd_py.monitor import front, worker
from saslauthd_py.monitor.channel import pair, receive, send
from saslauthd_py.monitor.slots import Slots
from saslauthd_py.wire.monitor import Begin, Configuration, End, Frame, Listening, Malformed, Serving, Working

DRAIN_MARGIN = 5.0
"""Seconds that a front may take to end after its own deadline for what is under way."""

_TERMINATING = (signal.SIGTERM, signal.SIGINT)
_SIGNALS = (*_TERMINATING, signal.SIGHUP, signal.SIGCHLD)
_FAILED = 70


class FrontEnded(Exception):
    """The front ended, and with it the daemon. `code` is what it exited with; after its own line, if it had one to say."""

    def __init__(self, line: str, code: int) -> None:
        super().__init__(line)
        self.code = code


def serve(checked: Checked, path: str) -> None:
    """Run the daemon with this configuration, read from `path`, until SIGTERM or SIGINT and what was under way is answered.

    As root, before any thread is started. Raises ListenError, PrivilegeError, PamUnusable before anybody is served; FrontEnded.
    """
    os.umask(0o077)
    privileges.raise_nofile()
    settings = checked.settings
    pools = tuple(one for one in settings.backend.values() if isinstance(one, WorkerSettings))
    ids = listeners.daemon_ids(settings)
    with _signals() as wake, ExitStack() as stack:
        bound = listeners.bind_all(settings)
        stack.callback(listeners.let_go, bound)
        for pool in pools:
            worker.prepare(pool)
        privileges.seal()
        gc.freeze()  # a collection in a fork would copy every page
        ours, theirs = pair()
        stack.enter_context(ours)
        with theirs:
            pid = front.start(ids, (ours, theirs))
        monitor = _Monitor(pid, ours, pools)
        stack.callback(monitor.end_all)
        monitor.hand_over(checked.text, path, bound)
        monitor.run(wake, bound, settings.server.deadline + DRAIN_MARGIN)


class _Monitor:
    def __init__(self, pid: int, channel: socket.socket, pools: tuple[WorkerSettings, ...]) -> None:
        self._front: int | None = pid
        self._status = 0
        self._channel = channel
        self._slots = Slots(pools, self._hand_worker)
        self._asked_to_stop = False
        self._stop_at: float | None = None

    def hand_over(self, text: str, path: str, bound: list[Bound]) -> None:
        """All that the front needs before it can begin. A front that is gone is seen by its end."""
        with suppress(OSError):
            with _in_memory(text) as descriptor:
                send(self._channel, Configuration(os.fsencode(path)), descriptor)
            for place, one in enumerate(bound):
                send(self._channel, Listening(place), one.socket.fileno())
            self._slots.fill()
            send(self._channel, Begin())

    def run(self, wake: socket.socket, bound: list[Bound], patience: float) -> None:
        """Until the front has ended. `bound` are taken away as soon as a stop is asked for, so that a new daemon may have them."""
        with selectors.DefaultSelector() as selector:
            selector.register(wake, selectors.EVENT_READ)
            selector.register(self._channel, selectors.EVENT_READ)
            while self._front is not None:
                again = self._slots.fill() if self._stop_at is None else self._time_left()
                for key, _ in selector.select(again):
                    if key.fileobj is self._channel:
                        if not self._listen():
                            selector.unregister(self._channel)
                    else:
                        self._signalled(_heard(wake), bound, patience)
                self._reap()
        self._judge()

    def end_all(self) -> None:
        """Nothing of the daemon outlives the monitor."""
        self._slots.kill_all()
        if self._front is not None:
            with suppress(ProcessLookupError):
                os.kill(self._front, signal.SIGKILL)
        with suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)

    def _hand_worker(self, frame: Working, end: socket.socket) -> None:
        with suppress(OSError):  # the front is gone: its end comes next, and the worker sees the same
            send(self._channel, frame, end.fileno())

    def _listen(self) -> bool:
        """One frame of the front's. What is none is nobody's order, and ends nobody; False: the front has closed its end."""
        try:
            frame, descriptors = receive(self._channel, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except Malformed as error:
            _say(f"a frame from the front is ignored: {error}")
            return True
        except OSError:
            return self._lost()
        for descriptor in descriptors:
            os.close(descriptor)
        return self._obey(frame)

    def _obey(self, frame: Frame | None) -> bool:
        match frame:
            case None:
                return self._lost()
            case End():
                self._slots.end(frame)
            case Serving():
                pass
            case _:
                _say(f"a frame from the front is ignored: {type(frame).__name__} is none of its own")
        return True

    def _lost(self) -> bool:
        """A front that has closed its channel cannot be told anything any more (rule A5)."""
        if self._front is not None and self._stop_at is None:
            self._stop_at = time.monotonic() + DRAIN_MARGIN
        return False

    def _signalled(self, numbers: set[int], bound: list[Bound], patience: float) -> None:
        if self._front is None:
            return
        if signal.SIGHUP in numbers:
            os.kill(self._front, signal.SIGHUP)
        if not self._asked_to_stop and numbers.intersection(_TERMINATING):
            listeners.let_go(bound)
            self._asked_to_stop = True
            self._stop_at = time.monotonic() + patience
            os.kill(self._front, signal.SIGTERM)

    def _time_left(self) -> float:
        left = (self._stop_at or 0.0) - time.monotonic()
        if left <= 0 and self._front is not None:
            _say("the front does not end; it is killed")
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
                self._front, self._status = None, status
            elif ended := self._slots.reaped(pid, status):
                with suppress(OSError):
                    send(self._channel, ended)

    def _judge(self) -> None:
        if os.WIFSIGNALED(self._status):
            number = os.WTERMSIG(self._status)
            raise FrontEnded(f"the front was ended by signal {number} ({signal.Signals(number).name}), and the daemon with it", _FAILED)
        if code := os.WEXITSTATUS(self._status):
            raise FrontEnded("", code)  # it has said why
        if not self._asked_to_stop:
            raise FrontEnded("the front ended although nobody asked it to", _FAILED)


@contextmanager
def _signals() -> Iterator[socket.socket]:
    """Every signal that matters as a byte to read. They are noted from here on, and by nobody else's handler."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for end in (ours, theirs):
            end.setblocking(False)
        before = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}
        signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        try:
            yield ours
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)


def _heard(wake: socket.socket) -> set[int]:
    try:
        return set(wake.recv(4096))
    except BlockingIOError:
        return set()


@contextmanager
def _in_memory(text: str) -> Iterator[int]:
    """A descriptor of a file that nobody else can open or change, positioned at its start."""
    descriptor = os.memfd_create("configuration", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(text.encode())
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _say(line: str) -> None:
    """To standard error: the front keeps the log, and this is what it cannot tell itself."""
    os.write(2, f"saslauthd-py: {line}\n".encode())
