"""The search for a user's one entry."""

from __future__ import annotations

import logging
import math
import os

import trio

from saslauthd_py.backends.ldap import verdicts
from saslauthd_py.backends.ldap.conversation import Conversation, shown
from saslauthd_py.backends.ldap.dn_templates import DnTemplate
from saslauthd_py.backends.ldap.recent import Recent
from saslauthd_py.backends.ldap.sight import Sight
from saslauthd_py.backends.ldap.verdicts import CannotTell
from saslauthd_py.config.settings.ldap import LdapSettings
from saslauthd_py.wire.ldap import NO_ATTRIBUTES, Filter, Scope, Search, SearchResultEntry

_logger = logging.getLogger(__name__)

_QUIET = 60.0
"""Seconds in which the log tells only once that a name is more than one entry's."""

_MOST_TOLD = 1000
_ENOUGH = 2


def random_name() -> bytes:
    """A name that nothing has."""
    return os.urandom(16).hex().encode()


class Finder:
    """Finds the entry of a login: by `filter`, below `base`, which `sight` looks at."""

    def __init__(
        self,
        settings: LdapSettings,
        base: DnTemplate,
        filter: Filter,  # noqa: A002 - what RFC 4511 calls it
        sight: Sight | None,
        attributes: tuple[bytes, ...] = NO_ATTRIBUTES,
    ) -> None:
        self._base = base
        self._sight = sight
        self._only_base = None if base.places else base.fill({})
        scope, limit = Scope[settings.scope.upper()], math.ceil(settings.timeout)
        self._search = Search(filter, scope, attributes, size_limit=_ENOUGH, time_limit=limit)
        self._told: Recent[tuple[bytes, ...], bool] = Recent(_QUIET, _MOST_TOLD)

    async def find(self, login: Conversation, now: float) -> SearchResultEntry | None:
        """The entry; None: there is none. Raises DirectoryFailed, CannotTell; Unfillable for a login that no entry can have.

        `now` is the time. More than one is a fault of the directory or of the filter, and nobody's wrong password. A base that only this
        login would have need not be there.
        """
        base = self._base.fill(login.values) if self._only_base is None else self._only_base
        sight = self._sight
        if sight is not None and sight.due(now):
            await sight.look(login, now)
        answer = await login.search(self._search, base, login.values)
        if answer.code:
            if verdicts.names_no_entry(answer) and self._base.places:
                return None
            verdicts.of_search(answer, f"search below {shown(base) or 'the root'}")
        if sight is not None:
            if sight.due_elsewhere(answer, now):
                await sight.look(login, now)
            sight.judge(answer)
        if len(answer.entries) > 1 or answer.code:
            raise self._several(login, answer.server, answer.entries)
        if not answer.entries:
            return None
        if not answer.entries[0].name.strip(b" "):
            raise CannotTell(
                f"{answer.server}: the filter finds the root of the directory, which is no user: correct base, scope and filter"
            )
        return answer.entries[0]

    def nobody(self) -> bytes:
        """The DN of an entry that is not there, where those of users are."""
        name = random_name()
        return b",".join(filter(None, (b"cn=" + name, self._base.fill(dict.fromkeys(self._base.places, name)))))

    def _several(self, login: Conversation, server: str, entries: tuple[SearchResultEntry, ...]) -> CannotTell:
        names = " and ".join(shown(entry.name) for entry in entries[:_ENOUGH])
        fault = f"{server}: one name finds more than one entry, {names}: make the filter tell them apart, or the entries"
        if not self._told.find(login.key):
            self._told.keep(login.key, True, trio.current_time())
            _logger.error("%s", fault)
        return CannotTell(fault)
