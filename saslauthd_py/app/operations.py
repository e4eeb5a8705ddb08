"""The daemon as its admin drives it: what the control socket can have done."""

from __future__ import annotations

import logging
import os
import re
import struct
import time
from collections.abc import Awaitable, Callable, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Protocol

import trio

from saslauthd_py import __version__, identity
from saslauthd_py.app.composition import Composed, Resources, Shared
from saslauthd_py.app.offering import offered
from saslauthd_py.app.reloading import ReloadFailed
from saslauthd_py.app.trial import Trial
from saslauthd_py.authenticator import Decision
from saslauthd_py.config.settings import Listen, Settings
from saslauthd_py.control.operations import OperationFailed
from saslauthd_py.control.protocol import Cause, Sasl
from saslauthd_py.control.status import (
    AdmissionStatus,
    BackendStatus,
    CacheStatus,
    ComparedStatus,
    ConnectionsStatus,
    LimitedStatus,
    ListenerStatus,
    LoginsStatus,
    State,
    Status,
    TurnsStatus,
    WorkersStatus,
)
from saslauthd_py.front.connections import Connections
from saslauthd_py.front.one_request import Refusal
from saslauthd_py.front.record import Record
from saslauthd_py.log import request_id
from saslauthd_py.log.style import Asked
from saslauthd_py.metrics import Counters
from saslauthd_py.privileges import Peer
from saslauthd_py.routing import Compared, Member
from saslauthd_py.wire.saslauthd import Request as Login
from saslauthd_py.wire.saslauthd import client_address

_UCRED = struct.Struct("iII")  # as the front has a peer, from SO_PEERCRED

_logger = logging.getLogger(__name__)

DOWN = 3
"""Outages in a row after which a backend counts as unavailable: fewer may be the fault of one account's record."""

COUNTING = 0.2
"""Seconds that a status waits to know who has SCRAM keys at this moment."""

_TOP = 10

_ADDRESS_LIKE = re.compile(r"[0-9]+(?:\.[0-9]+){2,}(?:/[0-9]*)?|[0-9A-Fa-f]*(?::[0-9A-Fa-f.]*)+(?:/[0-9]*)?")
"""An address that was mistyped, or a network: taken for a user's name, it would free nobody without a word."""


class Serving(Protocol):
    """A configuration at work."""

    number: int
    settings: Settings
    resources: Resources

    @property
    def parts(self) -> Composed:
        """What decides."""


class Deciding(Serving, Protocol):
    """One that can be tried out."""

    def trying(self) -> AbstractContextManager[None]:
        """It stays at work until the end of the block."""


class Daemon(Protocol):
    """Configurations as they come and go."""

    @property
    def current(self) -> Deciding:
        """The one that new requests meet."""

    @property
    def living(self) -> Set[Serving]:
        """That one, and those of before that still have somebody to answer."""

    @property
    def record(self) -> Record:
        """Where each decision is written down at this moment."""


@dataclass(frozen=True, slots=True)
class Run:
    """What outlives a configuration, so far as a status tells of it. `began` by time.monotonic; `descriptors` there are for connections."""

    shared: Shared
    counters: Counters
    connections: Connections
    descriptors: int
    began: float
    monitor_pid: int | None


