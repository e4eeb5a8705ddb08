"""Which backends are asked for a name: routes in order, the first match of realm, service and listener is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from saslauthd_py import identity
from saslauthd_py.backend import Backend, Keyed, Watched
from saslauthd_py.identity import Identity, InvalidIdentity, fold_realm
from saslauthd_py.queue import Queue
from saslauthd_py.verdict import Unavailable, Verdict

ANY = "*"
"""In a route: every realm or none, every service, every listener."""


_SHARE = 0.1


@dataclass(slots=True)
class Health:
    """How a backend has done since it was opened. `seconds`: a running mean of its calls, the last one a tenth of it.

    `failing` outages came one after the other, the last for this `cause`.
    """

    asked: int = 0
    outages: int = 0
    failing: int = 0
    cause: str = ""
    seconds: float = 0.0

    def note(self, verdict: Verdict, seconds: float) -> None:
        """Count an answer, and the seconds that it took."""
        self.seconds += (seconds - self.seconds) * (_SHARE if self.asked else 1.0)
        self.asked += 1
        if isinstance(verdict, Unavailable):
            self.outages += 1
            self.failing += 1
            self.cause = verdict.cause
        else:
            self.failing = 0
            self.cause = ""


@dataclass(slots=True)
class Compared:
    """What became of the logins that a backend was asked about after they had been decided, since it was opened.

    `unanswered`: it had an outage; `left_out`: it was not asked, for the same login was being compared, or as many as it may have.
    """

    alike: int = 0
    different: int = 0
    unanswered: int = 0
    left_out: int = 0
    under_way: int = 0


class Next(StrEnum):
    """The verdicts after which a route may ask its next backend."""

    UNKNOWN = "unknown"
    REJECTED = "rejected"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Member:
    """A backend as the configuration uses it: what it may be asked, how often at once, for how many seconds its proofs are remembered.

    `login` is its template of that name. `by_address`: it looks at where the mail client is, and may say another thing of another
    place. `slow_to_refuse`: a no may take it longer than a yes, and longer than the deadline, so a call that is cut off counts as a
    guess (rule D9). `used` takes the Unix time at which a credential was last accepted; a backend without such a memory has None.
    `keyed`: the backend once more, where it can judge a login without a secret. `compared`: it never decides, and is only compared with.
    `down` tells which of its servers are down, and why, where it has some. `forget` has it forget what it remembers of its users by
    itself, apart from proofs, where it does: an admin says that something has changed.
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
    slow_to_refuse: bool = False
    keyed: Keyed | None = None
    compared: Compared | None = None
    down: Callable[[], Mapping[str, str]] | None = None
    forget: Callable[[], None] | None = None
    health: Health = field(default_factory=Health)

    def account(self, name: Identity) -> str:
        """What this backend calls the account, as `identity.account` makes it: where it ignores realms, one for all of them (rule B1)."""
        try:
            return identity.account(identity.render(self.login, name))
        except InvalidIdentity:  # too long for any account there
            return identity.account(name)


@dataclass(frozen=True, slots=True)
class Route:
    """One `[[route]]`. An empty realm is a name without one. `beside` are the backends that are asked after `members` have decided."""

    realms: frozenset[str]
    services: frozenset[str]
    listeners: frozenset[str]
    members: tuple[Member, ...]
    next_on: frozenset[Next] = frozenset({Next.UNKNOWN})
    beside: tuple[tuple[Member, Compared], ...] = ()
    watched: tuple[Watched, ...] = field(init=False)
    """Those of `members` whose changes we see."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "watched", tuple(member.watched for member in self.members if member.watched is not None))

    def takes(self, realm: str, service: str, listener: str) -> bool:
        """`realm` as `identity.fold_realm` makes it."""
        return (
            (ANY in self.realms or realm in self.realms)
            and (ANY in self.services or service in self.services)
            and (ANY in self.listeners or listener in self.listeners)
        )

    def missed(self, realm: str, service: str, listener: str) -> tuple[str, ...]:
        """The keys by which this route does not take a request; `realm` as in `takes`."""
        keys = {"realm": (self.realms, realm), "service": (self.services, service), "listener": (self.listeners, listener)}
        return tuple(key for key, (wanted, given) in keys.items() if ANY not in wanted and given not in wanted)

    def accounts(self, name: Identity) -> tuple[str, ...]:
        """What its backends call the account, each name once: one guess counts against all of them."""
        if len(self.members) == 1:
            return (self.members[0].account(name),)
        return tuple(dict.fromkeys([member.account(name) for member in self.members]))


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
        for route in self._routes:
            if route.takes(folded, service, listener):
                return route
        return None

    def of_listener(self, listener: str) -> tuple[Route, ...]:
        """Those that may take a login there, in their order."""
        return tuple(route for route in self._routes if not {ANY, listener}.isdisjoint(route.listeners))

    def __len__(self) -> int:
        return len(self._routes)

    def number(self, route: Route) -> int:
        """Its place in the configuration, from 0."""
        return next(place for place, one in enumerate(self._routes) if one is route)

    def missed(self, realm: str, service: str, listener: str) -> list[dict[str, tuple[str, ...]]]:
        """For each route in order: what it wants in the keys by which it does not take a request. Raises InvalidIdentity as `find`."""
        folded = fold_realm(realm)
        return [
            {key: tuple(sorted(getattr(route, f"{key}s"))) for key in route.missed(folded, service, listener)} for route in self._routes
        ]
