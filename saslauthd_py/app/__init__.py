"""The composition root: a configuration becomes backends, an authenticator and a front, which serve until a signal ends them."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager

import trio

from saslauthd_py import __version__, identity, passwords, privileges
from saslauthd_py.app.start import Bound, StartError, bind, check_log, check_sockets, drop, let_go, open_log, start_errors
from saslauthd_py.authenticator import Authenticator, Decision, Question
from saslauthd_py.backend import Attempt
from saslauthd_py.backends.store import StoreBackend, StoreOptions
from saslauthd_py.cache import Cache
from saslauthd_py.config.settings import Settings, StoreSettings
from saslauthd_py.credential import service_word
from saslauthd_py.front.connections import Connections
from saslauthd_py.front.held import Held
from saslauthd_py.front.loop import Loop
from saslauthd_py.front.record import Record
from saslauthd_py.front.saslauthd import Front, PortSettings, SaslauthdPort
from saslauthd_py.hashing import Hashing
from saslauthd_py.log.output import Handler, Output
from saslauthd_py.metrics import Counters
from saslauthd_py.notify import Notifier
from saslauthd_py.routing import Member, Next, Route, Routes
from saslauthd_py.store.errors import StoreError
from saslauthd_py.store.watch import Watch
from saslauthd_py.wire import saslauthd as wire

__all__ = ["StartError", "check", "decide_directly", "serve"]

_logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

SWITCH_INTERVAL = 0.0005
"""Seconds that a thread may keep the interpreter from the loop; Python's own 5 ms would be a visible part of a login."""

SPARE_DESCRIPTORS = 64
"""For the store, the log, threads and listeners, beside the clients."""


def serve(settings: Settings) -> None:
    """Run the daemon until SIGTERM or SIGINT. Raises StartError before READY was said; after that it returns when all is drained.

    Started as root, it binds its listeners and then drops to `[server] user` for good (rule A2).
    """
    signal.signal(signal.SIGHUP, lambda *_: None)  # from the first line on: a reload that comes too early must not end us (rule E9)
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # in all threads; they wait for the one place that knows what to do with them
    os.umask(0o077)
    sys.setswitchinterval(SWITCH_INTERVAL)
    descriptors = privileges.raise_nofile()
    with start_errors(), ExitStack() as stack:
        bound = bind(settings)
        stack.callback(let_go, bound)
        identity.preload()
        passwords.preload()
        drop(settings)  # from here on there may be nothing to import any more
        output = open_log(settings)
        stack.callback(output.writer.close)
        stack.enter_context(_logging_to(output))
        watches = {name: stack.enter_context(_watch(name, backend)) for name, backend in settings.backend.items()}
        if descriptors < settings.server.max_connections + SPARE_DESCRIPTORS:
            _logger.warning("%d descriptors are too few for max_connections: set LimitNOFILE=65536 in the unit", descriptors)
        most = min(settings.server.max_connections, max(descriptors - SPARE_DESCRIPTORS, 1))
        trio.run(_Daemon(settings, bound, watches, output, most).run, restrict_keyboard_interrupt_to_checkpoints=True)


def check(settings: Settings) -> None:
    """Try what `serve` would do, serve nothing, and leave nothing behind but the daemon's user. Raises StartError."""
    with start_errors(), ExitStack() as stack:
        check_sockets(settings)
        identity.preload()
        passwords.preload()
        drop(settings)
        check_log(settings)
        for name, backend in settings.backend.items():
            stack.enter_context(_watch(name, backend))


def decide_directly(settings: Settings, request: wire.Request, listener: str) -> Decision:
    """The decision that a daemon with these settings would make, in this process, without a delay. Raises StartError, InvalidIdentity."""

    async def decide() -> Decision:
        name = identity.parse(request.login, request.realm, settings.identity.default_realm)
        trusted = any(listen.trusts_addresses for listen in settings.listen if listen.path == listener)
        address = wire.client_address(request) if trusted else None
        attempt = Attempt(name, request.secret, service_word(request.service.decode("utf-8", "backslashreplace")), address)
        async with _authenticating(settings, watches) as (authenticator, cache, _):
            key = cache.state(0)
            key.update(wire.encode(request))
            return await authenticator.verify(Question(attempt, listener, key.digest()))

    with start_errors(), ExitStack() as stack:
        watches = {name: stack.enter_context(_watch(name, backend)) for name, backend in settings.backend.items()}
        return trio.run(decide)


