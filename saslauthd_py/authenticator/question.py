"""What is asked of the authenticator, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from saslauthd_py.admission import Admission
from saslauthd_py.backend import Address, Attempt
from saslauthd_py.cache import Cache
from saslauthd_py.identity import Identity
from saslauthd_py.proxy_users import ProxyUsers
from saslauthd_py.routing import Routes
from saslauthd_py.verdict import Unavailable, Verdict


class Question(NamedTuple):
    """An attempt as one listener received it; `key` is the MAC that its proof goes by, `listener` its name for routes and log.

    `authzid`: whom the login wants to act as, None: as itself. It is no part of `key`: a proof knows nothing of it (rule C1).
    """

    attempt: Attempt
    listener: str
    key: bytes
    authzid: Identity | None = None


@dataclass(frozen=True, slots=True)
class Sought:
    """A login in which no secret is sent, as one listener received it. `address` as in `Attempt`, the rest as in `Question`."""

    identity: Identity
    service: str
    address: Address | None
    listener: str
    authzid: Identity | None = None


class Decision(NamedTuple):
    """A verdict, and what the log says of it.

    `user` is the identity that the backend confirmed, else the one that was asked (rule B1). Where that one may act as somebody else,
    as it wants to, `user` is that other, and `authcid` the identity that was confirmed; else `authcid` is empty.
    """

    verdict: Verdict
    user: str
    backend: str = ""
    cached: bool = False
    authcid: str = ""


def late(deadline: float) -> Unavailable:
    """The verdict where somebody took longer than the seconds that there were."""
    return Unavailable(f"no answer within {deadline:g} s")


@dataclass(frozen=True, slots=True)
class Grounds:
    """What a login is decided on. `admission` outlives a reload, all else does not."""

    routes: Routes
    cache: Cache
    admission: Admission
    proxy_users: ProxyUsers
