"""The steps of a decision as a trace tells them: what was wanted, what was found, and never a secret."""

from __future__ import annotations

from saslauthd_py import trace
from saslauthd_py.admission import Entry
from saslauthd_py.backend import KeysFound
from saslauthd_py.cache import Cache, Proof
from saslauthd_py.identity import InvalidIdentity
from saslauthd_py.keys import AccountKeys
from saslauthd_py.routing import Member, Route, Routes
from saslauthd_py.trace import Fact
from saslauthd_py.verdict import Accepted, Rejected, Unavailable, UnknownUser, Verdict


def said(verdict: Verdict | KeysFound) -> dict[str, Fact]:
    """A verdict as facts: its word, and its reason or cause. Keys are the yes of who was asked for them."""
    match verdict:
        case KeysFound():
            return {"verdict": "keys"}
        case Accepted():
            return {"verdict": "accepted"}
        case Rejected(reason):
            return {"verdict": "rejected", "reason": reason}
        case UnknownUser():
            return {"verdict": "rejected", "reason": "unknown-user"}
        case Unavailable(cause):
            return {"verdict": "unavailable", "cause": cause}


def routed(routes: Routes, realm: str, service: str, listener: str, route: Route | None) -> None:
    """Which route took it, by its number as the configuration counts; or what each one wanted otherwise."""
    if not trace.recorded():
        return
    if route is not None:
        names = [member.name for member in route.members]
        trace.note("route", number=routes.number(route), of=len(routes), backends=names, next_on=sorted(route.next_on), **_wanted(route))
        return
    try:
        missed = routes.missed(realm, service, listener)
    except InvalidIdentity as error:
        trace.note("no-route", why=str(error))
    else:
        trace.note("no-route", missed=missed, realm=realm, service=service, listener=listener)


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
    if not trace.recorded():
        return
    trace.note("admission", ticket=entry.urgent, limits=len(entry.keys), refused=entry.refused.cause if entry.refused else "")


def settled(entry: Entry, verdict: Verdict) -> None:
    """What the attempt cost; `free`: why it cost nothing."""
    if not trace.recorded():
        return
    limited = isinstance(verdict, Unavailable) and verdict.limited
    trace.note("counted", failure=entry.taken, limited=limited, free="" if entry.taken or limited else _free(entry, verdict))


def judged(verdict: Verdict) -> None:
    """What the credential's own rules say of a proved secret."""
    if trace.recorded():
        trace.note("rules", **said(verdict))


def asked(member: Member, verdict: Verdict | KeysFound, seconds: float) -> None:
    """What a backend said, and how long its call took."""
    if trace.recorded():
        trace.note("backend", name=member.name, ms=round(seconds * 1000, 3), **said(verdict))


def offered(keys: AccountKeys, member: Member | None, answer: Verdict | KeysFound) -> None:
    """What an exchange goes by: an account's keys, or a decoy, and what it will be refused for. The client is told nothing of that."""
    name = "keys" if keys.secrets else "decoy"
    trace.note(name, backend=member.name if member else "", rounds=keys.rounds, secrets=len(keys.secrets), **said(answer))


def limited(entry: Entry) -> None:
    """What admission said of an exchange when its proof came. It goes on over a limit too, in case that has a ticket."""
    trace.note("limits", limits=len(entry.keys), met=entry.refused.cause if entry.refused else "")


def claimed(entry: Entry) -> None:
    """The proof of an exchange is right."""
    trace.note("proof", ticket=entry.urgent)


def _free(entry: Entry, verdict: Verdict) -> str:
    match verdict:
        case Accepted():
            return "accepted"
        case Unavailable() if not entry.judged:
            return "unjudged"
    return "repeated"


def _wanted(route: Route) -> dict[str, Fact]:
    return {"realm": sorted(route.realms), "service": sorted(route.services), "listener": sorted(route.listeners)}
