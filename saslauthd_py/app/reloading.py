"""Reloads, one after the other: a new configuration is read, opened and bound, and counts only when all of that could be done (rule H1)."""

from __future__ import annotations

import logging
import math
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Protocol

import trio

from saslauthd_py import listeners
from saslauthd_py.app.composition import opened
from saslauthd_py.app.exporting import Exporting
from saslauthd_py.app.generation import Generation
from saslauthd_py.app.monitor_link import MonitorLink, Offer
from saslauthd_py.app.start import StartError, hardly_meant, open_log
from saslauthd_py.config.load import Checked, ConfigurationError, check, check_text
from saslauthd_py.config.settings import Settings
from saslauthd_py.listeners import Bound, ListenError
from saslauthd_py.log.output import Output
from saslauthd_py.privileges import PrivilegeError

_logger = logging.getLogger(__name__)

_REFUSALS = (ConfigurationError, StartError, ListenError, PrivilegeError)


class ReloadFailed(Exception):
    """The configuration of before serves on. The text has a line for each fault of the new one."""


@dataclass(frozen=True, slots=True)
class Extras:
    """What comes with a configuration where it says another thing than the one before: its log, its address for metrics."""

    output: Output | None = None
    exporting: Exporting | None = None

    def close(self) -> None:
        """It will not count."""
        if self.output is not None:
            self.output.close()
        if self.exporting is not None:
            self.exporting.close()


class Switching(Protocol):
    """The daemon, as far as a reload needs it."""

    @property
    def current(self) -> Generation:
        """The configuration that new requests meet."""

    async def switch(self, new: Generation, extras: Extras) -> str:
        """Have it take every request from now on. Returns as `reopen_log`, where the log stays."""

    def reopen_log(self) -> str:
        """Write on in the file that has the log's name now: logrotate(8) may have moved the other one.

        Where that cannot be opened: the line that was logged, and all goes on as before; else nothing.
        """


@dataclass(slots=True)
class _Waiter:
    ended: trio.Event = field(default_factory=trio.Event)
    failed: str | None = None
    warnings: tuple[str, ...] = ()


