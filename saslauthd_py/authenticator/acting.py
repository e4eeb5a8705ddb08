"""A login that wants to act as somebody else (rules C1, D9): may it, and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence

from saslauthd_py import proxy_users, trace
from saslauthd_py.authenticator.question import Decision, Grounds
from saslauthd_py.identity import Identity
from saslauthd_py.verdict import Accepted


def could(grounds: Grounds, asked: Identity, authzid: Identity | None) -> bool:
    """As `ProxyUsers.could`: judged before anybody is asked."""
    return authzid is None or _noted(grounds.proxy_users.could(asked, authzid), asked, authzid)


def may(grounds: Grounds, names: Sequence[Identity], authzid: Identity | None) -> bool:
    """As `ProxyUsers.may`: judged once the identity is proved; the last of `names` is the one that was confirmed."""
    return authzid is None or _noted(grounds.proxy_users.may(names, authzid), names[-1], authzid)


def decided(decision: Decision, names: Sequence[Identity], authzid: Identity | None) -> Decision:
    """The decision on a login whose `user` is who was confirmed: where it may act as another, it is that other who is logged in."""
    if authzid is None or not isinstance(decision.verdict, Accepted) or any(proxy_users.same(name, authzid) for name in names):
        return decision
    trace.note("authzid", authcid=decision.user, authzid=str(authzid), granted=True)
    return decision._replace(user=str(authzid), authcid=decision.user)


def _noted(may: bool, authcid: Identity, authzid: Identity | None) -> bool:
    if not may:
        trace.note("authzid", authcid=str(authcid), authzid=str(authzid), granted=False)
    return may
