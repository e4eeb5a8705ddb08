"""Calls to workers that look for an account's hash, and the verdict that is read off their answers: for the databases of the system."""

from __future__ import annotations

import time
from collections.abc import Mapping

from saslauthd_py import identity
from saslauthd_py.backend import Attempt
from saslauthd_py.credential import UNRESTRICTED, Restrictions
from saslauthd_py.identity import Identity, InvalidIdentity
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict
from saslauthd_py.wire.monitor import Answer, Call, Refusal, Stage, Standing
from saslauthd_py.workers import WorkerFailed, Workers

_FAR = 2 * 86400.0
"""Seconds beyond which an account's end is no matter: no proof is remembered so long, and one without rules is answered sooner (C1)."""

_NOBODY = b"/"
"""A login that no account has: a worker does the same work for it."""

_MAX_SECRET = 4096
_UNFIT = Secret(bytes(_MAX_SECRET))

_VERDICTS: Mapping[tuple[Stage, int], Verdict] = {
    (Stage.SHADOW, Standing.WRONG): Rejected(Reason.WRONG_SECRET),
    (Stage.SHADOW, Standing.UNKNOWN): UnknownUser(),
    (Stage.SHADOW, Standing.LOCKED): Rejected(Reason.LOCKED),
    (Stage.SHADOW, Standing.NO_PASSWORD): Rejected(Reason.NO_CREDENTIAL),
    (Stage.SHADOW, Standing.ACCOUNT_EXPIRED): Rejected(Reason.EXPIRED),
    (Stage.SHADOW, Standing.PASSWORD_EXPIRED): Rejected(Reason.EXPIRED),
    (Stage.SHADOW, Standing.CHANGE_FORCED): Rejected(Reason.EXPIRED),
    (Stage.SHADOW, Standing.UNREADABLE): Unavailable("the password database cannot be read: look at /etc/nsswitch.conf and what it names"),
    (Stage.REFUSED, Refusal.SERVICE): Rejected(Reason.SERVICE),
    (Stage.REFUSED, Refusal.DENIED): UnknownUser(),
    (Stage.REFUSED, Refusal.NAME): UnknownUser(),
}


class Standings:
    """Asks the workers of one backend. `login` is its template; `broken`: the line for an account whose hash cannot be verified."""

    def __init__(self, workers: Workers, login: str, broken: str) -> None:
        self._workers = workers
        self._login = login
        self._verdicts = {**_VERDICTS, (Stage.SHADOW, Standing.BROKEN): Unavailable(broken)}

    async def verify(self, attempt: Attempt) -> Verdict:
        """As `Backend.verify_password`. Waits for a worker; cancelled during the call, it costs that worker."""
        try:
            login = identity.render(self._login, attempt.identity)
        except InvalidIdentity:
            login = None
        try:
            answer = await self._workers.call(_call(attempt, login))
        except WorkerFailed as error:
            return Unavailable(str(error))
        if login and answer.stage is Stage.SHADOW and answer.code == Standing.RIGHT:
            return _accepted(answer, login)
        return self._verdicts.get((answer.stage, answer.code), Unavailable("the worker answered what is no answer to this call"))


def _call(attempt: Attempt, login: Identity | None) -> Call:
    """A secret that no frame might hold goes as another one that no hash can be of."""
    secret = attempt.secret if len(attempt.secret) <= _MAX_SECRET else _UNFIT
    return Call(0, attempt.service.encode(), str(login).encode() if login else _NOBODY, secret, urgent=attempt.urgent)


def _accepted(answer: Answer, login: Identity) -> Verdict:
    """As whom the system knows the account, and until when its proof may count (rules B1, C3)."""
    try:
        confirmed = login if answer.account == str(login).encode() else identity.parse(answer.account)
    except InvalidIdentity as error:
        return Unavailable(f"the system has an account that none can be: {error}", judged=True)
    soon = 0 < answer.expires < time.time() + _FAR
    return Accepted(confirmed, Restrictions(expires=float(answer.expires)) if soon else UNRESTRICTED)
