"""Proofs in the making: each is made once for all who ask the same thing, by a task that no client's end cancels (rule C8).

So what it finds out is one attempt, and is remembered whoever has gone meanwhile.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import trio

from saslauthd_py import identity, rules, steps, trace
from saslauthd_py.admission import Entry
from saslauthd_py.authenticator import chain
from saslauthd_py.authenticator.chain import Heard
from saslauthd_py.authenticator.comparing import Comparing
from saslauthd_py.authenticator.crew import Crew
from saslauthd_py.authenticator.question import Grounds, Question, late
from saslauthd_py.backend import Address, Attempt
from saslauthd_py.cache import Proof
from saslauthd_py.identity import Identity
from saslauthd_py.routing import Route
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, Verdict

_logger = logging.getLogger(__name__)

_TRIES = 3
"""Proofs of one attempt whose account changes while they are made. After that many nobody can tell (rule C8)."""

_Name = tuple[bytes, Address | None, tuple[int, ...]]


Landed = Callable[[Heard[Verdict] | None], None]
"""Is told what a flight has found out; None: it was ended, and so is everything. Never raises."""

_STOPPING: Heard[Verdict] = Heard(Unavailable("the daemon is stopping"))


@dataclass(slots=True, eq=False)
class _Flight:
    """A proof in the making. `landed` is told first, then `done` is set for those who joined; None: nobody has."""

    name: _Name
    question: Question
    route: Route
    entry: Entry
    landed: Landed | None = None
    heard: Heard[Verdict] = _STOPPING
    done: trio.Event | None = None

    async def end(self) -> Heard[Verdict]:
        """What it finds out, for who joins while it is in the air."""
        if self.done is None:
            self.done = trio.Event()
        await self.done.wait()
        return self.heard


class Flights:
    """All that are in the air. `nursery` owns them; each may take `deadline` seconds, from its first question on.

    Implements `crew.Duty`.
    """

    def __init__(self, grounds: Grounds, nursery: trio.Nursery, deadline: float) -> None:
        self._cache = grounds.cache
        self._admission = grounds.admission
        self._deadline = deadline
        self._flights: dict[_Name, _Flight] = {}
        self._comparing = Comparing(nursery, deadline, grounds.cache.secret_mac)
        self._crew: Crew[_Flight] = Crew(nursery, deadline, self)

    def begin(self, question: Question, route: Route, landed: Landed) -> bool:
        """Begin a flight for this question, as `join` would, and have `landed` told. False: there is one, which `join` may wait for."""
        name = self._name(question, route)
        if name in self._flights:
            return False
        entry = self._entered(question, route)
        if entry.refused:
            landed(Heard(entry.refused))
        else:
            self._begin(_Flight(name, question, route, entry, landed))
        return True

    async def join(self, question: Question, route: Route, *, sure: bool) -> Heard[Verdict]:
        """What a flight for this question finds out: the one in the air if it is `sure` that the account has not changed since, else a new
        one. Its verdict is counted, and judged by the credential's rules; whom the login may act as is not looked at.

        It comes within the deadline.
        """
        name = self._name(question, route)
        flight = self._flights.get(name) if sure else None
        if flight is not None:
            return await self._ride(flight, question)
        entry = self._entered(question, route)
        if entry.refused:
            return Heard(entry.refused)
        flight = _Flight(name, question, route, entry)
        self._begin(flight)
        return await flight.end()

    async def do(self, flight: _Flight, /) -> None:
        """As `Duty.do`."""
        try:
            heard = await self._prove(flight)
        except Exception:
            self._fault(flight)
        else:
            self._conclude(flight, heard)
        self._land(flight, flight.heard)
        self._comparing.begin(flight.question, flight.route, flight.heard)

    def late(self, flight: _Flight, /) -> None:
        """As `Duty.late`."""
        self._conclude(flight, self._late(flight.route))
        self._land(flight, flight.heard)

    def stopped(self, flight: _Flight, /) -> None:
        """As `Duty.stopped`."""
        self._land(flight, None)

    async def _ride(self, flight: _Flight, question: Question) -> Heard[Verdict]:
        trace.note("joined")
        with trio.move_on_after(self._deadline):
            heard = await flight.end()
            if isinstance(heard.answer, Accepted) and not heard.answer.replayable:
                return await self.join(question, flight.route, sure=False)
            return heard
        return self._late(flight.route)

    def _name(self, question: Question, route: Route) -> _Name:
        return question.key, question.attempt.address, (self._cache.flushes, *_generations(route, question.attempt.identity))

    def _entered(self, question: Question, route: Route) -> Entry:
        entry = self._admission.enter(question.attempt, route.accounts(question.attempt.identity))
        if trace.recordings:
            steps.entered(entry)
        return entry

    def _late(self, route: Route) -> Heard[Verdict]:
        return Heard(late(self._deadline), route.members[0])

    def _begin(self, flight: _Flight) -> None:
        self._flights[flight.name] = flight
        self._crew.begin(flight)

    def _conclude(self, flight: _Flight, heard: Heard[Verdict]) -> None:
        try:
            verdict = self._admission.settle(flight.entry, _permit(flight.question.attempt, heard))
            if trace.recordings:
                steps.settled(flight.entry, verdict)
            flight.heard = heard if verdict is heard.answer else heard._replace(answer=verdict)
        except Exception:
            self._fault(flight)

    def _fault(self, flight: _Flight) -> None:
        _logger.exception("bug while a login was decided; it is answered as unavailable, and counts as an attempt")
        flight.heard = Heard(Unavailable("bug, see the traceback"), flight.route.members[0])

    def _land(self, flight: _Flight, heard: Heard[Verdict] | None) -> None:
        if self._flights.get(flight.name) is flight:
            del self._flights[flight.name]
        if flight.landed is not None:
            flight.landed(heard)
        if flight.done is not None:
            flight.done.set()

    async def _prove(self, flight: _Flight) -> Heard[Verdict]:
        question, route = flight.question, flight.route
        attempt = question.attempt.in_a_hurry() if flight.entry.urgent else question.attempt
        for _ in range(_TRIES):
            generations, flushes = _generations(route, attempt.identity), self._cache.flushes
            heard = await chain.prove(route, attempt, flight.entry, self._admission)
            if isinstance(heard.answer, Unavailable):
                return heard
            sure = self._cache.look(self._cache.clock())
            if _generations(route, attempt.identity) != generations:
                continue
            if sure and isinstance(heard.answer, Accepted) and self._cache.flushes == flushes:
                self._remember(question, heard, heard.answer)
            elif heard.answer == Rejected(Reason.WRONG_SECRET):
                self._cache.forget(question.key)
            return heard
        return Heard(Unavailable("the account kept changing while it was verified"), heard.member)

    def _remember(self, question: Question, heard: Heard[Verdict], verdict: Accepted) -> None:
        """Keep a proof for as long as every backend that was asked allows, and no longer than its credential lives (rules C3, C7).

        One that was found behind an outage is not kept: what the backend before it would have said is not known.
        """
        if not verdict.replayable or heard.outage:
            return
        asked = tuple(member for member, _ in heard.said)
        seconds = min(member.cache for member in asked)
        if verdict.restrictions.expires is not None:
            seconds = min(seconds, verdict.restrictions.expires - time.time())
        if seconds <= 0:
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


def _permit(attempt: Attempt, heard: Heard[Verdict]) -> Verdict:
    """A proof judged by its credential's rules. After an outage nobody can tell that it would have been the one (rule B4)."""
    verdict = heard.answer
    if not isinstance(verdict, Accepted):
        return verdict
    reason = rules.judge(verdict.restrictions, attempt.service, attempt.address, time.time())
    permitted = Rejected(reason) if reason else verdict
    if trace.recordings:
        steps.judged(permitted)
    return permitted if reason is None else heard.outage or permitted


def _generations(route: Route, name: Identity) -> tuple[int, ...]:
    return tuple([watched.generation(name) for watched in route.watched]) if route.watched else ()
