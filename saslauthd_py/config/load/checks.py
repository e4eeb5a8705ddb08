"""What one key of a configuration says of another: routes of backends and listeners, and of each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from saslauthd_py.config.load.findings import Finding, written_path
from saslauthd_py.config.settings import (
    ANY,
    BackendSettings,
    HttpFormSettings,
    ImapSettings,
    LdapSettings,
    Listen,
    PamSettings,
    PasswdFileSettings,
    ProxyUser,
    Route,
    StoreSettings,
    decides,
    drops_realm,
)
from saslauthd_py.config.settings.address import LOOPBACK, TcpAddress
from saslauthd_py.config.settings.listen import IN_CLEAR
from saslauthd_py.config.settings.secret import in_line
from saslauthd_py.config.settings.values import quoted, suggestion

_PAM_FIRST = (
    "pam stands before another backend: a login that is the other's fails here first, and counts in PAM's own lockout (pam_faillock); "
    "put pam last, or give each its realms"
)


@dataclass(frozen=True, slots=True)
class Parts:
    """The tables that speak of each other, each in its place; None: it is there, and so wrong in itself that no more can be said."""

    listen: tuple[Listen | None, ...]
    backend: Mapping[str, BackendSettings | None]
    route: tuple[Route | None, ...]
    proxy_user: tuple[ProxyUser | None, ...]


def errors(parts: Parts) -> Iterator[Finding]:
    """Everything that keeps the daemon from starting."""
    yield from _absent(parts)
    yield from _same_place(parts)
    yield from _schemes(parts)
    yield from _any_pam_service(parts)
    yield from _same_authcid(parts)
    for place, route in enumerate(parts.route):
        if route is not None:
            yield from _unknown_names(place, route, parts)
            yield from _dropped_realms(place, route, parts)


def warnings(parts: Parts) -> Iterator[Finding]:
    """Everything that is allowed and hardly meant."""
    yield from _open_to_networks(parts)
    yield from _not_believed(parts)
    for name, backend in parts.backend.items():
        for key, text in backend.warnings() if isinstance(backend, LdapSettings | ImapSettings | HttpFormSettings) else ():
            yield Finding(("backend", name, key), text)
    used = {name for route in parts.route if route is not None for name in route.backends}
    for name in parts.backend:
        if name not in used:
            yield Finding(("backend", name), "no route uses this backend")
    for place, route in enumerate(parts.route):
        covering = next((first for first, earlier in enumerate(parts.route[:place]) if _covers(earlier, route)), None)
        if covering is not None:
            yield Finding(("route", place), f"never taken: route[{covering}] stands before it and takes all of this")
        if route is not None:
            for name in decided_by(route, parts)[:-1]:
                if isinstance(parts.backend.get(name), PamSettings):
                    yield Finding(("route", place, "backends", route.backends.index(name)), _PAM_FIRST)


def decided_by(route: Route, parts: Parts) -> tuple[str, ...]:
    """The backends of a route that it goes by, in their order."""
    return tuple(name for name in route.backends if (backend := parts.backend.get(name)) is None or decides(backend))


def in_line_secrets(parts: Parts) -> Iterator[Finding]:
    """Rule A8: for a file that every user of the machine can open."""
    for name, backend in parts.backend.items():
        for key in in_line(backend) if backend is not None else ():
            text = f"a secret in a file that is open to every user of this machine: chmod o= it, change the secret, or use {key}_file"
            yield Finding(("backend", name, key), text)


def _absent(parts: Parts) -> Iterator[Finding]:
    if not parts.listen:
        yield Finding((), "no listener, so nobody could ask: add a [[listen]] with protocol and path")
    if not parts.backend:
        yield Finding((), "no backend, so nobody could be known: add a [backend.NAME] with its type")
    if not parts.route:
        yield Finding((), "no route, so every login would be refused: add a [[route]] with realm and backends")


def _same_place(parts: Parts) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for place, listen in enumerate(parts.listen):
        if listen is None:
            continue
        key = "path" if listen.path is not None else "address"
        first = seen.setdefault(listen.key, place)
        if first != place:
            yield Finding(("listen", place, key), f"{quoted(listen.name)} is the {key} of listen[{first}] already")
        elif (wide := _overlapping(listen, parts.listen[:place])) is not None:
            text = f"{quoted(listen.name)} and the address of listen[{wide}] are one: every address of this machine has that port"
            yield Finding(("listen", place, key), text)


def _overlapping(listen: Listen, before: tuple[Listen | None, ...]) -> int | None:
    """The place of a listener at the same port, where one of the two is at all addresses of their kind."""
    address = listen.address
    for place, one in enumerate(before):
        other = one.address if one is not None else None
        if address is None or other is None or (address.port, address.host.version) != (other.port, other.host.version):
            continue
        if address.host.is_unspecified or other.host.is_unspecified:
            return place
    return None


def _open_to_networks(parts: Parts) -> Iterator[Finding]:
    for place, listen in enumerate(parts.listen):
        if listen is None or listen.address is None:
            continue
        if listen.exposed:
            yield Finding(("listen", place, "address"), IN_CLEAR)
        if listen.networks and not any(_reaches(network, listen.address) for network in listen.networks):
            yield Finding(("listen", place, "networks"), f"nobody from there can reach {quoted(listen.name)}: all who ask are refused")


def _not_believed(parts: Parts) -> Iterator[Finding]:
    for place, listen in enumerate(parts.listen):
        if listen is not None and listen.address is not None and listen.trust is None:
            text = (
                "neither the address nor the TLS of mail clients is believed here: limits, networks and fail2ban see none; "
                'say trust = "tls" if only the mail server can connect, or trust = "none" if that is meant'
            )
            yield Finding(("listen", place), text)


def _reaches(network: IPv4Network | IPv6Network, address: TcpAddress) -> bool:
    """Can a client with an address in the network connect to it?"""
    return network.version == address.host.version and (not address.loopback or network.overlaps(LOOPBACK[network.version]))


def _schemes(parts: Parts) -> Iterator[Finding]:
    stores = {name: backend for name, backend in parts.backend.items() if isinstance(backend, StoreSettings)}
    if not stores:
        return
    from saslauthd_py import passwords  # argon2 and libcrypt: not for a site without a store

    known = passwords.makeable()
    for name, store in stores.items():
        if store.scheme not in known:
            text = f"{quoted(store.scheme)} cannot be made here{suggestion(store.scheme, known)}; there are {', '.join(known)}"
            yield Finding(("backend", name, "scheme"), text)


def _any_pam_service(parts: Parts) -> Iterator[Finding]:
    for name, backend in parts.backend.items():
        if isinstance(backend, PamSettings) and not backend.services and backend.files_by_service:
            text = (
                "name the services: with none, whoever asks chooses any file in /etc/pam.d, and some let in whoever is root without a "
                'password (pam_rootok, in "su"), as those who make PAM\'s calls are; or name one file for all in pam_service'
            )
            yield Finding(("backend", name, "services"), text)


def _same_authcid(parts: Parts) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for place, grant in enumerate(parts.proxy_user):
        first = seen.setdefault(grant.authcid, place) if grant is not None else place
        if grant is not None and first != place:
            text = f"{quoted(grant.authcid)} is the authcid of proxy_user[{first}] already: say all that it may act as there"
            yield Finding(("proxy_user", place, "authcid"), text)


def _unknown_names(place: int, route: Route, parts: Parts) -> Iterator[Finding]:
    for at, name in enumerate(route.backends):
        if name not in parts.backend:
            text = f"there is no [{written_path(('backend', name))}]{suggestion(name, parts.backend)}"
            yield Finding(("route", place, "backends", at), text)
    names = [listen.name for listen in parts.listen if listen is not None]
    if len(names) == len(parts.listen):
        for at, name in enumerate(route.listener):
            if name not in (ANY, *names):
                key = "path" if name.startswith("/") else "address"
                yield Finding(("route", place, "listener", at), f"no [[listen]] has the {key} {quoted(name)}{suggestion(name, names)}")


def _dropped_realms(place: int, route: Route, parts: Parts) -> Iterator[Finding]:
    if ANY not in route.realm or route.ignore_realm:
        return
    for name in decided_by(route, parts):
        backend = parts.backend.get(name)
        by_path = isinstance(backend, PasswdFileSettings) and backend.realm_in_path
        if backend is None or by_path:
            continue
        if dropped := _dropped(backend):
            where, put = dropped
            text = (
                f'"*" takes every realm, and backend "{name}" drops it ({where}): alice@any.example would be '
                f"its alice. Name the realms here, put {put}, or say ignore_realm = true on this route if that is meant"
            )
            yield Finding(("route", place, "realm"), text)


def _dropped(backend: BackendSettings) -> tuple[str, str] | None:
    """Where a backend drops the realm, and what would keep it."""
    if drops_realm(backend.login):
        return f"login = {quoted(backend.login)}", "{realm} into login"
    if isinstance(backend, LdapSettings) and backend.drops_realm:
        key, text = ("filter", backend.filter) if backend.dn_template is None else ("dn_template", backend.dn_template)
        return f"{key} = {quoted(text)}", f"%r into its {key}"
    if isinstance(backend, HttpFormSettings) and backend.drops_realm:
        return f"body = {quoted(backend.body)}", "%r or %u into its body"
    return None


def _covers(earlier: Route | None, later: Route | None) -> bool:
    if earlier is None or later is None:
        return False
    pairs = ((earlier.realm, later.realm), (earlier.service, later.service), (earlier.listener, later.listener))
    return all(ANY in wide or set(narrow) <= set(wide) for wide, narrow in pairs)