class Reloading:
    """All reloads of one run. `path`: the file that is read again; where there is a monitor, by that. `failed`: the last was refused."""

    def __init__(self, daemon: Switching, path: str, monitor: MonitorLink | None) -> None:
        self._daemon = daemon
        self._path = path
        self._monitor = monitor
        self._waiting: dict[int, _Waiter] = {}
        self._asked = 0
        self.failed = False
        self._send, self._requests = trio.open_memory_channel[int](math.inf)
        self._scope = trio.CancelScope()
        self._ended = trio.Event()

    async def run(self) -> None:
        """Until stopped, or cancelled."""
        try:
            with self._scope:
                if self._monitor is not None:
                    async for offer in self._monitor.offers:
                        await self._take(offer, self._monitor)
                else:
                    async for asked in self._requests:
                        await self._read(asked)
        finally:
            self._ended.set()

    async def stop(self) -> None:
        """The daemon ends with the configuration that it has: what is under way is given up, and nobody who waits for it is told."""
        self._scope.cancel()
        await self._ended.wait()

    def ask(self) -> None:
        """Read the configuration again. How it ends is told by the log."""
        if self._monitor is not None:
            self._monitor.reload(0)
        else:
            self._send.send_nowait(0)

    async def reload(self) -> tuple[str, ...]:
        """Returns when the configuration as it is now serves: what in it is hardly meant, or could not be done; it is logged too.

        Raises ReloadFailed. Cancelled, the reload goes on.
        """
        self._asked += 1
        asked, waiter = self._asked, _Waiter()
        self._waiting[asked] = waiter
        if self._monitor is not None:
            self._monitor.reload(asked)
        else:
            self._send.send_nowait(asked)
        await waiter.ended.wait()
        if waiter.failed is not None:
            raise ReloadFailed(waiter.failed)
        return waiter.warnings

    async def _take(self, offer: Offer, monitor: MonitorLink) -> None:
        """What the monitor has read: open it, let it bind, switch."""
        if offer.failed is not None:
            offer.discard()
            self._fail(offer.asked, offer.failed)
            return
        stack = ExitStack()
        try:
            checked = check_text(offer.text, offer.path)
            settings = checked.settings
            resources = stack.enter_context(opened(settings, monitor.end))
            extras = self._extras(settings)
        except _REFUSALS as error:
            stack.close()
            offer.discard()
            monitor.declined(str(error))
            self._fail(offer.asked, str(error))
            return
        new = Generation(self._daemon.current.number + 1, settings, resources, stack, offer.first_pool)
        monitor.adopt(new.first_pool, new.pools)
        for number, worker in offer.workers:
            if new.first_pool <= number < new.first_pool + len(new.pools):
                new.pools[number - new.first_pool].add(worker)
            else:  # of a configuration that was left while this one was offered
                worker.channel.close()
        monitor.opened()
        with ExitStack() as undo:
            undo.callback(extras.close)
            undo.push(stack)
            await offer.switch.wait()
            if (why := offer.failure()) is None:
                before = {one.settings.key: one.socket for one in self._daemon.current.bound}
                new.bound = [Bound(listen, offer.sockets.get(place) or before[listen.key]) for place, listen in enumerate(settings.listen)]
                fault = await self._daemon.switch(new, extras)
                undo.pop_all()
        if why is not None:
            monitor.disown(new.first_pool, len(new.pools))
            self._fail(offer.asked, why)
            return
        monitor.serving()
        self._succeed(offer.asked, checked, fault)

    async def _read(self, asked: int) -> None:
        """Without a monitor all of it is done here."""
        current, stack = self._daemon.current, ExitStack()
        try:
            checked = check(self._path)
            settings = checked.settings
            if settings.control != current.settings.control:
                raise StartError(f"{self._path}: [control] path is changed by a restart only")
            listeners.check_all(settings, current.bound)
            resources = stack.enter_context(opened(settings, None))
            extras = self._extras(settings)
        except _REFUSALS as error:
            stack.close()
            self._fail(asked, str(error))
            return
        try:
            bound = listeners.rebind_all(settings, current.bound)
        except _REFUSALS as error:
            stack.close()
            extras.close()
            self._fail(asked, str(error))
            return
        new = Generation(current.number + 1, settings, resources, stack)
        new.bound = bound
        kept = {one.socket for one in current.bound}
        with ExitStack() as undo:
            undo.callback(listeners.let_go, [one for one in bound if one.socket not in kept])
            undo.callback(extras.close)
            fault = await self._daemon.switch(new, extras)
            undo.pop_all()
        listeners.unlink_gone(current.bound, bound)
        self._succeed(asked, checked, fault)

    def _extras(self, settings: Settings) -> Extras:
        """What differs from the configuration before, opened. Raises StartError, ListenError."""
        before = self._daemon.current.settings
        output = open_log(settings) if settings.log != before.log else None
        try:
            exporting = Exporting(settings) if settings.metrics != before.metrics else None
        except ListenError:
            Extras(output).close()
            raise
        return Extras(output, exporting)

    def _succeed(self, asked: int, checked: Checked, fault: str) -> None:
        """`fault`: what `switch` could not do, and has logged."""
        self.failed = False
        _logger.info("reloaded: configuration %d serves", self._daemon.current.number)
        warnings = hardly_meant(checked)
        for line in warnings:
            _logger.warning("%s", line)
        if waiter := self._waiting.pop(asked, None):
            waiter.warnings = (fault, *warnings) if fault else warnings
            waiter.ended.set()

    def _fail(self, asked: int, why: str) -> None:
        self.failed = True
        fault = self._daemon.reopen_log()
        _logger.error("not reloaded, configuration %d serves on: %s", self._daemon.current.number, "; ".join(why.splitlines()))
        if waiter := self._waiting.pop(asked, None):
            waiter.failed = f"{why}\n{fault}" if fault else why
            waiter.ended.set()
