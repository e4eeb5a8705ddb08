"""What the control socket can have done, apart from who does it."""

from __future__ import annotations

from typing import Protocol

from saslauthd_py.authenticator import Decision
from saslauthd_py.control.protocol import Cause, Sasl
from saslauthd_py.control.status import Status
from saslauthd_py.privileges import Peer
from saslauthd_py.wire.saslauthd import Request as Login


class OperationFailed(Exception):
    """It was not done. Its text is for the admin: a line, or one for each fault of a configuration."""

    def __init__(self, cause: Cause, text: str) -> None:
        super().__init__(text)
        self.cause = cause


class Operations(Protocol):
    """The daemon as its admin drives it. All of them run in the daemon's own loop: what is not async never waits."""

    async def status(self) -> Status:
        """How it is at this moment. Waits a fraction of a second at the most."""

    async def reload(self) -> tuple[str, ...]:
        """Returns when the configuration as it is now serves: what in it is hardly meant, or could not be done, in a line each.

        Raises OperationFailed, and then the one before serves on. Not cancelled when the one who asked has gone.
        """

    def flush(self, user: str | None) -> int:
        """Forget what was proved of a user, None: of all; how many proofs. Raises InvalidIdentity.

        What backends remember of their users by themselves, such as their DNs, is forgotten of all: it only saves them a question.
        """

    def unblock(self, what: str) -> int:
        """Forget the failed logins of a user, or of an IP address and its network; how many limits.

        Raises InvalidIdentity, and OperationFailed for what looks like an address and is none.
        """

    async def trace(self, listener: str, login: Login, sasl: Sasl, peer: Peer) -> Decision | None:
        """Decide a login as the listener of that name would, without a delay; None: it is refused before anybody is asked.

        It is logged and counted like any other, as asked by `peer`. Its steps are noted (`trace.note`) by whoever makes them. Raises
        OperationFailed for a listener that there is not.
        """