class DaemonOperations:
    """Implements `control.operations.Operations` for whichever configuration of `daemon` counts."""

    def __init__(self, run: Run, daemon: Daemon, reload: Callable[[], Awaitable[tuple[str, ...]]], nursery: trio.Nursery) -> None:
        """`nursery` runs what takes longer than whoever asked for it waits."""
        self._run = run
        self._daemon = daemon
        self._reload = reload
        self._nursery = nursery

    async def status(self) -> Status:
        """As `Operations.status`. Who has SCRAM keys is counted anew; where that takes too long, it is as it was counted last."""
        counted = trio.Event()
        self._nursery.start_soon(_count, self._daemon.current.parts, counted)
        with trio.move_on_after(COUNTING):
            await counted.wait()
        return self._status()

    def _status(self) -> Status:
        run, serving = self._run, self._daemon.current
        settings, cache, counters = serving.settings, serving.parts.cache, run.counters
        hits = counters.inline + counters.cached
        looked = hits + counters.looked_up_in_vain
        busy, waiting = run.shared.hashing.counts()
        return Status(
            version=__version__,
            uptime=time.monotonic() - run.began,
            generation=serving.number,
            pid=os.getpid(),
            monitor_pid=run.monitor_pid,
            listeners=tuple(_listener(serving, listen) for listen in settings.listen),
            connections=ConnectionsStatus(len(run.connections), min(settings.server.max_connections, run.descriptors)),
            logins=LoginsStatus(counters.accepted + counters.inline, counters.rejected, counters.unavailable),
            cache=CacheStatus(len(cache.proofs), cache.most, hits / looked if looked else None),
            hashing=TurnsStatus(run.shared.hashing.places, busy, waiting),
            admission=self._admission(),
            backends=tuple(_backend(serving, member) for member in serving.parts.members.values()),
            metrics="" if settings.metrics.address is None else str(settings.metrics.address),
        )

    async def reload(self) -> tuple[str, ...]:
        """As `Operations.reload`."""
        try:
            return await self._reload()
        except ReloadFailed as failed:
            raise OperationFailed(Cause.CONFIGURATION, str(failed)) from failed

    def flush(self, user: str | None) -> int:
        """As `Operations.flush`."""
        accounts = None if user is None else self._accounts(user)
        for serving in self._daemon.living:
            for member in serving.parts.members.values():
                if member.forget is not None:
                    member.forget()
        return sum(serving.parts.cache.flush(accounts) for serving in self._daemon.living)

    def unblock(self, what: str) -> int:
        """As `Operations.unblock`."""
        admission = self._run.shared.admission
        try:
            address = ip_address(what)
        except ValueError:
            if _ADDRESS_LIKE.fullmatch(what):
                raise OperationFailed(Cause.REQUEST, f"{what}: looks like an IP address, and is none; name one, or a user") from None
            return admission.unblock_accounts(self._accounts(what))
        return admission.unblock_address(address)

    async def trace(self, listener: str, login: Login, sasl: Sasl, peer: Peer) -> Decision | None:
        """As `Operations.trace`."""
        serving = self._daemon.current
        settings = serving.settings
        found = next(((number, listen) for number, listen in enumerate(settings.listen) if listen.name == listener), None)
        if found is None:
            there = ", ".join(listen.name for listen in settings.listen)
            raise OperationFailed(Cause.REQUEST, f"{listener}: the daemon does not listen there; it listens at {there}")
        number, listen = found
        request_id.begin()
        began, raw, address = trio.current_time(), _UCRED.pack(peer.pid, peer.uid, peer.gid), None
        if listen.trusts_addresses:
            address = client_address(login)
        with serving.trying():
            answer = await Trial(settings, serving.parts).ask(listen, number, login, sasl)
        if isinstance(answer, Refusal):
            self._daemon.record.refused(answer.why, listen.name, raw, answer.login, address)
            return None
        asked = Asked(_text(login.service), listen.name, address, trio.current_time() - began)
        if listen.protocol == "dovecot":
            asked = asked._replace(mechanism=sasl.mechanism, authzid=_text(sasl.authzid))
        self._daemon.record.decision(answer, asked, raw)
        return answer

    def _accounts(self, user: str) -> set[str]:
        """What admission, the cache or any backend calls the account that an admin's name means."""
        name = identity.split(user, default_realm=self._daemon.current.settings.identity.default_realm)
        members = [member for serving in self._daemon.living for member in serving.parts.members.values()]
        watched = {member.watched.account(name) for member in members if member.watched is not None}
        return {identity.account(name)} | {member.account(name) for member in members} | watched - {""}

    def _admission(self) -> AdmissionStatus:
        admission = self._run.shared.admission
        top = tuple(LimitedStatus(one.kind, one.name, round(one.failures, 1), one.limit) for one in admission.top(_TOP))
        return AdmissionStatus(admission.tickets(), self._run.counters.limited, top)


async def _count(parts: Composed, counted: trio.Event) -> None:
    try:
        for count in parts.counts:
            await count()
    except Exception:
        _logger.exception("bug while accounts were counted for a status")
    finally:
        counted.set()


def _text(name: bytes) -> str:
    return name.decode(errors="backslashreplace")


def _listener(serving: Serving, listen: Listen) -> ListenerStatus:
    if listen.protocol != "dovecot":
        return ListenerStatus(listen.protocol, listen.name)
    now = offered(listen, serving.parts.routes)
    return ListenerStatus(listen.protocol, listen.name, now.mechanisms, now.withheld, listen.on_unavailable)


def _backend(serving: Serving, member: Member) -> BackendStatus:
    health, unreadable = member.health, serving.parts.cache.unreadable.get(member.name)
    pool = serving.resources.workers.get(member.name)
    busy, waiting = member.queue.counts()
    return BackendStatus(
        name=member.name,
        type=serving.settings.backend[member.name].type,
        state=State.UNAVAILABLE if unreadable else _state(member),
        cause=unreadable or health.cause,
        asked=health.asked,
        outages=health.outages,
        ms=round(health.seconds * 1000, 3) if health.asked else None,
        turns=TurnsStatus(member.queue.places, busy, waiting),
        workers=None if pool is None else WorkersStatus(*pool.counts()),
        compared=None if member.compared is None else _compared(member.compared),
        down={} if member.down is None else dict(member.down()),
    )


def _compared(compared: Compared) -> ComparedStatus:
    return ComparedStatus(compared.alike, compared.different, compared.unanswered, compared.left_out)


def _state(member: Member) -> State:
    health = member.health
    if not health.asked:
        return State.UNASKED
    if not health.failing:
        return State.OK
    return State.UNAVAILABLE if health.failing >= DOWN else State.FAILING
