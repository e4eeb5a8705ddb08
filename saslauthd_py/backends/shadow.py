"""The shadow database as a backend: a worker looks up, verifies and judges; the verdict is read off here."""

from __future__ import annotations

from saslauthd_py.backend import Attempt
from saslauthd_py.config.settings import ShadowSettings
from saslauthd_py.secret import Secret
from saslauthd_py.standings import Standings
from saslauthd_py.verdict import Verdict
from saslauthd_py.workers import Workers

_BROKEN = "this account's line in /etc/shadow is missing or no hash we know: set its password with passwd(1)"


class ShadowBackend:
    """Implements `Backend`."""

    def __init__(self, workers: Workers, settings: ShadowSettings) -> None:
        self._standings = Standings(workers, settings.login, _BROKEN)

    async def verify_password(self, attempt: Attempt) -> Verdict:
        """As `Backend.verify_password`. Waits for a worker; cancelled during the call, it costs that worker."""
        return await self._standings.verify(attempt)

    async def pretend(self, secret: Secret) -> None:
        """Nothing: a worker does the work of a wrong secret in every call, whatever comes of it (rule D6)."""
