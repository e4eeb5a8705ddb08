"""The one place that decides: cache, route, admission, backends, the credential's rules, whom a login may act as."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import trio

from saslauthd_py import rules, steps, trace
from saslauthd_py.admission import UNROUTED
from saslauthd_py.authenticator import acting, chain, vouching
from saslauthd_py.authenticator.chain import Heard
from saslauthd_py.authenticator.decoys import Decoys
from saslauthd_py.authenticator.flights import Flights
from saslauthd_py.authenticator.keyed import Exchange, KeyedLogin
from saslauthd_py.authenticator.question import Decision, Grounds, Question, Sought, late
from saslauthd_py.backend import Attempt
from saslauthd_py.cache import Proof
from saslauthd_py.identity import Identity, InvalidIdentity
from saslauthd_py.keys import Hash
from saslauthd_py.routing import Member, Route
from saslauthd_py.verdict import Accepted, Reason, Rejected, Verdict

_logger = logging.getLogger(__name__)


class Authenticator:
    """Decides for all listeners. `nursery` owns the flights: who asked may be cancelled, a proof goes on and is remembered.

    `deadline` is the seconds that a flight may take, from its first request on, and whatever else is asked of backends.
    """

    def __init__(self, grounds: Grounds, nursery: trio.Nursery, deadline: float) -> None:
        self._grounds = grounds
        self._routes = grounds.routes
        self._deadline = deadline
        self._flights = Flights(grounds, nursery, deadline)
        self._decoys = Decoys(grounds.routes)

    def begin(self, question: Question, decided: Callable[[Decision | None], None]) -> bool:
        """`verify` for who has no task: `decided` is told, at once or later, and never raises; None: the daemon is stopping.

        False: this takes more than a proof made anew, so `verify` must be asked.
        """
        attempt, cache = question.attempt, self._grounds.cache
        now = cache.clock()
        route = self._route(attempt.identity, attempt.service, question.listener) if question.authzid is None and cache.look(now) else None
        if route is None or cache.find(question.key, now) is not None:
            return False

        def landed(heard: Heard[Verdict] | None) -> None:
            decision = None
            try:
                decision = None if heard is None else self._concluded(question, route, heard)
            except Exception:
                _logger.exception("bug while a login was decided; it is not answered")
            decided(decision)

        return self._flights.begin(question, route, landed)

    async def verify(self, question: Question) -> Decision:
        """Decide, within the deadline. Never raises for what clients or backends do. Cancelled, it leaves the proof to others."""
        attempt, cache = question.attempt, self._grounds.cache
        now = cache.clock()
        sure = cache.look(now)
        route = self._route(attempt.identity, attempt.service, question.listener)
        if route is None:
            return Decision(self._count(attempt, (UNROUTED,), Rejected(Reason.NO_ROUTE)), str(attempt.identity))
        if not acting.could(self._grounds, attempt.identity, question.authzid):
            return await self._refuse(attempt, route)
        proof = self._proof(question, now) if sure else None
        steps.looked(cache, proof, sure=sure)
        if proof is not None:
            return await self._from_cache(question, proof, route)
        return self._concluded(question, route, await self._flights.join(question, route, sure=sure))

    async def find_keys(self, sought: Sought, function: Hash) -> KeyedLogin:
        """Begin a login in which no secret is sent. Never raises for what clients or backends do. Cancelled, it has cost nothing."""
        route = self._route(sought.identity, sought.service, sought.listener)
        return await Exchange(self._grounds, sought, function, self._deadline).begin(route, self._decoys)

    async def vouch(self, sought: Sought) -> Decision:
        """Whether an account may log in that somebody else has vouched for. Never raises for what clients or backends do."""
        route = self._route(sought.identity, sought.service, sought.listener)
        return await vouching.vouch(self._grounds, sought, route, self._deadline)

    def _route(self, name: Identity, service: str, listener: str) -> Route | None:
        try:
            route = self._routes.find(name.realm, service, listener)
        except InvalidIdentity:
            route = None
        if trace.recordings:
            steps.routed(self._routes, name.realm, service, listener, route)
        return route

    async def _refuse(self, attempt: Attempt, route: Route) -> Decision:
        """Nobody may act so, whatever the secret (rule D9): it costs what a wrong one costs."""
        verdict = self._count(attempt, route.accounts(attempt.identity), Rejected(Reason.AUTHZID))
        if isinstance(verdict, Rejected):
            verdict = await self._pretended(route.members[0], attempt, verdict)
        return Decision(verdict, str(attempt.identity))

    async def _pretended(self, member: Member, attempt: Attempt, refused: Rejected) -> Verdict:
        """`refused`, when it has cost what a wrong secret costs."""
        with trio.move_on_after(self._deadline):
            await chain.pretend(member, attempt, self._grounds.admission)
            return refused
        return late(self._deadline)

    def _proof(self, question: Question, now: float) -> Proof | None:
        """What is remembered for this question. Who acts as another by the spelling of a name that its backend knows proves it anew."""
        proof = self._grounds.cache.find(question.key, now)
        if proof is None or proof.address not in (None, question.attempt.address):
            return None
        return proof if self._grounds.proxy_users.may((question.attempt.identity,), question.authzid) else None

    async def _from_cache(self, question: Question, proof: Proof, route: Route) -> Decision:
        attempt, backend = question.attempt, proof.asked[-1]
        if reason := rules.judge(proof.restrictions, attempt.service, attempt.address, time.time()):
            steps.judged(Rejected(reason))
            verdict = self._count(attempt, route.accounts(attempt.identity), Rejected(reason))
            if isinstance(verdict, Rejected):  # at no cost, a refusal would tell that the secret is right
                verdict = await self._pretended(self._routes.members[backend], attempt, verdict)
            return Decision(verdict, proof.user, backend, cached=True)
        if proof.used is not None:
            proof.used[proof.credential] = time.time()
        decision = Decision(Accepted(attempt.identity), proof.user, backend, cached=True)
        return acting.decided(decision, (attempt.identity,), question.authzid)

    def _concluded(self, question: Question, route: Route, heard: Heard[Verdict]) -> Decision:
        """What was found out for all who asked the same, judged for this one."""
        attempt, verdict, member = question.attempt, heard.answer, heard.member
        confirmed = heard.confirmed or attempt.identity
        names = (attempt.identity, confirmed)
        if isinstance(verdict, Accepted):
            if not acting.may(self._grounds, names, question.authzid):
                counted = self._count(attempt, route.accounts(attempt.identity), Rejected(Reason.AUTHZID))
                verdict = (isinstance(counted, Rejected) and heard.outage) or counted  # rule B4
            elif member is not None and member.used is not None:
                member.used[verdict.credential] = time.time()
        decision = Decision(verdict, str(confirmed), member.name if member else "")
        return acting.decided(decision, names, question.authzid)

    def _count(self, attempt: Attempt, accounts: tuple[str, ...], verdict: Verdict) -> Verdict:
        """What is answered to an attempt whose verdict is known without any backend, or without any more."""
        entry = self._grounds.admission.enter(attempt, accounts)
        steps.entered(entry)
        if entry.refused:
            return entry.refused
        settled = self._grounds.admission.settle(entry, verdict)
        steps.settled(entry, settled)
        return settled
