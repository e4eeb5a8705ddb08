"""The one place that decides: cache, route, admission, chain of backends, the credential's rules, and what may be remembered.

A verdict is made once for all who ask the same thing from the same place at the same time, by a task of the authenticator's own
(rule C8), and is one attempt. What is remembered of it is a fact about a secret; whether it may be used is judged at every use.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field, replace
from typing import assert_never

import trio

from saslauthd_py import identity, rules, steps, trace
from saslauthd_py.admission import UNROUTED, Admission, Entry
from saslauthd_py.backend import Address, Attempt
from saslauthd_py.cache import Cache, Proof
from saslauthd_py.identity import Identity, InvalidIdentity
from saslauthd_py.queue import CALLER, Caller
from saslauthd_py.routing import Member, Next, Route, Routes
from saslauthd_py.verdict import FINAL_REASONS, Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict

_logger = logging.getLogger(__name__)

_TRIES = 3
"""Proofs of one attempt whose account changes while they are made. After that many nobody can tell (rule C8)."""


@dataclass(frozen=True, slots=True)
class Question:
    """An attempt as one listener received it; `key` is the MAC that its proof goes by, `listener` its path for routes and log."""

    attempt: Attempt
    listener: str
    key: bytes


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict, and what the log says of it. `user` is the identity that the backend confirmed, else the one that was asked (rule B1)."""

    verdict: Verdict
    user: str
    backend: str = ""
    cached: bool = False


@dataclass(frozen=True, slots=True)
class _Proved:
    """What a chain of backends said, in their order, and the one among them whose verdict it is; None: nobody was asked."""

    verdict: Verdict
    member: Member | None = None
    said: tuple[tuple[Member, Verdict], ...] = ()


_Name = tuple[bytes, Address | None, tuple[int, ...]]


@dataclass(slots=True)
class _Flight:
    question: Question
    route: Route
    entry: Entry
    proved: _Proved = _Proved(Unavailable("the daemon is stopping"))
    done: trio.Event = field(default_factory=trio.Event)


