"""From a name as a client types it to what each backend is asked for: the split, the route, the login."""

from __future__ import annotations

from dataclasses import dataclass

from saslauthd_py import identity
from saslauthd_py.config.settings import AnyBackend, Listen, Settings
from saslauthd_py.config.settings.saslauthd import decides
from saslauthd_py.credential import service_word
from saslauthd_py.identity import Identity
from saslauthd_py.mta.caller import Caller
from saslauthd_py.routing import Route, Routes


@dataclass(frozen=True, slots=True)
class Lookup:
    """A name, who it becomes, and the login that each backend of its route is asked for; none: no route takes it."""

    name: str
    identity: Identity
    logins: tuple[tuple[str, AnyBackend, Identity], ...] = ()

    def __str__(self) -> str:
        asked = ", ".join(f"{login} in {name}" for name, _, login in self.logins)
        realm = f"realm {self.identity.realm}" if self.identity.realm else "no realm"
        return f"{self.name} is {self.identity.local}, {realm}: " + (f"asked as {asked}" if asked else "no [[route]] takes it")


def sent(name: str, caller: Caller) -> tuple[str, str]:
    """Name and realm as the daemon gets them: libsasl splits at the last @, and gives a name without one the application's realm."""
    if caller.name_whole:
        return name, ""
    local, at, realm = name.rpartition("@")
    if at and realm.lower() == caller.realm_taken_off.lower():
        return local, ""
    return (local, realm) if at else (name, caller.realm)


def look_up(settings: Settings, name: str, caller: Caller | None, listen: Listen | None) -> Lookup:
    """The lookup of a name that comes by way of `caller` (None: whole) to a listener (None: any). Raises InvalidIdentity."""
    given, realm = sent(name, caller) if caller is not None else (name, "")
    who = identity.split(given, realm, settings.identity.default_realm)
    service = service_word(caller.service if caller is not None else "smtp")
    routes = Routes(Route(frozenset(one.realm), frozenset(one.service), frozenset(one.listener), ()) for one in settings.route)
    found = routes.find(who.realm, service, listen.name if listen is not None else "*")
    if found is None:
        return Lookup(name, who)
    names = (one for one in settings.route[routes.number(found)].backends if decides(settings.backend[one]))
    logins = ((one, settings.backend[one], identity.render(settings.backend[one].login, who)) for one in names)
    return Lookup(name, who, tuple(logins))
