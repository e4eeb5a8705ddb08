"""One configuration at work: its backends, its authenticator, its ports; from the moment it counts until its last request is answered.

A request finishes on the configuration that it began with (rule H1). So for a while there are two, and neither knows of the other.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import trio

from saslauthd_py.app.composition import Composed, Resources, Shared, composed, worker_names
from saslauthd_py.app.offering import offered
from saslauthd_py.app.trial import dialect
from saslauthd_py.config.settings import Listen, Settings
from saslauthd_py.config.settings.listen import IN_CLEAR
from saslauthd_py.front.dovecot import DovecotPort, Reading
from saslauthd_py.front.held import Held
from saslauthd_py.front.loop import BATCH, Loop
from saslauthd_py.front.one_request import OneRequestPort
from saslauthd_py.front.ports import Front, PortSettings
from saslauthd_py.front.record import Record
from saslauthd_py.listeners import BACKLOG, Bound, allowed_ids, allowed_networks
from saslauthd_py.log.output import Output
from saslauthd_py.workers import Workers

_logger = logging.getLogger(__name__)

LOOKED_UP_BEFORE = 1.0
"""Seconds in which a client may still connect to a listener whose name is gone: it has looked the name up before (rule H1)."""

OFFERING = 10.0
"""Seconds between two looks at which mechanisms a listener can offer."""

COUNTING = 0.2
"""Seconds that a start waits to know who has SCRAM keys. Whoever connects before that is known, is not offered it."""

RECOUNTING = 0.5
"""Seconds that a failed login by keys may wait to know whether everybody has some: less than it is held back."""

UNCOUNTED = "accounts have changed, and are being counted"

HELD_LONGEST = 6.0
"""Seconds beyond the deadline that an answer may be held back: a module's delay, and the work that a no pretends."""


