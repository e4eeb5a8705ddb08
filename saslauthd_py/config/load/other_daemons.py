"""What a configuration says of other daemons: that it goes by what they say, or only compares; that none is this one, or a stranger's."""

from __future__ import annotations

import os
from collections.abc import Iterator

from saslauthd_py.config.load.checks import Parts, decided_by
from saslauthd_py.config.load.findings import Finding
from saslauthd_py.config.settings import ANY, KerberosSettings, SaslauthdSettings, drops_realm
from saslauthd_py.config.settings.values import quoted


def errors(parts: Parts) -> Iterator[Finding]:
    """Routes that nobody decides, and a daemon that would ask itself."""
    for place, route in enumerate(parts.route):
        if route is not None and not decided_by(route, parts):
            text = "nobody decides here: shadow_compare backends are only compared with; name another one before them"
            yield Finding(("route", place, "backends"), text)
    places = {_entry(listen.path): place for place, listen in enumerate(parts.listen) if listen is not None and listen.path is not None}
    for name, backend in _others(parts):
        own = places.get(_entry(backend.path))
        if own is not None:
            text = f"{quoted(backend.path)} is this daemon's own listen[{own}]: it would ask itself; name the other's socket"
            yield Finding(("backend", name, "path"), text)


def warnings(parts: Parts) -> Iterator[Finding]:
    """Backends that are hardly ever asked, and KDCs that anybody may name."""
    yield from _any_kdc(parts)
    others = dict(_others(parts))
    for place, route in enumerate(parts.route):
        if route is None or "rejected" in route.next_on:
            continue
        for name in decided_by(route, parts)[:-1]:
            if name in others:
                text = (
                    f'"{name}" says of a user it does not know what it says of a wrong password, so none behind it is asked: '
                    'put it last, or say next_on = ["unknown", "rejected"]'
                )
                yield Finding(("route", place, "backends", route.backends.index(name)), text)


def _any_kdc(parts: Parts) -> Iterator[Finding]:
    for place, route in enumerate(parts.route):
        for number, name in enumerate(route.backends) if route is not None and ANY in route.realm else ():
            backend = parts.backend.get(name)
            if isinstance(backend, KerberosSettings) and not drops_realm(backend.login):
                text = f'"{name}" asks the KDC of any realm that a client names, and DNS has one for each: name the realms here'
                yield Finding(("route", place, "backends", number), text)


def _entry(path: str) -> str:
    """Where a socket of this path is bound, links to directories followed: Debian's /var/run/saslauthd is /run/saslauthd."""
    directory, name = os.path.split(path)
    return os.path.join(os.path.realpath(directory), name)


def _others(parts: Parts) -> Iterator[tuple[str, SaslauthdSettings]]:
    for name, backend in parts.backend.items():
        if isinstance(backend, SaslauthdSettings):
            yield name, backend
