"""What a listener's `mechanisms` promise, and its routes' backends must keep: who is offered SCRAM must have keys to log in with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from saslauthd_py.config.load.checks import Parts, decided_by
from saslauthd_py.config.load.findings import Finding
from saslauthd_py.config.settings import ANY, BackendSettings, PasswdFileSettings, SasldbSettings, StoreSettings
from saslauthd_py.config.settings.values import quoted

_SCRAM = "SCRAM-"
_THROWN_AWAY = "a mail program takes the strongest mechanism, and believes its password wrong when that fails"


def errors(parts: Parts) -> Iterator[Finding]:
    """Mechanisms that can let nobody in, or that no backend here can be asked for."""
    for place, names in _listeners(parts):
        backends = {name: parts.backend.get(name) for name in names}
        if names and all(backend is not None and not _has_keys(backend) for backend in backends.values()):
            text = f"SCRAM is named, and no backend of this listener's routes has keys ({_list(backends)}): {_THROWN_AWAY}"
            yield Finding(("listen", place, "mechanisms"), text)
        for name, backend in backends.items():
            if isinstance(backend, PasswdFileSettings | SasldbSettings) and backend.decoy_key is None:
                text = (
                    f"listen[{place}] names SCRAM, and unknown names would be told from those in this file: "
                    "set decoy_key_file (`openssl rand -hex 32` makes one)"
                )
                yield Finding(("backend", name), text)


def warnings(parts: Parts) -> Iterator[Finding]:
    """Mechanisms by which some cannot log in."""
    for place, names in _listeners(parts):
        keyless = {name: backend for name in names if (backend := parts.backend.get(name)) is not None and not _has_keys(backend)}
        if keyless and len(keyless) < len(names):
            text = f"SCRAM is named, and whoever is in {_list(keyless)} has no keys: {_THROWN_AWAY}"
            yield Finding(("listen", place, "mechanisms"), text)


def _listeners(parts: Parts) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Those that name a SCRAM mechanism, and the backends that may be asked for their clients."""
    for place, listen in enumerate(parts.listen):
        if listen is None or not any(name.startswith(_SCRAM) for name in listen.mechanisms or ()):
            continue
        routes = [route for route in parts.route if route is not None and {ANY, listen.name} & set(route.listener)]
        yield place, tuple(dict.fromkeys(name for route in routes for name in decided_by(route, parts)))


def _has_keys(backend: BackendSettings) -> bool:
    return isinstance(backend, StoreSettings | PasswdFileSettings | SasldbSettings)


def _list(backends: Mapping[str, BackendSettings | None]) -> str:
    return ", ".join(f"{quoted(name)}, {backend.type}" for name, backend in backends.items() if backend is not None)
