"""The outcomes of one login. An outage is never a wrong password: a client told "wrong" throws its saved password away."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from saslauthd_py.credential import UNRESTRICTED, Restrictions
from saslauthd_py.identity import Identity


class Reason(StrEnum):
    """Why a login was rejected, as the log writes it. A client is told none of this (rule D6)."""

    WRONG_SECRET = "wrong-secret"  # noqa: S105 - a reason, not a password
    NO_CREDENTIAL = "no-credential"
    LOCKED = "locked"
    DISABLED = "disabled"
    EXPIRED = "expired"
    SERVICE = "service"
    NETWORK = "network"
    GROUP = "group"
    NO_ROUTE = "no-route"
    AUTHZID = "authzid"


FINAL_REASONS = frozenset({Reason.LOCKED, Reason.DISABLED, Reason.EXPIRED})
"""They end a chain of backends whatever its `next_on` says (rule B4)."""


class Accepted(NamedTuple):
    """The secret is this account's. `identity` is the one that the backend confirmed (rule B1).

    It is a proof, not yet a permission: `restrictions` are judged by whoever asked, at every cache hit again (rule C1).
    `credential` numbers the secret inside its backend; `sole`: the account has no other; `replayable`: may be proved from cache.
    """

    identity: Identity
    restrictions: Restrictions = UNRESTRICTED
    credential: int = 0
    sole: bool = True
    replayable: bool = True


@dataclass(frozen=True, slots=True)
class Rejected:
    """No. WRONG_SECRET alone says that a comparison was made; after any other the chain owes the same work (rule D6).

    `hold`: seconds for which the backend wants this no still held back, from now on. Whoever answers sleeps them, once for a whole
    chain and with no place held, so that nobody waits behind a no; another backend is asked without them.
    """

    reason: Reason
    hold: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class UnknownUser:
    """The backend has no such account. `hold` as in Rejected."""

    hold: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Nobody can tell: an outage, a deadline, a broken record. `cause` is one line for the log, with nothing secret in it.

    `judged`: it came after the secret had been compared with anything, so the attempt counts as a guess (rule D9).
    `limited`: there were too many before it, and nobody was asked (rule D2).
    """

    cause: str
    judged: bool = False
    limited: bool = False


Verdict = Accepted | Rejected | UnknownUser | Unavailable
