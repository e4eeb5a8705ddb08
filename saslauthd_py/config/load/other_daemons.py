"""What a configuration says of other daemons: that it goes by what they say, or only compares; and that none of them is this one."""

from __future__ import annotations

from collections.abc import Iterator

from saslauthd_py.config.load.checks import Parts, decided_by
from saslauthd_py.config.load.findings import Finding
from saslauthd_py.config.settings import SaslauthdSettings
from saslauthd_py.config.settings.values import quoted


def errors(parts: Parts) -> Iterator[Finding]:
    """Routes that nobody decides, and a daemon that would ask itself."""
    for place, route in enumerate(parts.route):
        if route is not None and not decided_by(route, parts):
            text = "nobody decides here: shadow_compare backends are only compared with; name another one before them"
            yield Finding(("route", place, "backends"), text)
    places = {listen.path: place for place, listen in enumerate(parts.listen) if listen is not None}
    for name, backend in _others(parts):
        if backend.path in places:
            text = (
                f"{quoted(backend.path)} is this daemon's own listen[{places[backend.path]}]: it would ask itself; name the other's socket"
            )
            yield Finding(("backend", name, "path"), text)


def warnings(parts: Parts) -> Iterator[Finding]:
    """Backends that are hardly ever asked."""
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


def _others(parts: Parts) -> Iterator[tuple[str, SaslauthdSettings]]:
    for name, backend in parts.backend.items():
        if isinstance(backend, SaslauthdSettings):
            yield name, backend
