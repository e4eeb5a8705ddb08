"""PAM as a backend: a worker makes the call, the table of codes says what it means, and a no is held back as long as the others."""

from __future__ import annotations

from dataclasses import replace

import trio

from saslauthd_py import identity
from saslauthd_py.backend import Attempt
from saslauthd_py.backends.pam.codes import Code, meaning
from saslauthd_py.backends.pam.peak import Peak
from saslauthd_py.config.settings import PamSettings
from saslauthd_py.identity import Identity, InvalidIdentity
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict
from saslauthd_py.wire.monitor import Answer, Call, Refusal, Stage
from saslauthd_py.workers import WorkerFailed, Workers

LONGEST_WORK = 1.0
"""Seconds of work that a quick no pretends, at most."""

LONGEST_DELAY = 4.0
"""Seconds that a module may have every no held back, at most; half of it where nobody knows the client's address (as rule D1)."""

_MEMORY = 3600.0
_MAX_SECRET = 4096
_UNFIT = Secret(bytes(_MAX_SECRET))


class PamBackend:
    """Implements `Backend`. The time of a no says nothing of its cause (rule D6).

    PAM answers an unknown user in 1 ms and a wrong secret in 30, and a stack may ask for a delay in some cases only. So `hold` of a
    verdict makes all of them as long as the longest of the last hour: work, by the worker's own clock, and delay. A success waits
    for neither.
    """

    def __init__(self, workers: Workers, settings: PamSettings) -> None:
        self._workers = workers
        self._settings = settings
        self._work = Peak(_MEMORY, trio.current_time)
        self._delay = Peak(_MEMORY, trio.current_time)

    async def verify_password(self, attempt: Attempt) -> Verdict:
        """As `Backend.verify_password`. Waits for a worker; cancelled during the call, it costs that worker."""
        try:
            login = identity.render(self._settings.login, attempt.identity)
        except InvalidIdentity:
            return self._held(UnknownUser(), attempt, 0.0)
        try:
            answer = await self._workers.call(_call(attempt, login))
        except WorkerFailed as error:
            return Unavailable(str(error))
        verdict = self._judge(answer, login, attempt.service)
        took = answer.took / 1e6
        if answer.stage is not Stage.REFUSED and not isinstance(verdict, Unavailable):
            self._work.note(min(took, LONGEST_WORK))
            self._delay.note(min(answer.delay / 1e6, LONGEST_DELAY))
        return self._held(verdict, attempt, took)

    async def pretend(self, secret: Secret) -> None:
        """Nothing: no module could be given work without an account, and the `hold` of a verdict takes the time instead."""

    def _held(self, verdict: Verdict, attempt: Attempt, took: float) -> Verdict:
        if isinstance(verdict, Accepted | Unavailable):
            return verdict
        most = LONGEST_DELAY if attempt.address else LONGEST_DELAY / 2
        return replace(verdict, hold=max(self._work.highest() + min(self._delay.highest(), most) - took, 0.0))

    def _judge(self, answer: Answer, login: Identity, service: str) -> Verdict:
        match answer.stage:
            case Stage.REFUSED:
                return self._refused(answer.code, service)
            case Stage.ACCOUNT if answer.code == Code.PAM_SUCCESS:
                return self._accepted(answer.account, login)
            case Stage.AUTHENTICATE | Stage.ACCOUNT as stage:
                return meaning(stage, answer.code)
            case _:
                return Unavailable("the worker answered something else than PAM does")

    def _accepted(self, account: bytes, login: Identity) -> Verdict:
        """As whom the stack accepted it, which need not be the one that was asked (rule B1).

        A stack may have one-time passwords, and nobody can see it: a proof counts once, unless the admin has it remembered.
        """
        try:
            confirmed = login if account == str(login).encode() else identity.parse(account)
        except InvalidIdentity as error:
            return Unavailable(f"a PAM module names an account that none can be: {error}", judged=True)
        return Accepted(confirmed, replayable=self._settings.cache > 0)

    def _refused(self, code: int, service: str) -> Verdict:
        match code:
            case Refusal.SERVICE:
                return Rejected(Reason.SERVICE)
            case Refusal.NO_SERVICE_FILE:
                name = next(iter(self._settings.file_names(service)), service)
                return Unavailable(f"no file /etc/pam.d/{name}, and PAM would use /etc/pam.d/other: make one, conf/pam.d has examples")
            case Refusal.SECRET:
                return Rejected(Reason.WRONG_SECRET)
            case Refusal.DENIED | Refusal.NAME:
                return UnknownUser()
            case _:
                return Unavailable(f"a worker refuses for a reason that nobody knows ({code})")


def _call(attempt: Attempt, login: Identity) -> Call:
    """A secret that no frame might hold goes as another one that PAM does not take whole."""
    secret = attempt.secret if len(attempt.secret) <= _MAX_SECRET else _UNFIT
    address = str(attempt.address).encode() if attempt.address else b""
    return Call(0, attempt.service.encode(), str(login).encode(), secret, address, attempt.urgent)