class Authenticator:
    """Decides for all listeners. `nursery` owns the flights: who asked may be cancelled, a proof goes on and is remembered.

    `deadline` is the seconds that a flight may take, from its first request on. `admission` outlives a reload, all else does not.
    """

    def __init__(self, routes: Routes, cache: Cache, nursery: trio.Nursery, deadline: float, admission: Admission) -> None:
        self._routes = routes
        self._cache = cache
        self._nursery = nursery
        self._deadline = deadline
        self._admission = admission
        self._flights: dict[_Name, _Flight] = {}

    async def verify(self, question: Question) -> Decision:
        """Decide. Never raises for what clients or backends do. Cancelling it leaves the proof to others that wait for it."""
        attempt = question.attempt
        now = self._cache.clock()
        sure = self._cache.look(now)
        try:
            route = self._routes.find(attempt.identity.realm, attempt.service, question.listener)
        except InvalidIdentity:
            route = None
        steps.routed(self._routes, attempt, question.listener, route)
        if route is None:
            return Decision(self._count(attempt, (UNROUTED,), Rejected(Reason.NO_ROUTE)), str(attempt.identity))
        proof = self._cache.find(question.key, now) if sure else None
        if proof is not None and proof.address not in (None, attempt.address):
            proof = None
        steps.looked(self._cache, proof, sure=sure)
        if proof is not None:
            return await self._from_cache(attempt, proof, route)
        proved = await self._join(question, route, sure=sure)
        if isinstance(proved.verdict, Accepted) and proved.member is not None and proved.member.used is not None:
            proved.member.used[proved.verdict.credential] = time.time()
        confirmed = next((verdict.identity for _, verdict in proved.said if isinstance(verdict, Accepted)), attempt.identity)
        return Decision(proved.verdict, str(confirmed), proved.member.name if proved.member else "")

    async def _from_cache(self, attempt: Attempt, proof: Proof, route: Route) -> Decision:
        backend = proof.asked[-1]
        if reason := rules.judge(proof.restrictions, attempt.service, attempt.address, time.time()):
            steps.judged(Rejected(reason))
            verdict = self._count(attempt, route.accounts(attempt.identity), Rejected(reason))
            if isinstance(verdict, Rejected):  # at no cost, a refusal would tell that the secret is right
                await self._pretend(self._routes.members[backend], attempt)
            return Decision(verdict, proof.user, backend, cached=True)
        if proof.used is not None:
            proof.used[proof.credential] = time.time()
        return Decision(Accepted(attempt.identity), proof.user, backend, cached=True)

    def _count(self, attempt: Attempt, accounts: tuple[str, ...], verdict: Verdict) -> Verdict:
        """What is answered to an attempt whose verdict is known without any backend."""
        entry = self._enter(attempt, accounts)
        return entry.refused or self._settle(entry, verdict)

    def _enter(self, attempt: Attempt, accounts: tuple[str, ...]) -> Entry:
        entry = self._admission.enter(attempt, accounts)
        steps.entered(entry)
        return entry

    def _settle(self, entry: Entry, verdict: Verdict) -> Verdict:
        settled = self._admission.settle(entry, verdict)
        steps.settled(entry, settled)
        return settled

    async def _join(self, question: Question, route: Route, *, sure: bool) -> _Proved:
        """The flight for this question: the one in the air if it is `sure` that the account has not changed since, else a new one."""
        name = question.key, question.attempt.address, (self._cache.flushes, *_generations(route, question.attempt.identity))
        flight = joined = self._flights.get(name) if sure else None
        if flight is None:
            entry = self._enter(question.attempt, route.accounts(question.attempt.identity))
            if entry.refused:
                return _Proved(entry.refused)
            flight = self._flights[name] = _Flight(question, route, entry)
            self._nursery.start_soon(self._fly, name, flight)
        else:
            trace.note("joined")
        await flight.done.wait()
        if joined and isinstance(flight.proved.verdict, Accepted) and not flight.proved.verdict.replayable:
            return await self._join(question, route, sure=False)
        return flight.proved

    async def _fly(self, name: _Name, flight: _Flight) -> None:
        try:
            with trio.move_on_after(self._deadline) as scope:
                proved = await self._prove(flight)
            if scope.cancelled_caught:
                proved = _Proved(Unavailable(f"no answer within {self._deadline:g} s"), flight.route.members[0])
            verdict = self._settle(flight.entry, _permit(flight.question.attempt, proved.verdict))
            flight.proved = replace(proved, verdict=verdict)
        except Exception:
            _logger.exception("bug while a login was decided; it is answered as unavailable, and counts as an attempt")
            flight.proved = _Proved(Unavailable("bug, see the traceback"), flight.route.members[0])
        finally:
            if self._flights.get(name) is flight:
                del self._flights[name]
            flight.done.set()

    async def _prove(self, flight: _Flight) -> _Proved:
        question, route = flight.question, flight.route
        attempt = replace(question.attempt, urgent=flight.entry.urgent)
        for _ in range(_TRIES):
            generations, flushes = _generations(route, attempt.identity), self._cache.flushes
            proved = await self._ask_chain(route, attempt, flight.entry)
            if isinstance(proved.verdict, Unavailable):
                return proved
            sure = self._cache.look(self._cache.clock())
            if _generations(route, attempt.identity) != generations:
                continue
            if sure and isinstance(proved.verdict, Accepted) and self._cache.flushes == flushes:
                self._remember(question, proved, proved.verdict)
            elif proved.verdict == Rejected(Reason.WRONG_SECRET):
                self._cache.forget(question.key)
            return proved
        return _Proved(Unavailable("the account kept changing while it was verified"), proved.member)

    async def _ask_chain(self, route: Route, attempt: Attempt, entry: Entry) -> _Proved:
        """Ask a route's backends in order. After an outage only a yes still counts; a lock or expiry ends the chain (rule B4)."""
        said: list[tuple[Member, Verdict]] = []
        for member in route.members:
            async with member.queue.turn(self._call(member, attempt)):
                try:
                    verdict = await _ask(member, attempt)
                except trio.Cancelled:
                    entry.judged |= member.slow_to_refuse
                    raise
                entry.judged |= _judged(verdict)
                said.append((member, verdict))
                last = len(said) == len(route.members) or not _goes_on(verdict, route)
                if last and not any(isinstance(one, Unavailable) or _judged(one) for _, one in said):
                    await member.backend.pretend(attempt.secret)  # rule D6: once, at the end of the chain
            if last:
                break
        member, verdict = min(said, key=lambda one: _weight(one[1]))
        return _Proved(_held(verdict, said), member, tuple(said))

    async def _pretend(self, member: Member, attempt: Attempt) -> None:
        async with member.queue.turn(self._call(member, attempt)):
            await member.backend.pretend(attempt.secret)

    def _call(self, member: Member, attempt: Attempt) -> Caller:
        """In whose name this task now works, and waits for its turns."""
        caller = Caller(member.account(attempt.identity), self._admission.network(attempt.address), attempt.urgent)
        CALLER.set(caller)
        return caller

    def _remember(self, question: Question, proved: _Proved, verdict: Accepted) -> None:
        """Keep a proof for as long as every backend that was asked allows, and no longer than its credential lives (rules C3, C7).

        One that was found behind an outage is not kept: what the backend before it would have said is not known.
        """
        asked = tuple(member for member, _ in proved.said)
        seconds = min(member.cache for member in asked)
        if verdict.restrictions.expires is not None:
            seconds = min(seconds, verdict.restrictions.expires - time.time())
        if seconds <= 0 or not verdict.replayable or any(isinstance(one, Unavailable) for _, one in proved.said):
            return
        attempt, member = question.attempt, asked[-1]
        until = self._cache.clock() + seconds
        address = attempt.address if any(each.by_address for each in asked) else None
        proof = Proof(
            until=until,
            inline_until=until if verdict.restrictions.none and address is None else 0.0,
            accounts=tuple(
                {identity.account(verdict.identity), identity.account(attempt.identity)}
                | {each.watched.account(attempt.identity) for each in asked if each.watched is not None}
            ),
            secret=self._cache.secret_mac(attempt.secret.reveal()),
            user=str(verdict.identity),
            asked=tuple(each.name for each in asked),
            restrictions=verdict.restrictions,
            used=member.used,
            credential=verdict.credential,
            address=address,
            service=attempt.service,
        )
        self._cache.remember(question.key, proof, sole=verdict.sole)
        trace.note("remembered", seconds=round(seconds, 1))


