"""Which store a command works on, and how it gets in (rule A7)."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from saslauthd_py import privileges
from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.cli.render import complain
from saslauthd_py.config.load import DEFAULT_PATH, load
from saslauthd_py.config.settings import Settings, StoreSettings
from saslauthd_py.identity import Identity, key, split
from saslauthd_py.store import access
from saslauthd_py.store.store import Store


@dataclass(frozen=True, slots=True)
class Place:
    """A store, and the configuration that it belongs to."""

    store: StoreSettings
    settings: Settings

    def identity(self, name: str) -> Identity:
        """The identity of a USER on the command line: the one that a login of this name has. Raises InvalidIdentity."""
        identity = split(name, default_realm=self.settings.identity.default_realm)
        key(identity)  # a realm may need tables that the owner of the store cannot read any more
        return identity


def find(arguments: argparse.Namespace, environment: Environment, default: str = DEFAULT_PATH) -> Place:
    """The store of the configuration; where none is named and none is at `default`, that of the default settings, with a warning.

    Raises ConfigurationError, CommandFailed.
    """
    path = arguments.config or default
    if arguments.config is None and arguments.backend is None and not os.path.exists(path):
        store = StoreSettings(type="store")
        complain(environment.stderr, [f"warning: {path}: no such file; the store is the default one, {store.path}"])
        return Place(store, Settings())
    settings = load(path)
    stores = {name: backend for name, backend in settings.backend.items() if isinstance(backend, StoreSettings)}
    return Place(pick(stores, arguments.backend, path), settings)


def pick(stores: Mapping[str, StoreSettings], wanted: str | None, path: str) -> StoreSettings:
    """The store that is wanted among those of the configuration `path`, or the only one. Raises CommandFailed."""
    names = ", ".join(stores)
    if wanted is not None and wanted not in stores:
        raise CommandFailed(Exit.USAGE, f"--backend {wanted}: not a store of {path}, which has: {names or 'none'}")
    if not stores:
        raise CommandFailed(Exit.CONFIGURATION, f'{path}: no [backend.NAME] with type = "store": users are kept elsewhere')
    if wanted is None and len(stores) > 1:
        raise CommandFailed(Exit.USAGE, f"{path} has several stores: say which with --backend, one of: {names}")
    return stores[wanted or names]


def enter(place: Place, *, create: bool = False) -> str:
    """Become the owner of the store for good, with `create` of one that is to be made; its path. Read before what only the caller may read.

    Raises StoreError, PrivilegeError.
    """
    access.become_owner(place.store.path, _creator(place) if create else None)
    return place.store.path


@contextmanager
def opened(place: Place, *, create: bool = False) -> Iterator[Store]:
    """The store, open, in a process that has entered it."""
    with Store.open(enter(place, create=create), create=create) as store:
        yield store


def _creator(place: Place) -> tuple[int, int] | None:
    """Whose a directory shall be that is not there: root makes it for the daemon, anybody else for themselves."""
    if os.geteuid() != 0 or os.path.lexists(os.path.dirname(place.store.path)):
        return None
    ids = privileges.account(place.settings.server.user, place.settings.server.group)
    return ids.uid, ids.gid