@asynccontextmanager
async def _authenticating(settings: Settings, watches: dict[str, Watch]) -> AsyncIterator[tuple[Authenticator, Cache, list[StoreBackend]]]:
    """Authenticator, cache and backends, with the nursery that runs flights and rehashes."""
    hashing = Hashing()
    async with trio.open_nursery() as nursery:
        members, stores = {}, []
        for name, backend in settings.backend.items():
            options = StoreOptions(backend.login, backend.fold_case, backend.scheme, backend.rehash)
            store = StoreBackend(backend.path, watches[name], hashing, nursery, options)
            stores.append(store)
            limit = trio.CapacityLimiter(backend.parallel)
            members[name] = Member(name, store, limit, backend.cache, frozenset(backend.services), store, store.used)
        watched = [(member.name, member.watched) for member in members.values() if member.watched is not None]
        cache = Cache(settings.cache.max_entries, time.monotonic, watched)
        yield Authenticator(_routes(settings, members), cache, nursery, settings.server.deadline), cache, stores
        nursery.cancel_scope.cancel()


def _routes(settings: Settings, members: dict[str, Member]) -> Routes:
    return Routes(
        Route(
            realms=frozenset(route.realm),
            services=frozenset(route.service),
            listeners=frozenset(route.listener),
            members=tuple(members[name] for name in route.backends),
            next_on=frozenset(Next(word) for word in route.next_on),
        )
        for route in settings.route
    )


class _Daemon:
    """One run of the front, from READY to the last reply."""

    def __init__(self, settings: Settings, bound: list[Bound], watches: dict[str, Watch], output: Output, most: int) -> None:
        self._most = most  # connections: what is configured, or what the descriptors allow
        self._settings = settings
        self._bound = bound
        self._watches = watches
        self._output = output
        self._notifier = Notifier.from_environment(os.environ)
        self._record = Record(output, Counters())

    async def run(self) -> None:
        server = self._settings.server
        loop = Loop(Connections(self._most, server.max_connections_per_peer), self._pulse)
        async with _authenticating(self._settings, self._watches) as (authenticator, cache, stores), trio.open_nursery() as nursery:
            for store in stores:
                nursery.start_soon(store.keep_house)
            front = Front(loop, authenticator, cache, self._record, nursery)
            helds = [self._add(number, bound, front) for number, bound in enumerate(self._bound)]
            nursery.start_soon(loop.serve)
            if self._notifier.watchdog_interval:
                nursery.start_soon(_beat, loop, self._notifier.watchdog_interval)
            await self._until_stopped()
            loop.stop_listening()
            let_go(self._bound)
            for held in helds:
                held.release()
            with trio.move_on_after(server.deadline) as draining:
                await loop.drained()
            if draining.cancelled_caught:
                _logger.warning("stopped with %d clients unanswered after %g s", loop.connections.whole(), server.deadline)
            nursery.cancel_scope.cancel()
        loop.shut()
        _logger.info("stopped; since the start: %s", self._record.counters)

    def _add(self, number: int, bound: Bound, front: Front) -> Held:
        server, listen = self._settings.server, bound.settings
        settings = PortSettings(
            number=number,
            path=listen.path,
            deadline=server.deadline,
            allowed=bound.allowed,
            trusted=listen.trusts_addresses,
            limits=wire.COMPAT_LIMITS if server.compat_limits else wire.LIMITS,
            default_realm=self._settings.identity.default_realm,
        )
        held = Held(self._settings.failure.delay, self._settings.failure.max_held_per_listener)
        front.loop.add(bound.socket, SaslauthdPort(bound.socket, settings, front, held))
        return held

    async def _until_stopped(self) -> None:
        for one in _SIGNALS:  # what trio puts back when it has its signal: a second one does not cut the drain short
            signal.signal(one, lambda *_: None)
        with trio.open_signal_receiver(*_SIGNALS) as signals:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            gc.collect()
            gc.freeze()  # what lives as long as the daemon is never walked again: a full collection is a pause for every login
            paths = ", ".join(one.settings.path for one in self._bound)
            _logger.info("saslauthd-py %s serves %s", __version__, paths)
            self._notifier.ready(f"serving {paths}")
            async for number in signals:
                if number != signal.SIGHUP:
                    _logger.info("%s: draining", signal.Signals(number).name)
                    self._notifier.stopping()
                    return
                _logger.warning("SIGHUP: nothing is read anew; restart the daemon to change its configuration")

    def _pulse(self) -> None:
        self._notifier.watchdog()


async def _beat(loop: Loop, interval: float) -> None:
    while True:
        loop.beat()
        await trio.sleep(interval)


@contextmanager
def _watch(name: str, backend: StoreSettings) -> Iterator[Watch]:
    try:
        watch = Watch(backend.path)
    except StoreError as error:
        raise StartError(f"backend {name}: {error}") from error
    try:
        yield watch
    finally:
        watch.close()


@contextmanager
def _logging_to(output: Output) -> Iterator[None]:
    handler = Handler(output)
    root = logging.getLogger("saslauthd_py")
    root.addHandler(handler)
    root.setLevel(output.level)
    root.propagate = False
    try:
        yield
    finally:
        root.removeHandler(handler)
