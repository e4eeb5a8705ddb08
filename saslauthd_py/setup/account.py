"""The account that proves a change: made in our own store for the moment, and known to nobody else."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from saslauthd_py import identity
from saslauthd_py.config.settings import ANY, Route, Settings, StoreSettings
from saslauthd_py.identity import Identity, InvalidIdentity
from saslauthd_py.secret import Secret
from saslauthd_py.setup import commands
from saslauthd_py.setup.commands import ProgramFailed

_WAIT = "import sys; sys.stdin.buffer.read(); "
_ENTRY = "import sys; sys.path.append(sys.argv.pop(1)); from saslauthd_py.cli.main import main; sys.exit(main())"
_AT = str(Path(__file__).resolve().parents[2])
_OURS = (sys.executable, "-I", "-c", _ENTRY, _AT)
_OURS_LATER = (sys.executable, "-I", "-c", _WAIT + _ENTRY, _AT)
"""This program, apart from the caller's directory and PYTHON... variables."""

_LIFE = "10m"
"""It expires by itself where nobody is left to remove it: at a power cut."""

_UNKNOWN = "setup.invalid"
"""A realm that nobody has (RFC 2606), for a route that takes every realm."""

_NOT_THERE = (66, 67)
"""Exit codes of `user remove`: no store, no such user."""


@dataclass(frozen=True, slots=True)
class Account:
    """A name as a mail program says it, and its password."""

    login: str
    secret: Secret


@dataclass(frozen=True, slots=True)
class ThrowAway:
    """An account that is not there before and after. `login` is what a mail program says, `stored` what the store calls it."""

    config: str
    backend: str
    stored: str
    login: str

    @contextmanager
    def made(self) -> Iterator[Account]:
        """It is there in the block, with a password that nobody knows; a process of its own removes it, also where this one is killed.

        Raises ProgramFailed.
        """
        secret = Secret(secrets.token_urlsafe(18).encode())
        add = (*_OURS, "user", "add", self.stored, *self._store(), "--expires", _LIFE, "--password-stdin")
        with commands.at_the_end((*_OURS_LATER, *self._removal()), _NOT_THERE) as held:
            commands.run(add, secret.reveal(), (held,))
            yield Account(self.login, secret)

    def remove(self) -> None:
        """Whether it is there or not. Raises ProgramFailed."""
        try:
            commands.run((*_OURS, *self._removal()))
        except ProgramFailed as failure:
            if failure.code not in _NOT_THERE:
                raise

    def _removal(self) -> tuple[str, ...]:
        return "user", "remove", self.stored, *self._store(), "--yes"

    def _store(self) -> tuple[str, ...]:
        return "--config", self.config, "--backend", self.backend


def throw_away(config: str, settings: Settings, service: str, listeners: tuple[str, ...], realm: str) -> ThrowAway | None:
    """One that logins to `service` at all of these listeners find in a store; None: no route leads to one.

    `realm` is what a name without an @ is sent with.
    """
    local = f"setup-{secrets.token_hex(6)}"
    for route in settings.route:
        backend = _store(settings, route, service)
        for written in route.realm if backend is not None else ():
            name = Identity(local, _UNKNOWN if written == ANY else written)
            bare = realm or settings.identity.default_realm
            reached = all(_taken(settings, name.realm, service, one) is route for one in listeners)
            if backend is not None and reached and (name.realm or not bare):
                with suppress(InvalidIdentity):
                    return ThrowAway(config, backend, str(identity.render(settings.backend[backend].login, name)), str(name))
    return None


def _store(settings: Settings, route: Route, service: str) -> str | None:
    """The store that a route asks first."""
    first = route.backends[0]
    backend = settings.backend[first]
    return first if isinstance(backend, StoreSettings) and (not backend.services or service in backend.services) else None


def _taken(settings: Settings, realm: str, service: str, listener: str) -> Route | None:
    """As `routing.Routes.find`, on the configuration."""
    wanted = identity.fold_realm(realm)
    matches = (
        route
        for route in settings.route
        if {ANY, wanted} & set(route.realm) and {ANY, service} & set(route.service) and {ANY, listener} & set(route.listener)
    )
    return next(matches, None)
