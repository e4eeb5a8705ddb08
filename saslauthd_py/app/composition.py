"""From settings to the backends, the routes and the authenticator that they describe: the one place that knows every backend.

Each kind but the store's is imported where there is one, which is before anybody is served: all of them take a good part of a start.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, assert_never

import trio

from saslauthd_py.admission import Admission
from saslauthd_py.app import directories, kerberos, remotes
from saslauthd_py.app.start import StartError
from saslauthd_py.authenticator import Authenticator, Grounds
from saslauthd_py.backend import Backend
from saslauthd_py.backends.store import StoreBackend, StoreOptions
from saslauthd_py.cache import Cache
from saslauthd_py.config.settings import (
    AnyBackend,
    GetpwentSettings,
    HttpFormSettings,
    ImapSettings,
    KerberosSettings,
    LdapSettings,
    PamSettings,
    PasswdFileSettings,
    SaslauthdSettings,
    SasldbSettings,
    Settings,
    ShadowSettings,
    StoreSettings,
    WorkerSettings,
)
from saslauthd_py.hashing import Hashing
from saslauthd_py.proxy_users import ProxyUsers
from saslauthd_py.queue import Queue
from saslauthd_py.routing import Compared, Member, Next, Route, Routes
from saslauthd_py.store.errors import StoreError
from saslauthd_py.store.watch import Watch
from saslauthd_py.wire.monitor import End
from saslauthd_py.workers import Workers

if TYPE_CHECKING:
    from saslauthd_py.app.remotes import Approach
    from saslauthd_py.backends.kerberos.proving import Proving
    from saslauthd_py.backends.ldap.opening import Manner


@dataclass(frozen=True, slots=True)
class Resources:
    """What was opened for the backends before anybody is served, by the backends' names."""

    watches: Mapping[str, Watch]
    workers: Mapping[str, Workers]
    manners: Mapping[str, Manner] = field(default_factory=dict)
    approaches: Mapping[str, Approach] = field(default_factory=dict)
    provings: Mapping[str, Proving] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Shared:
    """What outlives a configuration: the limits of guesses with their tickets (rule H1), and the bound of all hashes (rule D11)."""

    admission: Admission
    hashing: Hashing

    @classmethod
    def of(cls, settings: Settings) -> Shared:
        """For the first configuration of a process."""
        return cls(Admission(settings.admission, time.monotonic), Hashing())


@dataclass(frozen=True, slots=True)
class Composed:
    """What decides, and the tasks that keep its backends in order. `counts` find out who has SCRAM keys; keepers go on with it."""

    authenticator: Authenticator
    cache: Cache
    routes: Routes
    members: Mapping[str, Member]
    keepers: tuple[Callable[[], Awaitable[object]], ...]
    counts: tuple[Callable[[], Awaitable[object]], ...]


def worker_names(settings: Settings) -> list[str]:
    """The backends whose calls are made by workers, in the order in which the monitor counts them."""
    return [name for name, backend in settings.backend.items() if isinstance(backend, WorkerSettings)]


@contextmanager
def opened(settings: Settings, end: Callable[[End], None] | None) -> Iterator[Resources]:
    """Everything that the backends need. `end` tells the monitor that a worker is of no more use; None: there is no monitor.

    Raises StartError.
    """
    names = worker_names(settings)
    if names and end is None:
        kind = settings.backend[names[0]].type
        raise StartError(
            f"backend.{names[0]}: {kind} needs workers that run as root, and only a daemon that root starts has them: "
            f'start `serve` as root (it drops to [server] user by itself), or use another backend than "{kind}"'
        )
    with ExitStack() as stack:
        watches = {
            name: stack.enter_context(_watch(name, backend))
            for name, backend in settings.backend.items()
            if isinstance(backend, StoreSettings)
        }
        workers = {name: Workers(name, end) for name in names if end is not None}
        for pool in workers.values():
            stack.callback(pool.close)
        manners = {
            name: directories.opened(name, backend) for name, backend in settings.backend.items() if isinstance(backend, LdapSettings)
        }
        approaches = {
            name: remotes.opened(name, backend) for name, backend in settings.backend.items() if isinstance(backend, remotes.RemoteSettings)
        }
        provings = {
            name: kerberos.opened(name, backend) for name, backend in settings.backend.items() if isinstance(backend, KerberosSettings)
        }
        yield Resources(watches, workers, manners, approaches, provings)


@asynccontextmanager
async def composed(settings: Settings, resources: Resources, shared: Shared) -> AsyncIterator[Composed]:
    """Authenticator, cache and backends, with the nursery that runs flights and rehashes."""
    async with trio.open_nursery() as nursery:
        parts = _Parts(resources, shared.hashing, nursery)
        members = {name: parts.member(name, backend) for name, backend in settings.backend.items()}
        watched = [(member.name, member.watched) for member in members.values() if member.watched is not None]
        cache = Cache(settings.cache.max_entries, time.monotonic, watched)
        routes = _routes(settings, members)
        proxy_users = ProxyUsers(settings.proxy_user, settings.identity.default_realm)
        authenticator = Authenticator(Grounds(routes, cache, shared.admission, proxy_users), nursery, settings.server.deadline)
        yield Composed(authenticator, cache, routes, members, tuple(parts.keepers), tuple(parts.counts))
        nursery.cancel_scope.cancel()


