"""The steps of a decision as a trace tells them: what was wanted, what was found, and never a secret."""

from __future__ import annotations

from saslauthd_py import trace
from saslauthd_py.admission import Entry
from saslauthd_py.backend import Attempt
from saslauthd_py.cache import Cache, Proof
from saslauthd_py.identity import InvalidIdentity
from saslauthd_py.routing import Member, Route, Routes
from saslauthd_py.trace import Fact
from saslauthd_py.verdict import Accepted, Rejected, Unavailable, UnknownUser, Verdict


def said(verdict: Verdict) -> dict[str, Fact]:
    """A verdict as facts: its word, and its reason or cause."""
    match verdict:
        case Accepted():
            return {"verdict": "accepted"}
        case Rejected(reason):
            return {"verdict": "rejected", "reason": reason}
        case UnknownUser():
            return {"verdict": "rejected", "reason": "unknown-user"}
        case Unavailable(cause):
            return {"verdict": "unavailable", "cause": cause}


def routed(routes: Routes, attempt: Attempt, listener: str, route: Route | None) -> None:
    """Which route took it, by its number from 1; or what each one wanted otherwise."""
    if not trace.recorded():
        return
    if route is not None:
        names = [member.name for member in route.members]
        trace.note("route", number=routes.number(route), of=len(routes), backends=names, next_on=sorted(route.next_on), **_wanted(route))
        return
    try:
        missed = routes.missed(attempt.identity.realm, attempt.service, listener)
    except InvalidIdentity as error:
        trace.note("no-route", why=str(error))
    else:
        trace.note("no-route", missed=missed, realm=attempt.identity.realm, service=attempt.service, listener=listener)


def looked(cache: Cache, proof: Proof | None, *, sure: bool) -> None:
    """What the cache knows of this very question; not `sure`: it may not be used now, and why."""
    if not trace.recorded():
        return
    if not sure:
        trace.note("cache", hit=False, unreadable=dict(cache.unreadable), busy=not cache.unreadable)
    elif proof is None:
        trace.note("cache", hit=False)
    else:
        trace.note("cache", hit=True, user=proof.user, backend=proof.asked[-1], left=round(proof.until - cache.clock(), 1))


def entered(entry: Entry) -> None:
    """What admission did before anybody was asked."""
    trace.note("admission", ticket=entry.urgent, limits=len(entry.keys), refused=entry.refused.cause if entry.refused else "")


def settled(entry: Entry, verdict: Verdict) -> None:
    """What the attempt cost."""
    trace.note("counted", failure=entry.taken, limited=isinstance(verdict, Unavailable) and verdict.limited)


def judged(verdict: Verdict) -> None:
    """What the credential's own rules say of a proved secret."""
    trace.note("rules", **said(verdict))


def _wanted(route: Route) -> dict[str, Fact]:
    return {"realm": sorted(route.realms), "service": sorted(route.services), "listener": sorted(route.listeners)}


def asked(member: Member, verdict: Verdict, seconds: float) -> None:
    """What a backend said, and how long its call took."""
    trace.note("backend", name=member.name, ms=round(seconds * 1000, 3), **said(verdict))