def _permit(attempt: Attempt, verdict: Verdict) -> Verdict:
    if not isinstance(verdict, Accepted):
        return verdict
    reason = rules.judge(verdict.restrictions, attempt.service, attempt.address, time.time())
    permitted = Rejected(reason) if reason else verdict
    steps.judged(permitted)
    return permitted


def _generations(route: Route, name: Identity) -> tuple[int, ...]:
    return tuple(member.watched.generation(name) for member in route.members if member.watched is not None)


async def _ask(member: Member, attempt: Attempt) -> Verdict:
    if member.services and attempt.service not in member.services:
        trace.note("not-asked", name=member.name, services=sorted(member.services), service=attempt.service)
        return Rejected(Reason.SERVICE)  # judged without the secret, so the backend never sees it (rule D9)
    trace.note("asking", name=member.name)
    began = time.monotonic()
    verdict: Verdict = Unavailable("no answer in time")  # what is noted when this is cancelled
    try:
        verdict = await member.backend.verify_password(attempt)
    except Exception:
        _logger.exception("bug in backend %s; the login is answered as unavailable", member.name)
        verdict = Unavailable("bug, see the traceback", judged=True)  # it may have been: nobody can tell
    finally:
        seconds = time.monotonic() - began
        member.health.note(verdict, seconds)
        steps.asked(member, verdict, seconds)
    return verdict


def _judged(verdict: Verdict) -> bool:
    """Whether a backend has compared the secret with anything."""
    match verdict:
        case Accepted() | Rejected(reason=Reason.WRONG_SECRET):
            return True
        case Unavailable(judged=judged):
            return judged
        case _:
            return False


def _held(verdict: Verdict, said: list[tuple[Member, Verdict]]) -> Verdict:
    """A no of a chain is held back once, for the longest time that one of its backends wants."""
    if not isinstance(verdict, Rejected | UnknownUser):
        return verdict
    return replace(verdict, hold=max(one.hold for _, one in said if isinstance(one, Rejected | UnknownUser)))


def _goes_on(verdict: Verdict, route: Route) -> bool:
    match verdict:
        case UnknownUser():
            return Next.UNKNOWN in route.next_on
        case Unavailable():
            return Next.UNAVAILABLE in route.next_on
        case Rejected(reason):
            return reason not in FINAL_REASONS and Next.REJECTED in route.next_on
        case Accepted():
            return False
    assert_never(verdict)


def _weight(verdict: Verdict) -> int:
    """Which of a chain's verdicts speaks for it: a yes, an outage, then a lock or expiry, then any no, then the unknown user."""
    match verdict:
        case Accepted():
            return 0
        case Unavailable():
            return 1
        case Rejected(reason):
            return 2 if reason in FINAL_REASONS else 3
        case UnknownUser():
            return 4
    assert_never(verdict)
