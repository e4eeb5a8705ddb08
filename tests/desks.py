"""An authenticator over scripted backends, on virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

import trio

from saslauthd_py import identity
from saslauthd_py.admission import Admission
from saslauthd_py.authenticator import Authenticator, Decision, Grounds, Question
from saslauthd_py.backend import Attempt, Keyed
from saslauthd_py.cache import Cache
from saslauthd_py.config.settings import AdmissionSettings, ProxyUser
from saslauthd_py.identity import Identity
from saslauthd_py.proxy_users import ProxyUsers
from saslauthd_py.queue import Queue
from saslauthd_py.routing import Compared, Member, Next, Route, Routes
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Reason, Rejected, Verdict
from tests.front.fronts import ScriptedBackend

EVERYTHING = frozenset({"*"})
WRONG = Rejected(Reason.WRONG_SECRET)


@dataclass
class Desk:
    """An authenticator over scripted backends, asked by name and secret."""

    backends: dict[str, ScriptedBackend]
    cache: Cache
    authenticator: Authenticator

    async def ask(
        self,
        name: str = "alice@example.test",
        secret: bytes = b"pw1",
        service: str = "smtp",
        listener: int = 0,
        address: str = "",
        authzid: Identity | None = None,
    ) -> Decision:
        who = identity.split(name)
        state = self.cache.state(listener)
        state.update(
            b"".join(len(one).to_bytes(2, "big") + one for one in (who.local.encode(), secret, service.encode(), who.realm.encode()))
        )
        attempt = Attempt(who, Secret(secret), service, ip_address(address) if address else None)
        return await self.authenticator.verify(Question(attempt, f"/run/{listener}", state.digest(), authzid))


@dataclass(frozen=True)
class Plan:
    """One route over all backends, unless `routes` names others."""

    next_on: frozenset[Next] = frozenset({Next.UNKNOWN})
    realms: frozenset[str] = EVERYTHING
    ttl: dict[str, float] = field(default_factory=dict)
    services: dict[str, frozenset[str]] = field(default_factory=dict)
    logins: dict[str, str] = field(default_factory=dict)
    by_address: frozenset[str] = frozenset()
    deadline: float = 8.0
    places: int = 64
    admission: AdmissionSettings = field(default_factory=AdmissionSettings)
    grants: tuple[ProxyUser, ...] = ()
    keyed: dict[str, Keyed] = field(default_factory=dict)
    compared: dict[str, Compared] = field(default_factory=dict)


@asynccontextmanager
async def desk(plan: Plan | None = None, **backends: ScriptedBackend) -> AsyncIterator[Desk]:
    plan = plan or Plan()
    cache = Cache(1000, trio.current_time, tuple(backends.items()))
    members = tuple(
        Member(
            name,
            backend,
            Queue(plan.places),
            plan.ttl.get(name, 60.0),
            plan.services.get(name, frozenset()),
            backend,
            {},
            plan.logins.get(name, "{local}@{realm}"),
            name in plan.by_address,
            keyed=plan.keyed.get(name),
            compared=plan.compared.get(name),
        )
        for name, backend in backends.items()
    )
    deciding = tuple(member for member in members if member.compared is None)
    beside = tuple((member, member.compared) for member in members if member.compared is not None)
    async with trio.open_nursery() as nursery:
        routes = Routes([Route(plan.realms, EVERYTHING, EVERYTHING, deciding, plan.next_on, beside)])
        grounds = Grounds(routes, cache, Admission(plan.admission, trio.current_time), ProxyUsers(plan.grants))
        yield Desk(backends, cache, Authenticator(grounds, nursery, plan.deadline))
        nursery.cancel_scope.cancel()


def grant(authcid: str, *may_act_as: str) -> ProxyUser:
    return ProxyUser.model_validate({"authcid": authcid, "may_act_as": list(may_act_as)})


def says(*verdicts: Verdict | Exception) -> ScriptedBackend:
    return ScriptedBackend(verdicts=list(verdicts))
