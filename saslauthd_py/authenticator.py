"""The one place that decides: cache, route, chain of backends, the credential's rules, and what may be remembered.

A verdict is proved once for all who ask the same thing at the same time, by a task of the authenticator's own (rule C8). What was
proved is a fact about a secret; whether it may be used here and now is judged for each who asked.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import assert_never

import trio

from saslauthd_py import identity, rules
from saslauthd_py.backend import Attempt
from saslauthd_py.cache import Cache, Proof
from saslauthd_py.identity import Identity, InvalidIdentity
from saslauthd_py.log import kv
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
    """What a chain of backends said: `asked` in their order, and the one among them whose verdict it is."""

    verdict: Verdict
    member: Member
    asked: tuple[Member, ...] = ()


@dataclass(slots=True)
class _Flight:
    proved: _Proved
    done: trio.Event = field(default_factory=trio.Event)


class Authenticator:
    """Decides for all listeners. `nursery` owns the flights: who asked may be cancelled, a proof goes on and is remembered.

    `deadline` is the seconds that a flight may take, from its first request on.
    """

    def __init__(self, routes: Routes, cache: Cache, nursery: trio.Nursery, deadline: float) -> None:
        self._routes = routes
        self._cache = cache
        self._nursery = nursery
        self._deadline = deadline
        self._flights: dict[tuple[bytes, tuple[int, ...]], _Flight] = {}

    async def verify(self, question: Question) -> Decision:
        """Decide. Never raises for what clients or backends do. Cancelling it leaves the proof to others that wait for it."""
        attempt = question.attempt
        now = self._cache.clock()
        sure = self._cache.look(now)
        if sure and (proof := self._cache.find(question.key, now)):
            return await self._from_cache(question, proof)
        try:
            route = self._routes.find(attempt.identity.realm, attempt.service, question.listener)
        except InvalidIdentity:
            route = None
        if route is None:
            return Decision(Rejected(Reason.NO_ROUTE), str(attempt.identity))
        proved = await self._join(question, route, sure=sure)
        if not isinstance(proved.verdict, Accepted):
            return Decision(proved.verdict, str(attempt.identity), proved.member.name)
        verdict = _permit(attempt, proved.verdict)
        if isinstance(verdict, Accepted) and proved.member.used is not None:
            proved.member.used[verdict.credential] = time.time()
        return Decision(verdict, str(proved.verdict.identity), proved.member.name)

    async def _from_cache(self, question: Question, proof: Proof) -> Decision:
        attempt, backend = question.attempt, proof.asked[-1]
        if reason := rules.judge(proof.restrictions, attempt.service, attempt.address, time.time()):
            await self._routes.members[backend].backend.pretend(attempt.secret)  # at no cost, a refusal would tell that the secret is right
            return Decision(Rejected(reason), proof.user, backend, cached=True)
        if proof.used is not None:
            proof.used[proof.credential] = time.time()
        return Decision(Accepted(attempt.identity), proof.user, backend, cached=True)

    async def _join(self, question: Question, route: Route, *, sure: bool) -> _Proved:
        """The flight for this question: the one in the air if it is `sure` that the account has not changed since, else a new one."""
        name = question.key, _generations(route, question.attempt.identity)
        flight = joined = self._flights.get(name) if sure else None
        if flight is None:
            flight = self._flights[name] = _Flight(_Proved(Unavailable("the daemon is stopping"), route.members[0]))
            self._nursery.start_soon(self._fly, name, flight, question, route)
        await flight.done.wait()
        if joined and isinstance(flight.proved.verdict, Accepted) and not flight.proved.verdict.replayable:
            return await self._join(question, route, sure=False)
        return flight.proved

    async def _fly(self, name: tuple[bytes, tuple[int, ...]], flight: _Flight, question: Question, route: Route) -> None:
        try:
            with trio.move_on_after(self._deadline) as scope:
                flight.proved = await self._prove(question, route)
            if scope.cancelled_caught:
                flight.proved = _Proved(Unavailable(f"no answer within {self._deadline:g} s"), route.members[0])
        except Exception:
            _logger.exception("bug while a login was decided; it is answered as unavailable")
            flight.proved = _Proved(Unavailable("bug, see the traceback"), route.members[0])
        finally:
            if self._flights.get(name) is flight:
                del self._flights[name]
            flight.done.set()

    async def _prove(self, question: Question, route: Route) -> _Proved:
        attempt = question.attempt
        for _ in range(_TRIES):
            generations = _generations(route, attempt.identity)
            proved = await _ask_chain(route, attempt)
            if isinstance(proved.verdict, Unavailable):
                return proved
            sure = self._cache.look(self._cache.clock())
            if _generations(route, attempt.identity) != generations:
                continue
            if sure and isinstance(proved.verdict, Accepted):
                self._remember(question, proved, proved.verdict)
            elif proved.verdict == Rejected(Reason.WRONG_SECRET):
                self._cache.forget(question.key)
            return proved
        return _Proved(Unavailable("the account kept changing while it was verified"), proved.member, proved.asked)

    def _remember(self, question: Question, proved: _Proved, verdict: Accepted) -> None:
        """Keep a proof for as long as every backend that was asked allows, and no longer than its credential lives (rules C3, C7)."""
        seconds = min(member.cache for member in proved.asked)
        if verdict.restrictions.expires is not None:
            seconds = min(seconds, verdict.restrictions.expires - time.time())
        if seconds <= 0 or not verdict.replayable:
            return
        attempt, member = question.attempt, proved.member
        until = self._cache.clock() + seconds
        user = str(verdict.identity)
        proof = Proof(
            until=until,
            inline_until=until if verdict.restrictions.none else 0.0,
            accounts=tuple(
                {identity.account(verdict.identity), identity.account(attempt.identity)}
                | {each.watched.account(attempt.identity) for each in proved.asked if each.watched is not None}
            ),
            secret=self._cache.secret_mac(attempt.secret.reveal()),
            user=user,
            asked=tuple(each.name for each in proved.asked),
            line=kv.cached(user, member.name, attempt.service, question.listener),
            restrictions=verdict.restrictions,
            used=member.used,
            credential=verdict.credential,
        )
        self._cache.remember(question.key, proof, sole=verdict.sole)


def _permit(attempt: Attempt, verdict: Accepted) -> Verdict:
    reason = rules.judge(verdict.restrictions, attempt.service, attempt.address, time.time())
    return Rejected(reason) if reason else verdict


def _generations(route: Route, name: Identity) -> tuple[int, ...]:
    return tuple(member.watched.generation(name) for member in route.members if member.watched is not None)


async def _ask_chain(route: Route, attempt: Attempt) -> _Proved:
    """Ask a route's backends in order. After an outage only a yes still counts; a lock or expiry ends the chain (rule B4)."""
    said: list[tuple[Member, Verdict]] = []
    for member in route.members:
        verdict = await _ask(member, attempt)
        said.append((member, verdict))
        if isinstance(verdict, Accepted) or not _goes_on(verdict, route):
            break
    asked = tuple(member for member, _ in said)
    if isinstance(verdict, Accepted):
        return _Proved(verdict, member, asked)
    member, verdict = min(said, key=lambda one: _weight(one[1]))
    compared = any(one == Rejected(Reason.WRONG_SECRET) for _, one in said)
    if not compared and not isinstance(verdict, Unavailable):
        await asked[-1].backend.pretend(attempt.secret)  # rule D6: once, at the end of the chain
    return _Proved(verdict, member, asked)


async def _ask(member: Member, attempt: Attempt) -> Verdict:
    if member.services and attempt.service not in member.services:
        return Rejected(Reason.SERVICE)  # judged without the secret, so the backend never sees it (rule D9)
    try:
        async with member.limit:
            return await member.backend.verify_password(attempt)
    except Exception:
        _logger.exception("bug in backend %s; the login is answered as unavailable", member.name)
        return Unavailable("bug, see the traceback")


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
    """Which of a chain's refusals speaks for it: an outage, then a lock or expiry, then any no, then the unknown user."""
    match verdict:
        case Unavailable():
            return 0
        case Rejected(reason):
            return 1 if reason in FINAL_REASONS else 2
        case _:
            return 3
