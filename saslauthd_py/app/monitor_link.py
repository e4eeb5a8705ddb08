"""The front's end of the monitor's channel: what is handed over at the start, workers that come and go, and the monitor's end."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass

import trio

from saslauthd_py.app.start import StartError
from saslauthd_py.config.load import parse
from saslauthd_py.config.settings import Settings
from saslauthd_py.listeners import Bound
from saslauthd_py.monitor.channel import receive, send
from saslauthd_py.wire.monitor import Begin, Configuration, End, Ended, Frame, Listening, Malformed, Serving, Working
from saslauthd_py.workers import Worker, Workers

_logger = logging.getLogger(__name__)


class MonitorGone(Exception):
    """The monitor has ended: nobody would replace a worker any more. The service manager starts both again (rule A5)."""


@dataclass(frozen=True, slots=True)
class Handed:
    """All that the front begins with. `workers` are named by the backend's place among those that have some."""

    settings: Settings
    bound: list[Bound]
    workers: list[tuple[int, Worker]]


class MonitorLink:
    """One channel. Made from its descriptor, which is this object's then."""

    def __init__(self, descriptor: int) -> None:
        self._channel = socket.socket(fileno=descriptor)
        self._channel.set_inheritable(False)

    def take_over(self) -> Handed:
        """Wait for the configuration, the listeners and the first workers. Raises StartError, ConfigurationError."""
        settings: Settings | None = None
        sockets: dict[int, socket.socket] = {}
        workers: list[tuple[int, Worker]] = []
        while True:
            frame, descriptors = self._next()
            match frame, descriptors:
                case Configuration(path), [descriptor]:
                    settings = _read(descriptor, os.fsdecode(path))
                case Listening(place), [descriptor]:
                    sockets[place] = socket.socket(fileno=descriptor)
                case Working(), [descriptor]:
                    workers.append(_worker(frame, descriptor))
                case Begin(), []:
                    break
                case _:
                    raise StartError("the monitor sent what nobody expects: this is a fault of the program")
        self._channel.setblocking(False)
        if settings is None or sorted(sockets) != list(range(len(settings.listen))):
            raise StartError("the monitor did not hand over every listener: this is a fault of the program")
        bound = [Bound(listen, sockets[place]) for place, listen in enumerate(settings.listen)]
        return Handed(settings, bound, workers)

    def serving(self) -> None:
        """Tell the monitor that every listener answers."""
        self._send(Serving())

    def end(self, frame: End) -> None:
        """Have a worker replaced. Never waits."""
        self._send(frame)

    async def attend(self, pools: Sequence[Workers]) -> None:
        """Take workers for these backends, in the monitor's order, as they come. Raises MonitorGone; a frame that is none is ignored."""
        while True:
            await trio.lowlevel.wait_readable(self._channel)
            try:
                frame, descriptors = receive(self._channel, socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue
            except Malformed as error:  # the worker in it sees its end closed, and the monitor replaces it
                _logger.error("a frame from the monitor is ignored: %s", error)
                continue
            except OSError:
                frame, descriptors = None, []
            if frame is None:
                raise MonitorGone("the monitor is gone")
            _take(frame, descriptors, pools)

    def _next(self) -> tuple[Frame, list[int]]:
        try:
            frame, descriptors = receive(self._channel)
        except (OSError, Malformed) as error:
            raise StartError(f"nothing usable came from the monitor: {error}") from error
        if frame is None:
            raise StartError("the monitor ended before the front could begin")
        return frame, descriptors

    def _send(self, frame: Frame) -> None:
        try:
            send(self._channel, frame)
        except BlockingIOError:
            _logger.error("the monitor does not read what it is told (%s)", type(frame).__name__)
        except OSError:  # it is gone, which `attend` sees
            return


def _take(frame: Frame, descriptors: list[int], pools: Sequence[Workers]) -> None:
    match frame, descriptors:
        case Working(pool), [descriptor] if pool < len(pools):
            pools[pool].add(_worker(frame, descriptor)[1])
        case Ended(pool, slot, status), [] if pool < len(pools):
            _logger.warning("backend %s: worker %d %s", pools[pool].name, slot, _how(status))
        case _:
            _logger.error("the monitor sent what nobody expects: %s", type(frame).__name__)
            for descriptor in descriptors:
                with contextlib.suppress(OSError):
                    os.close(descriptor)


def _worker(frame: Working, descriptor: int) -> tuple[int, Worker]:
    channel = socket.socket(fileno=descriptor)
    channel.setblocking(False)
    return frame.pool, Worker(frame.slot, frame.generation, channel)


def _read(descriptor: int, path: str) -> Settings:
    with open(descriptor, encoding="utf-8") as file:
        return parse(file.read(), path)


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"was ended by signal {os.WTERMSIG(status)}: a module crashed"
    return f"ended by itself with status {os.waitstatus_to_exitcode(status)}: a module called exit, or it was sent no call"
