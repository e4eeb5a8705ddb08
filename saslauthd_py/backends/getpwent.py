"""The password database without the shadow file as a backend, as saslauthd's mechanism of that name: a worker looks up and verifies."""

from __future__ import annotations

from saslauthd_py.backend import Attempt
from saslauthd_py.config.settings import GetpwentSettings
from saslauthd_py.secret import Secret
from saslauthd_py.standings import Standings
from saslauthd_py.verdict import Verdict
from saslauthd_py.workers import Workers

_BROKEN = "what the password database has for this account is no hash we know: look at `getent passwd NAME`, and set its password anew"


class GetpwentBackend:
    """Implements `Backend`."""

    def __init__(self, workers: Workers, settings: GetpwentSettings) -> None:
        self._standings = Standings(workers, settings.login, _BROKEN)

    async def verify_password(self, attempt: Attempt) -> Verdict:
        """As `Backend.verify_password`. Waits for a worker; cancelled during the call, it costs that worker."""
        return await self._standings.verify(attempt)

    async def pretend(self, secret: Secret) -> None:
        """Nothing: a worker does the work of a wrong secret in every call, whatever comes of it (rule D6)."""
