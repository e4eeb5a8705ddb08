"""Logins in which no secret is sent (SCRAM): an account's keys are found, and whoever proves to have its secret is judged (RFC 5802).

Who must not log in, or is not there, gets a decoy for keys, and fails at the proof like anybody with a wrong secret (rules D6, F3).
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import trio

from saslauthd_py import rules, steps
from saslauthd_py.admission import UNROUTED, Entry
from saslauthd_py.authenticator import acting, chain
from saslauthd_py.authenticator.chain import Heard, KeysAnswer, Lookup
from saslauthd_py.authenticator.decoys import Decoys
from saslauthd_py.authenticator.question import Decision, Grounds, Sought
from saslauthd_py.backend import Keyed, KeysFound
from saslauthd_py.identity import Identity
from saslauthd_py.keys import AccountKeys, Hash
from saslauthd_py.mechanisms.exchange import Disproved, Proved
from saslauthd_py.routing import Member, Route
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict

_logger = logging.getLogger(__name__)

BUG = Unavailable("bug, see the traceback")

SALTED_ANEW = Unavailable("the account's salt or rounds changed during the exchange: whether its secret did, nobody can tell")
"""As rule C8: a no might be a wrong one, and the client's next exchange will tell."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One login by keys for this hash function. Each of its two parts may take `deadline` seconds."""

    grounds: Grounds
    sought: Sought
    function: Hash
    deadline: float

    async def begin(self, route: Route | None, decoys: Decoys) -> KeyedLogin:
        """Find the keys. That is no guess, so it costs nothing; `enter` is for the proof."""
        sought = self.sought
        heard: Heard[KeysAnswer] = Heard(self.late)
        try:
            shown = decoys.of(route, sought.identity, self.function)
            with trio.move_on_after(self.deadline):
                shown, heard = await self._offer(route, shown)
        except Exception:
            _logger.exception("bug while keys were looked for; the login is answered as unavailable")
            shown, heard = decoys.spare(sought.identity, self.function), Heard(BUG)
        return KeyedLogin(self, (UNROUTED,) if route is None else route.accounts(sought.identity), heard, shown)

    def enter(self, accounts: tuple[str, ...]) -> Entry:
        """Take the tokens of a guess: the client has shown its proof. Before that it may wait and hold nobody up."""
        entry = self.grounds.admission.enter_exchange(self.sought.address, accounts)
        entry.judged = True
        steps.limited(entry)
        return entry

    async def look_again(self, member: Member, entry: Entry) -> KeysAnswer:
        """What the backend that gave the keys has now."""
        return await chain.look_up_in(member, self.sought, self._lookup(), self.grounds.admission, urgent=entry.urgent)

    @property
    def late(self) -> Unavailable:
        """The verdict where somebody took too long."""
        return Unavailable(f"no answer within {self.deadline:g} s")

    async def _offer(self, route: Route | None, decoy: AccountKeys) -> tuple[AccountKeys, Heard[KeysAnswer]]:
        """What the client is shown, and what is known by then.

        An account shows the same keys whatever it will be refused for: if it had others for another service or authzid, and an unknown
        one had not, that would tell it. So its backend is asked for them here too; no secret goes there.
        """
        if route is None:
            return decoy, Heard(Rejected(Reason.NO_ROUTE))
        heard = await chain.look_up(route, self.sought, self._lookup(), self.grounds.admission)
        shown = heard.answer.keys if isinstance(heard.answer, KeysFound) else await self._unserved(heard) or decoy
        if not isinstance(heard.answer, Unavailable) and not acting.could(self.grounds, self.sought.identity, self.sought.authzid):
            heard = heard._replace(answer=Rejected(Reason.AUTHZID))
        return shown, heard

    async def _unserved(self, heard: Heard[KeysAnswer]) -> AccountKeys | None:
        """The keys that the account has in a backend which does not serve this service."""
        for member, answer in heard.said:
            if answer == Rejected(Reason.SERVICE) and member.keyed is not None:
                found = await chain.look_up_in(member, self.sought, self._lookup(), self.grounds.admission, anyway=True)
                if isinstance(found, KeysFound):
                    return found.keys
        return None

    def _lookup(self) -> Lookup[KeysAnswer]:
        """To a backend that has no keys nobody is known by them: whoever proves a secret of one behind it is that one's account.

        An account without keys ends the chain, for it is there, unless a wrong secret would not end it either (`next_on`).
        """
        return Lookup(self._find, UnknownUser())

    async def _find(self, keyed: Keyed) -> KeysAnswer:
        return await keyed.find_keys(self.sought.identity, self.function)


