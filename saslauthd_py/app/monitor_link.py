"""The front's end of the monitor's channel: what is handed over at the start and at a reload, workers that come and go, and its end."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

import trio

from saslauthd_py.app.start import StartError
from saslauthd_py.monitor.channel import receive, send
from saslauthd_py.privileges import peer_ids
from saslauthd_py.wire.monitor import (
    Begin,
    Configuration,
    Controlling,
    Declined,
    End,
    Ended,
    Failed,
    Frame,
    Listening,
    Malformed,
    Opened,
    Reload,
    Retired,
    Serving,
    Switch,
    Working,
)
from saslauthd_py.workers import Worker, Workers

_logger = logging.getLogger(__name__)

_LONGEST_TEXT = 8000


class MonitorGone(Exception):
    """The monitor has ended: nobody would replace a worker any more. The service manager starts both again (rule A5)."""


@dataclass(slots=True)
class Offer:
    """A configuration as the monitor hands it over. `failed`: why it cannot be used, and then there is nothing else in it.

    `asked`: the request that it answers, 0 where nobody in the front asked. `sockets` by the place of their [[listen]]; at a reload
    only those that are new, once `switch` is set. `workers` by the number of their backend.
    """

    asked: int = 0
    text: str = ""
    path: str = ""
    first_pool: int = 0
    failed: str | None = None
    sockets: dict[int, socket.socket] = field(default_factory=dict)
    control: socket.socket | None = None
    workers: list[tuple[int, Worker]] = field(default_factory=list)
    begun: bool = False
    switch: trio.Event = field(default_factory=trio.Event)

    def failure(self) -> str | None:
        """Why it cannot be used, as far as is known now."""
        return self.failed

    def discard(self) -> None:
        """It will not be used: close what came with it."""
        for listener in self.sockets.values():
            listener.close()
        for _, worker in self.workers:
            worker.channel.close()
        self.sockets.clear()
        self.workers.clear()


class MonitorLink:
    """One channel. Made from its descriptor, which is this object's then. `offers` are the reloads, as they come; `pid` is the monitor's,
    whether it has started this process or was met.
    """

    def __init__(self, descriptor: int) -> None:
        self._channel = socket.socket(fileno=descriptor)
        self._channel.set_inheritable(False)
        self.pid = peer_ids(self._channel).pid
        self._send_offer, self.offers = trio.open_memory_channel[Offer](math.inf)
        self._offer: Offer | None = None
        self._pools: dict[int, Workers] = {}

    def take_over(self) -> Offer:
        """Wait for the configuration, the listeners and the first workers. Raises StartError."""
        offer = Offer()
        while True:
            frame, descriptors = self._next()
            match frame, descriptors:
                case Configuration(), [descriptor]:
                    _read(offer, frame, descriptor)
                case Listening(place), [descriptor]:
                    offer.sockets[place] = socket.socket(fileno=descriptor)
                case Controlling(), [descriptor]:
                    offer.control = socket.socket(fileno=descriptor)
                case Working(), [descriptor]:
                    offer.workers.append(_worker(frame, descriptor))
                case Begin(), []:
                    break
                case _:
                    raise StartError("the monitor sent what nobody expects: this is a fault of the program")
        self._channel.setblocking(False)
        return offer

    def serving(self) -> None:
        """Tell the monitor that every listener answers."""
        self._send(Serving())

    def end(self, frame: End) -> None:
        """Have a worker replaced. Never waits."""
        self._send(frame)

    def reload(self, asked: int) -> None:
        """Have the configuration read again: an offer of this number comes, perhaps after others."""
        self._send(Reload(asked))

    def opened(self) -> None:
        """The offer could be opened: its listeners may be bound, and `switch` is set."""
        self._send(Opened())

    def declined(self, why: str) -> None:
        """The offer cannot be opened."""
        self._offer = None
        self._send(Declined(why.encode()[:_LONGEST_TEXT]))

    def adopt(self, first_pool: int, pools: list[Workers]) -> None:
        """These take the workers that come for the backends from this number on."""
        self._pools.update(enumerate(pools, first_pool))

    def disown(self, first_pool: int, count: int) -> None:
        """No worker is wanted for the backends of these numbers."""
        for number in range(first_pool, first_pool + count):
            self._pools.pop(number, None)

    def retired(self, first_pool: int, count: int) -> None:
        """The backends of these numbers are asked no more."""
        self.disown(first_pool, count)
        if count:  # else the number is that of the next configuration's first backend
            self._send(Retired(first_pool))

    async def attend(self) -> None:
        """Take what comes. Raises MonitorGone; a frame that is none is ignored."""
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
            if not self._take(frame, descriptors):
                _logger.error("the monitor sent what nobody expects: %s", type(frame).__name__)
                for descriptor in descriptors:
                    with contextlib.suppress(OSError):
                        os.close(descriptor)

    def _take(self, frame: Frame, descriptors: list[int]) -> bool:
        match frame, descriptors:
            case Working(pool), [descriptor]:
                return self._take_worker(pool, frame, descriptor)
            case Ended(pool, slot, status), []:
                _say_ended(self._pools, pool, slot, status)
            case Configuration(), [descriptor]:
                self._offer = _read(Offer(), frame, descriptor)
            case Begin(), [] if self._offer is not None:
                self._offer.begun = True
                self._send_offer.send_nowait(self._offer)
            case Listening(place), [descriptor] if self._offer is not None:
                self._offer.sockets[place] = socket.socket(fileno=descriptor)
            case Switch(), [] if self._offer is not None:
                self._offer.switch.set()
                self._offer = None
            case Failed(text, asked), []:
                self._fail(text.decode("utf-8", "replace"), asked)
            case _:
                return False
        return True

    def _take_worker(self, pool: int, frame: Working, descriptor: int) -> bool:
        if pool in self._pools:
            self._pools[pool].add(_worker(frame, descriptor)[1])
        elif self._offer is not None:
            self._offer.workers.append(_worker(frame, descriptor))
        else:  # of a configuration that has just been left
            os.close(descriptor)
        return True

    def _fail(self, why: str, asked: int) -> None:
        """A reload ends without a new configuration: the one that the front has opened, or none that it could."""
        if self._offer is not None and self._offer.asked == asked:
            self._offer.failed = why
            self._offer.switch.set()
            if not self._offer.begun:
                self._send_offer.send_nowait(self._offer)
            self._offer = None
        else:
            self._send_offer.send_nowait(Offer(asked, failed=why))

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


def _worker(frame: Working, descriptor: int) -> tuple[int, Worker]:
    channel = socket.socket(fileno=descriptor)
    channel.setblocking(False)
    return frame.pool, Worker(frame.slot, frame.generation, channel)


def _read(offer: Offer, frame: Configuration, descriptor: int) -> Offer:
    with open(descriptor, encoding="utf-8") as file:
        offer.text = file.read()
    offer.path, offer.first_pool, offer.asked = os.fsdecode(frame.path), frame.first_pool, frame.asked
    return offer


def _say_ended(pools: Mapping[int, Workers], pool: int, slot: int, status: int) -> None:
    how = f"ended by itself with status {os.waitstatus_to_exitcode(status)}: a module called exit, or it was sent no call"
    if os.WIFSIGNALED(status):
        how = f"was ended by signal {os.WTERMSIG(status)}: a module crashed"
    name = pools[pool].name if pool in pools else "of before"
    _logger.warning("backend %s: worker %d %s", name, slot, how)
