"""Logins that somebody else vouches for (EXTERNAL): a trusted listener has checked a certificate, and the account may log in, or not."""

from __future__ import annotations

import logging
import time

import trio

from saslauthd_py import rules, steps
from saslauthd_py.admission import UNROUTED
from saslauthd_py.authenticator import acting, chain
from saslauthd_py.authenticator.chain import Heard, Lookup
from saslauthd_py.authenticator.question import Decision, Grounds, Sought
from saslauthd_py.backend import Keyed
from saslauthd_py.routing import Route
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict

_logger = logging.getLogger(__name__)

UNABLE = Unavailable("this backend judges no login without a password, and nobody behind it can tell whom it knows")
"""Not an unknown user: a certificate has only a name to show, and in a backend behind this one that name may be somebody else's."""


async def vouch(grounds: Grounds, sought: Sought, route: Route | None, deadline: float) -> Decision:
    """Whether the account may log in. Nobody guesses here, so a yes is never limited; a no counts like a failed login, and is limited."""
    heard: Heard[Verdict] = Heard(Unavailable(f"no answer within {deadline:g} s"))
    try:
        with trio.move_on_after(deadline):
            heard = await _hear(grounds, sought, route)
        verdict = _permit(grounds, sought, heard)
    except Exception:
        _logger.exception("bug while an account was looked for; the login is answered as unavailable")
        verdict = Unavailable("bug, see the traceback")
    if isinstance(verdict, Rejected | UnknownUser):
        entry = grounds.admission.enter_exchange(sought.address, (UNROUTED,) if route is None else route.accounts(sought.identity))
        verdict = grounds.admission.settle(entry, heard.outage or verdict)  # rule B4
        steps.settled(entry, verdict)
    confirmed = heard.answer.identity if isinstance(heard.answer, Accepted) else sought.identity
    decision = Decision(verdict, str(confirmed), heard.member.name if heard.member else "")
    return acting.decided(decision, (sought.identity, confirmed), sought.authzid)


async def _hear(grounds: Grounds, sought: Sought, route: Route | None) -> Heard[Verdict]:
    """Nobody is asked where no answer could let the login in (rules B3, D9)."""
    if route is None:
        return Heard(Rejected(Reason.NO_ROUTE))
    if not acting.could(grounds, sought.identity, sought.authzid):
        return Heard(Rejected(Reason.AUTHZID))

    async def find(keyed: Keyed) -> Verdict:
        return await keyed.find_account(sought.identity)

    return await chain.look_up(route, sought, Lookup(find, UNABLE), grounds.admission)


def _permit(grounds: Grounds, sought: Sought, heard: Heard[Verdict]) -> Verdict:
    """May this account log in here and now, and for that (rule C1)?"""
    verdict = heard.answer
    if not isinstance(verdict, Accepted):
        return verdict
    reason = rules.judge(verdict.restrictions, sought.service, sought.address, time.time())
    if reason is None and not acting.may(grounds, (sought.identity, verdict.identity), sought.authzid):
        reason = Reason.AUTHZID
    permitted = Rejected(reason) if reason else verdict
    steps.judged(permitted)
    return permitted
