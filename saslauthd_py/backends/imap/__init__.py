"""IMAP as a backend: whoever may log in to the mail server, may log in here. Each login is tried there, on a connection of its own."""

from __future__ import annotations

from typing import Protocol

import trio

from saslauthd_py import identity
from saslauthd_py.backend import Attempt
from saslauthd_py.backends.imap import verdicts
from saslauthd_py.backends.imap.servers import Said
from saslauthd_py.config.settings.imap import ImapSettings
from saslauthd_py.identity import Identity, InvalidIdentity
from saslauthd_py.remote.failing import Failed
from saslauthd_py.remote.refusals import Refusals
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict

MAX_SECRET = 4096
"""Bytes of the longest secret that a server is asked about."""


class MailServers(Protocol):
    """What the backend asks: `servers.Servers`."""

    async def login(self, name: bytes, secret: Secret) -> Said:
        """As `servers.Servers.login`."""


class ImapBackend:
    """Implements `Backend`."""

    def __init__(self, settings: ImapSettings, servers: MailServers) -> None:
        self._settings = settings
        self._servers = servers
        self._refusals = Refusals()

    async def verify_password(self, attempt: Attempt) -> Verdict:
        """As `Backend.verify_password`. `timeout` bounds the question to each server; cancelled, it costs a connection.

        A server that says no does not say whether it knows the name. A yes confirms the name that was asked (rule B1).
        """
        try:
            name = identity.render(self._settings.login, attempt.identity)
        except InvalidIdentity:
            return UnknownUser()
        if not _fit(attempt.secret):
            await self.pretend(attempt.secret)
            return Rejected(Reason.WRONG_SECRET)
        began = trio.current_time()
        try:
            said = await self._servers.login(str(name).encode(), attempt.secret)
        except Failed as error:
            return Unavailable(str(error), judged=error.sent)
        outcome = verdicts.of_login(said.response, said.server, said.words)
        if isinstance(outcome, Unavailable):
            return outcome
        self._refusals.judged(attempt.secret)
        if outcome is None:
            return self._accepted(name)
        if outcome.reason is Reason.WRONG_SECRET:
            self._refusals.note(trio.current_time() - began)
        return outcome

    async def pretend(self, secret: Secret) -> None:
        """As `Backend.pretend`. Nothing for a login that the server has judged."""
        await self._refusals.pretend(secret)

    def _accepted(self, name: Identity) -> Verdict:
        """A server may take one-time passwords, and nobody can see it: a proof counts once, unless the admin has it remembered."""
        return Accepted(name, replayable=self._settings.cache > 0)


def _fit(secret: Secret) -> bool:
    """An empty one is no message of PLAIN; a NUL can stand in none, and one that no server takes whole is wrong (rule D7)."""
    return 0 < len(secret) <= MAX_SECRET and b"\0" not in secret.reveal()
