"""Which backends are asked for a name: routes in order, the first match of realm, service and listener is taken."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from saslauthd_py import identity
from saslauthd_py.backend import Backend, Watched
from saslauthd_py.identity import Identity, InvalidIdentity, fold_realm
from saslauthd_py.queue import Queue

ANY = "*"
"""In a route: every realm or none, every service, every listener."""


class Next(StrEnum):
    """The verdicts after which a route may ask its next backend."""

    UNKNOWN = "unknown"
    REJECTED = "rejected"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Member:
    """A backend as the configuration uses it: what it may be asked, how often at once, for how many seconds its proofs are remembered.

    `login` is its template of that name. `by_address`: it looks at where the mail client is, and may say another thing of another
    place. `used` takes the Unix time at which a credential was last accepted; a backend without such a
    memory has None.
    """

    name: str
    backend: Backend
    queue: Queue
    cache: float = 0.0
    services: frozenset[str] = frozenset()
    watched: Watched | None = None
    used: dict[int, float] | None = None
    login: str = "{local}@{realm}"
    by_address: bool = False

    def account(self, name: Identity) -> str:
        """What this backend calls the account, as `identity.account` makes it: where it ignores realms, one for all of them (rule B1)."""
        try:
            return identity.account(identity.render(self.login, name))
        except InvalidIdentity:  # too long for any account there
            return identity.account(name)


@dataclass(frozen=True, slots=True)
class Route:
    """One `[[route]]`. An empty realm is a name without one."""

    realms: frozenset[str]
    services: frozenset[str]
    listeners: frozenset[str]
    members: tuple[Member, ...]
    next_on: frozenset[Next] = frozenset({Next.UNKNOWN})

    def takes(self, realm: str, service: str, listener: str) -> bool:
        """`realm` as `identity.fold_realm` makes it."""
        return all(
            ANY in wanted or given in wanted
            for wanted, given in ((self.realms, realm), (self.services, service), (self.listeners, listener))
        )

    def accounts(self, name: Identity) -> tuple[str, ...]:
        """What its backends call the account, each name once: one guess counts against all of them."""
        return tuple(dict.fromkeys(member.account(name) for member in self.members))


class Routes:
    """All routes, in the order of the configuration."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = tuple(routes)
        self.members = {member.name: member for route in self._routes for member in route.members}

    def find(self, realm: str, service: str, listener: str) -> Route | None:
        """The first route that takes the request. None: nobody is asked, the login is refused (rule B3).

        Raises InvalidIdentity for a realm that is no domain name.
        """
        folded = fold_realm(realm)
        return next((route for route in self._routes if route.takes(folded, service, listener)), None)
