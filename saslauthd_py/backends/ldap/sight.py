"""Whether the entry below which is searched is in sight: where it is not, that nothing is found says nothing.

A server that hides what a service may not read, such as 389-ds, answers a search below such an entry, or below one that is not there, as
one that finds nobody: with a rule of access lost, or the entry renamed, every user would be an unknown one (rule G2).
"""

from __future__ import annotations

import logging
import math
from contextlib import suppress
from dataclasses import dataclass

import trio

from saslauthd_py.backends.ldap.conversation import Conversation, shown
from saslauthd_py.backends.ldap.directory import Answer, DirectoryFailed
from saslauthd_py.backends.ldap.dn_templates import DnTemplate
from saslauthd_py.backends.ldap.recent import Recent
from saslauthd_py.backends.ldap.verdicts import CannotTell
from saslauthd_py.config.settings.ldap import LdapSettings
from saslauthd_py.wire.ldap import NO_ATTRIBUTES, Present, ResultCode, Scope, Search

_logger = logging.getLogger(__name__)

LOOK_EVERY = 10.0
"""Seconds that what a look has shown holds."""

LONGEST_LOOK = 1.0
"""Seconds after which a login goes on without what its look would have shown."""

_QUIET = 60.0
"""Seconds in which the log tells only once of a server that an entry is out of sight."""

_MOST_TOLD = 100

_HIDES = frozenset({ResultCode.SUCCESS, ResultCode.NO_SUCH_OBJECT, ResultCode.INSUFFICIENT_ACCESS_RIGHTS})
"""What a server says, without the entry, of one that is not there or that the service may not see."""


@dataclass(slots=True)
class _View:
    """What one server has shown. `seen` None: nothing yet; `ever`: the entry was in sight; `found`: something below it was found."""

    looked: float = float("-inf")
    seen: bool | None = None
    ever: bool = False
    found: bool = False


class Sight:
    """What is known of one entry, by server. `key`: the setting that has its DN.

    A look is made because of the time alone, before a search and whatever that finds, so it tells nobody who exists (rule D6). While one
    login looks, the others go on with what is known; those of a time at which nothing is known look too.
    """

    def __init__(self, key: str, base: bytes, time_limit: int) -> None:
        self._key = key
        self._base = base
        self._search = Search(Present(b"objectClass"), Scope.BASE, NO_ATTRIBUTES, size_limit=1, time_limit=time_limit)
        self._server = ""
        self._views = {"": _View()}
        self._asked = float("-inf")
        self._told: Recent[str, bool] = Recent(_QUIET, _MOST_TOLD)

    @classmethod
    def of(cls, key: str, base: DnTemplate | None, settings: LdapSettings) -> Sight | None:
        """None: it is another entry for each login, or the root, which a server need not show."""
        if base is None or base.places or not base.parts:
            return None
        return cls(key, base.fill({}), math.ceil(settings.timeout))

    def due(self, now: float) -> bool:
        """Whether the server that has answered last is to be looked at."""
        return now - self._views[self._server].looked > LOOK_EVERY

    def due_elsewhere(self, answer: Answer, now: float) -> bool:
        """Whether this is the answer of another server than the last one, and that is to be looked at: no login looks twice."""
        if answer.server == self._server:
            return False
        self._turn(answer.server)
        return now > self._asked and self.due(now)

    async def look(self, login: Conversation, now: float) -> None:
        """Ask for the entry. An answer that shows nothing either way, or none, changes nothing that is known."""
        view, self._asked = self._views[self._server], now
        if view.seen is not None:
            view.looked = now
        with trio.move_on_after(LONGEST_LOOK), suppress(DirectoryFailed):
            answer = await login.search(self._search, self._base, {})
            view = self._turn(answer.server)
            if now >= view.looked and (answer.entries or answer.code in _HIDES):
                view.seen = bool(answer.entries)
                view.ever |= view.seen
        view.looked = max(view.looked, now)

    def judge(self, answer: Answer) -> None:
        """Of a search below the entry. Raises CannotTell where it has found nothing, and nothing is what anybody could find.

        Where the entry was out of sight from the start, and something below it was found, the service may read the one and not the other.
        """
        view = self._views.get(answer.server)
        if view is None:
            return
        if answer.entries:
            view.found = True
        elif view.seen is False and (view.ever or not view.found):
            raise self._hidden(answer.server)

    def _turn(self, server: str) -> _View:
        self._server = server
        return self._views.setdefault(server, _View())

    def _hidden(self, server: str) -> CannotTell:
        fault = (
            f"{server}: {self._key} {shown(self._base)} is missing, or hidden from bind_dn, so nobody can be found below it: correct "
            f"{self._key}, or let bind_dn read and search that entry"
        )
        if not self._told.find(server):
            self._told.keep(server, True, trio.current_time())
            _logger.error("%s", fault)
        return CannotTell(fault)
