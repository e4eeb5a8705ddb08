"""A KDC as a backend: the password gets a ticket, and the ticket is proved by a key of this machine's own.

Without that proof whoever stands between here and the KDC could let anybody in. The calls wait in the Kerberos library, which knows no
cancellation and holds on for 10 s and more at a KDC that does not answer; so they are made in threads, no more than `parallel`, and one
that is too late is left to itself. It keeps its place until it has ended.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import trio

from saslauthd_py import identity
from saslauthd_py.backend import Attempt
from saslauthd_py.backends.kerberos import verdicts
from saslauthd_py.backends.kerberos.principals import NoPrincipal, principal
from saslauthd_py.backends.kerberos.proving import NotProved, Proving
from saslauthd_py.config.settings import KerberosSettings
from saslauthd_py.identity import InvalidIdentity
from saslauthd_py.remote.refusals import Refusals
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict

_logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Call:
    """`begun` and `ended` are set by its thread; `given_up` keeps one that has not begun from it."""

    given_up: bool = False
    begun: bool = False
    ended: bool = False


class KerberosBackend:
    """Implements `Backend`. `proving` makes the calls; its methods are called in threads."""

    def __init__(self, settings: KerberosSettings, proving: Proving, name: str) -> None:
        self._settings = settings
        self._proving = proving
        self._name = name
        self._threads = trio.CapacityLimiter(settings.parallel)
        self._late: set[_Call] = set()
        self._refusals = Refusals()

    async def check(self) -> None:
        """Tell in the log, once, where no login can be proved."""
        try:
            await trio.to_thread.run_sync(self._proving.check_keytab)
        except NotProved as failure:
            _logger.error("backend %s: %s", self._name, verdicts.unproved(self._settings, failure))

    async def verify_password(self, attempt: Attempt) -> Verdict:
        """As `Backend.verify_password`. Cancelled, it leaves its thread behind, as one that is too late does."""
        try:
            login = identity.render(self._settings.login, attempt.identity)
            name = principal(login, self._settings, attempt.service)
        except (InvalidIdentity, NoPrincipal):
            return UnknownUser()
        if not _fit(attempt.secret):
            await self.pretend(attempt.secret)
            return Rejected(Reason.WRONG_SECRET)
        began = trio.current_time()
        refused = await self._prove(name, attempt.secret)
        if refused == Rejected(Reason.WRONG_SECRET):
            self._refusals.note(trio.current_time() - began)
            self._refusals.judged(attempt.secret)
        return Accepted(login) if refused is None else refused

    async def pretend(self, secret: Secret) -> None:
        """As `Backend.pretend`: the time of a wrong password, which the KDC and this machine work longer for than for an unknown name."""
        await self._refusals.pretend(secret)

    async def _prove(self, name: str, secret: Secret) -> Verdict | None:
        """What keeps the login out; None: nothing does."""
        self._late = {call for call in self._late if not call.ended}
        if len(self._late) >= self._settings.parallel:
            return Unavailable(
                f"the KDC does not answer: each of the {len(self._late)} places (parallel) has a call that still waits for it"
            )
        call = _Call()
        with trio.move_on_after(self._settings.timeout):
            try:
                await trio.to_thread.run_sync(self._run, call, name, secret, limiter=self._threads, abandon_on_cancel=True)
            except NotProved as failure:
                return verdicts.of(failure)
            finally:
                call.given_up = True  # before the look at `begun`, as the thread looks the other way round: one of the two sees the other
                if call.begun and not call.ended:
                    self._late.add(call)
            return None
        return Unavailable(f"no answer of the KDC within {self._settings.timeout:g} s", judged=call.begun)

    def _run(self, call: _Call, name: str, secret: Secret) -> None:
        call.begun = True
        try:
            if not call.given_up:
                self._proving.prove(name, secret)
        finally:
            call.ended = True


def _fit(secret: Secret) -> bool:
    """The library reads a C string: "good\\0x" would be tried as "good"; and it takes no empty one."""
    return len(secret) > 0 and b"\0" not in secret.reveal()