class _Parts:
    """Makes backends from what they share."""

    def __init__(self, resources: Resources, hashing: Hashing, nursery: trio.Nursery) -> None:
        self.keepers: list[Callable[[], Awaitable[object]]] = []
        self.counts: list[Callable[[], Awaitable[object]]] = []
        self._resources = resources
        self._hashing = hashing
        self._nursery = nursery

    def member(self, name: str, settings: AnyBackend) -> Member:
        """The backend `name` as routes ask it."""
        match settings:
            case StoreSettings():
                return self._store(name, settings)
            case PamSettings() | ShadowSettings() | GetpwentSettings():
                return _with_workers(name, settings, self._resources.workers[name])
            case SaslauthdSettings():
                return _saslauthd(name, settings)
            case KerberosSettings():
                return self._kerberos(name, settings)
            case PasswdFileSettings():
                return self._passwd_file(name, settings)
            case SasldbSettings():
                return self._sasldb(name, settings)
            case LdapSettings():
                return self._ldap(name, settings)
            case ImapSettings() | HttpFormSettings():
                return self._remote(name, settings)
        assert_never(settings)

    def _store(self, name: str, settings: StoreSettings) -> Member:
        options = StoreOptions(
            settings.login, settings.fold_case, settings.scheme, settings.rehash, settings.scram_upgrade, settings.scram_rounds
        )
        store = StoreBackend(settings.path, self._resources.watches[name], self._hashing, self._nursery, options)
        self.keepers.append(store.keep_house)
        self.counts.append(store.count_keys)
        queue = Queue.of_backend(settings.parallel)
        return Member(name, store, queue, settings.cache, frozenset(settings.services), store, store.used, settings.login, keyed=store)

    def _passwd_file(self, name: str, settings: PasswdFileSettings) -> Member:
        from saslauthd_py.backends.passwd_file import PasswdFileBackend

        file = PasswdFileBackend(settings, self._hashing, self._nursery, name)
        watched = file if settings.cache else None  # without a cache nobody needs to see its changes before a login does
        login = "{local}@{realm}" if settings.realm_in_path else settings.login  # alice of two files is not one account
        queue = Queue.of_backend(settings.parallel)
        self.counts.append(file.count_keys)
        return Member(name, file, queue, settings.cache, frozenset(settings.services), watched, login=login, keyed=file)

    def _sasldb(self, name: str, settings: SasldbSettings) -> Member:
        from saslauthd_py.backends.sasldb import SasldbBackend

        file = SasldbBackend(settings, self._hashing, self._nursery, name)
        watched = file if settings.cache else None  # as for a passwd_file
        queue, services = Queue.of_backend(settings.parallel), frozenset(settings.services)
        self.counts.append(file.count_keys)
        return Member(name, file, queue, settings.cache, services, watched, login=settings.login, keyed=file)

    def _ldap(self, name: str, settings: LdapSettings) -> Member:
        backend, servers = directories.composed(settings, self._resources.manners[name], self._hashing, self._nursery)
        self.keepers.append(servers.warm)
        login = "{local}" if settings.drops_realm else settings.login  # its templates make one entry of alice of every realm
        queue, services = Queue.of_backend(settings.parallel), frozenset(settings.services)
        return Member(
            name, backend, queue, settings.cache, services, login=login, slow_to_refuse=True, down=servers.down, forget=backend.forget
        )

    def _kerberos(self, name: str, settings: KerberosSettings) -> Member:
        backend = kerberos.composed(name, settings, self._resources.provings[name])
        self.keepers.append(backend.check)
        queue, services = Queue.of_backend(settings.parallel), frozenset(settings.services)
        return Member(name, backend, queue, settings.cache, services, login=settings.login, slow_to_refuse=True)

    def _remote(self, name: str, settings: remotes.RemoteSettings) -> Member:
        remote = remotes.composed(settings, self._resources.approaches[name], self._nursery)
        self.keepers.append(remote.warm)
        queue, services, login = Queue.of_backend(settings.parallel), frozenset(settings.services), settings.login
        return Member(name, remote.backend, queue, settings.cache, services, login=login, slow_to_refuse=True, down=remote.down)


def _with_workers(name: str, settings: WorkerSettings, workers: Workers) -> Member:
    backend: Backend
    match settings:
        case PamSettings():
            from saslauthd_py.backends.pam import PamBackend

            backend = PamBackend(workers, settings)
        case ShadowSettings():
            from saslauthd_py.backends.shadow import ShadowBackend

            backend = ShadowBackend(workers, settings)
        case GetpwentSettings():
            from saslauthd_py.backends.getpwent import GetpwentBackend

            backend = GetpwentBackend(workers, settings)
    queue, services = Queue.of_backend(min(settings.processes, settings.parallel)), frozenset(settings.services)
    pam = isinstance(settings, PamSettings)
    return Member(name, backend, queue, settings.cache, services, login=settings.login, by_address=pam, slow_to_refuse=pam)


def _saslauthd(name: str, settings: SaslauthdSettings) -> Member:
    from saslauthd_py.backends.saslauthd import SaslauthdBackend

    return Member(
        name,
        SaslauthdBackend(settings),
        Queue.of_backend(settings.parallel),
        settings.cache,
        frozenset(settings.services),
        login=settings.login,
        by_address=True,
        slow_to_refuse=True,
        compared=Compared() if settings.shadow_compare else None,
    )


def _routes(settings: Settings, members: dict[str, Member]) -> Routes:
    return Routes(
        Route(
            realms=frozenset(route.realm),
            services=frozenset(route.service),
            listeners=frozenset(route.listener),
            members=tuple(members[name] for name in route.backends if members[name].compared is None),
            next_on=frozenset(Next(word) for word in route.next_on),
            beside=tuple((member, compared) for name in route.backends if (compared := (member := members[name]).compared) is not None),
        )
        for route in settings.route
    )


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