class Generation:
    """`number` counts the configurations of a run from 1; `resources` are closed by `stack`, which is this object's, at its end."""

    def __init__(self, number: int, settings: Settings, resources: Resources, stack: ExitStack, first_pool: int = 0) -> None:
        self.number = number
        self.settings = settings
        self.resources = resources
        self.first_pool = first_pool
        self.bound: list[Bound] = []
        self.ports: dict[OneRequestPort | DovecotPort, socket.socket] = {}
        self.output: Output | None = None
        self._helds: list[Held] = []
        self._trials: set[trio.Event] = set()
        self._stack = stack
        self._retired = trio.Event()
        self._counted = trio.Event()
        self._parts: Composed | None = None
        self._nursery: trio.Nursery | None = None

    @property
    def parts(self) -> Composed:
        """What decides. Once `serve` has begun."""
        assert self._parts is not None  # noqa: S101 - as the docstring says
        return self._parts

    @property
    def pools(self) -> list[Workers]:
        """The workers of its backends, in the order in which the monitor counts them."""
        return [self.resources.workers[name] for name in worker_names(self.settings)]

    async def serve(self, loop: Loop, shared: Shared, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """From the opening of its backends until it is retired and has answered all. Its resources are closed then, also when cancelled."""
        with self._stack:
            async with composed(self.settings, self.resources, shared) as parts, trio.open_nursery() as nursery:
                self._parts, self._nursery = parts, nursery
                for keep in (*parts.keepers, self._offer):
                    nursery.start_soon(keep)
                with trio.move_on_after(COUNTING):
                    await self._counted.wait()
                task_status.started()
                await self._retired.wait()
                with trio.move_on_after(self.settings.server.deadline + HELD_LONGEST) as leaving:
                    await loop.left(self.ports)
                    for port in self._dovecot_ports():
                        await port.answered()
                    for trial in tuple(self._trials):
                        await trial.wait()
                if leaving.cancelled_caught:
                    _logger.warning("configuration %d: some clients were not answered before its end", self.number)
                for connection in loop.connections.all():
                    if connection.port in self.ports:
                        loop.close(connection)
                for port in self._dovecot_ports():
                    port.give_up()
                nursery.cancel_scope.cancel()

    def begin(self, loop: Loop, record: Record, before: Generation | None) -> None:
        """Take over every listener: those that `before` has too at once, so that nobody who connects is turned away. Never waits."""
        assert self._nursery is not None  # noqa: S101 - `serve` has begun
        front = Front(loop, self.parts.authenticator, self.parts.cache, record, self._nursery)
        self.output = record.output
        served = {one: port for port, one in before.ports.items()} if before else {}
        for number, bound in enumerate(self.bound):
            port = self._port(number, bound, front)
            if isinstance(port, DovecotPort):
                port.offer(offered(bound.settings, self.parts.routes).mechanisms)
            if bound.socket in served:
                loop.replace(served[bound.socket], port)
            else:
                loop.add(bound.socket, port)
                if bound.settings.exposed:
                    _logger.warning("listener %s: %s", bound.settings.name, IN_CLEAR)
            self.ports[port] = bound.socket
            record.counters.serves(bound.settings.name, bound.settings.protocol)

    @contextlib.contextmanager
    def trying(self) -> Iterator[None]:
        """A login that no client of its ports has sent: its end waits for this block too."""
        ended = trio.Event()
        self._trials.add(ended)
        try:
            yield
        finally:
            self._trials.discard(ended)
            ended.set()

    def retire(self) -> None:
        """It gets no new request from here on."""
        self._retired.set()

    def release(self) -> None:
        """The daemon is stopping: what is held back goes out now."""
        for held in self._helds:
            held.release()

    async def leave(self, loop: Loop, kept: set[socket.socket]) -> None:
        """Serve the listeners that the next configuration does not have for a while, close them, and retire."""
        gone = {port: listener for port, listener in self.ports.items() if listener not in kept}
        if gone:
            await trio.sleep(LOOKED_UP_BEFORE)
        for port, listener in gone.items():
            if listener.family == socket.AF_UNIX:  # a TCP backlog would be reset
                with contextlib.suppress(OSError):
                    listener.shutdown(socket.SHUT_RD)  # from now on connect(2) fails at once; who waits in the backlog is still served
            for _ in range(BACKLOG // BATCH + 1):  # not until one reads nothing: a whole round of clients may be silent yet
                port.round()
                port.settle()
                await trio.lowlevel.checkpoint()
            loop.remove(port)
            port.retire(None)
            listener.close()
        self.retire()

    async def _offer(self) -> None:
        """Whether everybody can use SCRAM changes with the accounts."""
        while True:
            with trio.move_on_after(OFFERING):
                await self._count()
            self._counted.set()
            for port in self._dovecot_ports():
                if not port.retired:
                    port.offer(offered(port.reading.listen, self.parts.routes).mechanisms)
            await trio.sleep(OFFERING)

    async def _count(self) -> None:
        for count in self.parts.counts:
            await count()

    async def _withheld(self, listen: Listen, mechanism: str) -> str:
        if listen.mechanisms is not None:
            return ""
        with trio.move_on_after(RECOUNTING):
            await self._count()
        why = offered(listen, self.parts.routes).withheld.get(mechanism, "")
        return why or ("" if all(member.keyed.counted for member in self.parts.members.values() if member.keyed) else UNCOUNTED)

    def _dovecot_ports(self) -> list[DovecotPort]:
        return [port for port in self.ports if isinstance(port, DovecotPort)]

    def _port(self, number: int, bound: Bound, front: Front) -> OneRequestPort | DovecotPort:
        listen = bound.settings
        networks = allowed_networks(listen)
        admits = networks.allow if networks is not None else None
        withheld = partial(self._withheld, listen)
        settings = PortSettings(number, listen.name, self.settings.server.deadline, allowed_ids(listen), admits, withheld)
        held = Held(self.settings.failure.delay, self.settings.failure.max_held_per_listener)
        self._helds.append(held)
        if listen.protocol == "dovecot":
            return DovecotPort(bound.socket, Reading(listen, self.settings.identity.default_realm), settings, front, held)
        return OneRequestPort(bound.socket, dialect(self.settings, listen), settings, front, held)