class KeyedLogin:
    """A login whose client has not proved anything yet. `keys` are its account's, or a decoy.

    `unavailable`: nobody can tell whose they are, there is no exchange, and this is the answer. Otherwise the login is concluded, or
    abandoned. Over a limit it goes on too; its proof then counts only if the same secret was accepted lately (rule D3).
    """

    def __init__(self, exchange: Exchange, accounts: tuple[str, ...], heard: Heard[KeysAnswer], keys: AccountKeys) -> None:
        self.keys = keys
        self.unavailable: Decision | None = None
        self._exchange = exchange
        self._accounts = accounts
        self._heard = heard
        self._open = True
        if isinstance(heard.answer, Unavailable):
            self.abandon()
            self.unavailable = self._decision(heard.answer, exchange.sought.identity)
        else:
            steps.offered(keys, heard.member, heard.answer)

    def abandon(self) -> None:
        """The client has gone away before its proof: that costs nothing. Any number of times, and nothing once it is concluded."""
        self._open = False

    async def conclude(self, step: Proved | Disproved) -> Decision:
        """Decide, by what the client has shown. Never raises for what clients or backends do. Cancelled, it counts as a failure.

        Raises RuntimeError where the login was concluded or abandoned before (rule E7).
        """
        if not self._open:
            raise RuntimeError("a login is concluded once, and not after it was abandoned")
        self._open = False
        entry = self._exchange.enter(self._accounts)
        confirmed = self._exchange.sought.identity
        verdict: Verdict = self._exchange.late
        try:
            with trio.move_on_after(self._exchange.deadline):
                confirmed, verdict = await self._judge(step, entry)
        except Exception:
            _logger.exception("bug while a proof was judged; the login is answered as unavailable, and counts as an attempt")
            verdict = BUG
        if isinstance(verdict, Rejected | UnknownUser):
            verdict = self._heard.outage or verdict  # rule B4
        verdict = self._exchange.grounds.admission.settle(entry, verdict)
        steps.settled(entry, verdict)
        return self._decision(verdict, confirmed)

    async def _judge(self, step: Proved | Disproved, entry: Entry) -> tuple[Identity, Verdict]:
        """The verdict, and whose it is."""
        asked, found = self._exchange.sought.identity, self._heard.answer
        if not isinstance(found, KeysFound):
            return asked, found  # what a right secret would have been refused for
        shown = dict(found.keys.secrets).get(step.credential) if isinstance(step, Proved) else None
        if shown is None or isinstance(step, Disproved):
            return asked, Rejected(Reason.WRONG_SECRET)
        self._exchange.grounds.admission.claim(entry, asked, shown.stored_key)
        steps.claimed(entry)
        if entry.refused and not entry.urgent:
            return asked, entry.refused
        member = self._heard.said[-1][0]  # keys end the chain
        again = await self._exchange.look_again(member, entry)  # rule H3: the exchange may be older than the last password
        if not isinstance(again, KeysFound):
            return asked, again
        if (again.keys.salt, again.keys.rounds) != (shown.salt, shown.rounds):
            return asked, SALTED_ANEW
        if dict(again.keys.secrets).get(step.credential) != shown:
            return asked, Rejected(Reason.WRONG_SECRET)
        verdict = self._permit(again, step.credential)
        if isinstance(verdict, Accepted) and member.used is not None:
            member.used[step.credential] = time.time()
        return again.identity, verdict

    def _permit(self, found: KeysFound, credential: int) -> Verdict:
        """May this secret be used here and now, and for that (rule C1)? Nothing of it is remembered."""
        sought, restrictions = self._exchange.sought, found.restrictions[credential]
        reason = rules.judge(restrictions, sought.service, sought.address, time.time())
        if reason is None and not acting.may(self._exchange.grounds, (sought.identity, found.identity), sought.authzid):
            reason = Reason.AUTHZID
        verdict = Rejected(reason) if reason else Accepted(found.identity, restrictions, credential, replayable=False)
        steps.judged(verdict)
        return verdict

    def _decision(self, verdict: Verdict, confirmed: Identity) -> Decision:
        sought, member = self._exchange.sought, self._heard.member
        limited = isinstance(verdict, Unavailable) and verdict.limited
        decision = Decision(verdict, str(confirmed), member.name if member and not limited else "")
        return acting.decided(decision, (sought.identity, confirmed), sought.authzid)
