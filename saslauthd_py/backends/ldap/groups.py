"""Whether a user is in the group that may log in: judged before the secret (rule D9), by the service's identity.

So a right secret of somebody who is not in the group looks like a wrong one, and an outage of the groups never comes after a proof.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

import trio

from saslauthd_py import trace
from saslauthd_py.backends.ldap import verdicts
from saslauthd_py.backends.ldap.conversation import Conversation, shown
from saslauthd_py.backends.ldap.directory import DirectoryFailed
from saslauthd_py.backends.ldap.dn_templates import DnTemplate
from saslauthd_py.backends.ldap.recent import Recent
from saslauthd_py.backends.ldap.sight import Sight
from saslauthd_py.backends.ldap.templates import Templates
from saslauthd_py.backends.ldap.verdicts import CannotTell
from saslauthd_py.config.settings.ldap import MEMBER_OF, LdapSettings
from saslauthd_py.wire.ldap import Compare, Extensible, Filter, Not, Or, Place, Present, Scope, Search

MOST_GROUPS = 100
"""Groups of one user that are looked at, where the server does not know the rule for nested ones."""

MOST_REMEMBERED = 10_000
"""Members of the group that are remembered at once."""

_IN_CHAIN = b"1.2.840.113556.1.4.1941"
_MEMBER_OF = b"memberOf"


class Membership(Protocol):
    """One way to be in a group."""

    async def direct(self, login: Conversation, dn: bytes) -> bool:
        """Whether the entry is a member by itself. Raises DirectoryFailed, CannotTell."""

    async def holds(self, login: Conversation, dn: bytes) -> bool:
        """Whether it is one at all. Raises DirectoryFailed, CannotTell."""


class Groups:
    """The group check of a backend.

    A yes is remembered for `group_cache` seconds from the time at which it was asked for. A no is not (as rule C4): whoever has just been
    added to the group is in it at once, and it saves nothing where it should, for a refused login is no hurry.
    """

    def __init__(self, membership: Membership, seconds: float) -> None:
        self._membership = membership
        self._members: Recent[tuple[bytes, ...], bool] = Recent(seconds, MOST_REMEMBERED)

    @classmethod
    def of(cls, settings: LdapSettings, templates: Templates, sight: Sight | None) -> Groups | None:
        """As the configuration has it, where `sight` looks at `base`; None: nobody needs to be in a group."""
        limit = math.ceil(settings.timeout)
        if templates.group_filter is not None and templates.group_base is not None:
            scope = Scope[settings.group_scope.upper()]
            search = Search(templates.group_filter, scope, size_limit=1, time_limit=limit)
            if settings.group_base is not None:
                sight = Sight.of("group_base", templates.group_base, settings)
            return cls(Found(search, templates.group_base, sight), settings.group_cache)
        if templates.group_dn is not None and settings.group_attribute is not None:
            inside = settings.group_attribute.lower() == MEMBER_OF
            named = Naming(templates.group_dn, limit) if inside else Named(templates.group_dn, settings.group_attribute)
            return cls(Nested(named, limit) if settings.nested_groups else named, settings.group_cache)
        return None

    async def has(self, login: Conversation, dn: bytes) -> bool:
        """Whether the entry is a member. Raises DirectoryFailed, CannotTell."""
        began, asked = time.monotonic(), trio.current_time()
        key = (dn, *login.key)
        remembered = self._members.find(key) is not None
        member = remembered or await self._membership.holds(login, dn)
        if member and not remembered:
            self._members.keep(key, True, asked)
        trace.note("ldap-group", dn=shown(dn), member=member, remembered=remembered, ms=round((time.monotonic() - began) * 1000, 3))
        return member

    def forget(self) -> None:
        """Everybody's membership is asked for anew."""
        self._members.clear()

    async def pretend(self, login: Conversation, dn: bytes) -> None:
        """The same kind of work for a DN that nobody has (rule D6), whatever comes of it."""
        with suppress(DirectoryFailed, CannotTell):
            await self._membership.direct(login, dn)


class Named:
    """Members are named by an attribute of the group."""

    def __init__(self, group: DnTemplate, attribute: str) -> None:
        self._group = group
        self._attribute = attribute.encode()

    def group(self, values: Mapping[str, bytes]) -> bytes:
        """The group's DN. Raises Unfillable."""
        return self._group.fill(values)

    async def direct(self, login: Conversation, dn: bytes) -> bool:
        """As `Membership.direct`. A group that only this login would have need not be there."""
        group = self.group(login.values)
        answer = await login.compare(group, self._attribute, dn)
        if verdicts.compares_no_entry(answer) and self._group.places:
            return False
        return verdicts.of_compare(answer, f"compare {shown(self._attribute)} of {shown(group)}")

    holds = direct


class Naming:
    """The group is named by memberOf of its members.

    A search finds what a server makes up while it searches, as OpenLDAP's dynlist does; a compare does not. But a search says nothing
    where the server has no such attribute, so that is asked once.
    """

    def __init__(self, group: DnTemplate, time_limit: int) -> None:
        self._group = group
        self._names = _of_entry(Compare(_MEMBER_OF, (Place("G"),)), time_limit)
        self._known = False

    def group(self, values: Mapping[str, bytes]) -> bytes:
        """As `Named.group`."""
        return self._group.fill(values)

    async def direct(self, login: Conversation, dn: bytes) -> bool:
        """As `Membership.direct`."""
        group = self.group(login.values)
        answer = await login.search(self._names, dn, {"G": group})
        if verdicts.names_no_entry(answer):
            return False
        verdicts.of_search(answer, f"search for memberOf of {shown(dn)}")
        if not answer.entries and not self._known:
            compared = await login.compare(dn, _MEMBER_OF, group)
            if not verdicts.compares_no_entry(compared):
                verdicts.of_compare(compared, f"compare memberOf of {shown(dn)}")
                self._known = True
        return bool(answer.entries)

    holds = direct


class Found:
    """Members are those for whom a search finds a group, or more, below `base`, which `sight` looks at."""

    def __init__(self, search: Search, base: DnTemplate, sight: Sight | None) -> None:
        self._search = search
        self._base = base
        self._sight = sight

    async def direct(self, login: Conversation, dn: bytes) -> bool:
        """As `Membership.direct`."""
        values = {**login.values, "D": dn}
        base = self._base.fill(values)
        sight, now = self._sight, trio.current_time()
        if sight is not None and sight.due(now):
            await sight.look(login, now)
        answer = await login.search(self._search, base, values)
        if verdicts.names_no_entry(answer) and self._base.places:
            return False
        verdicts.of_search(answer, f"search for the group below {shown(base)}")
        if sight is not None:
            if sight.due_elsewhere(answer, now):
                await sight.look(login, now)
            sight.judge(answer)
        return bool(answer.entries)

    holds = direct


class Nested:
    """Members of a group in the group are its members too.

    Asked first is the member's own entry, by Active Directory's rule, which looks through all groups at once. A server that does not
    know that rule says nothing of an entry, neither that it holds nor that it does not (RFC 4511 section 4.5.1.7: Undefined): its groups
    are gone through by their memberOf, at most MOST_GROUPS.
    """

    def __init__(self, named: Named | Naming, time_limit: int) -> None:
        self._named = named
        chain = Extensible((Place("G"),), _MEMBER_OF, _IN_CHAIN)
        self._in_chain = _of_entry(chain, time_limit)
        self._rule_known = _of_entry(Or((chain, Not(chain))), time_limit)
        self._parents = _of_entry(Present(b"objectClass"), time_limit, _MEMBER_OF)

    async def direct(self, login: Conversation, dn: bytes) -> bool:
        """As `Membership.direct`."""
        return await self._named.direct(login, dn)

    async def holds(self, login: Conversation, dn: bytes) -> bool:
        """As `Membership.holds`."""
        if await self.direct(login, dn):
            return True
        values = {"G": self._named.group(login.values)}
        if await self._matches(login, self._in_chain, dn, values):
            return True
        return not await self._matches(login, self._rule_known, dn, values) and await self._goes_up(login, dn)

    async def _matches(self, login: Conversation, search: Search, dn: bytes, values: Mapping[str, bytes]) -> bool:
        answer = await login.search(search, dn, values)
        if verdicts.names_no_entry(answer) or verdicts.not_understood(answer):
            return False
        verdicts.of_search(answer, "search for nested groups")
        return bool(answer.entries)

    async def _goes_up(self, login: Conversation, dn: bytes) -> bool:
        """Whether a group that the entry is in, or one which that one is in, and so on, is in the group."""
        seen, waiting = {dn}, [dn]
        while waiting:
            for group in await self._groups_of(login, waiting.pop(0)):
                if group in seen:
                    continue
                if len(seen) > MOST_GROUPS:
                    raise CannotTell(f"{shown(dn)} is in over {MOST_GROUPS} groups, and the server knows no rule that looks through them")
                if await self.direct(login, group):
                    return True
                seen.add(group)
                waiting.append(group)
        return False

    async def _groups_of(self, login: Conversation, dn: bytes) -> tuple[bytes, ...]:
        answer = await login.search(self._parents, dn, {})
        if verdicts.names_no_entry(answer):
            return ()
        verdicts.of_search(answer, f"read memberOf of {shown(dn)}")
        return tuple(group for entry in answer.entries for group in entry.values(_MEMBER_OF) if group)


def _of_entry(wanted: Filter, time_limit: int, attribute: bytes = b"1.1") -> Search:
    return Search(wanted, Scope.BASE, (attribute,), size_limit=1, time_limit=time_limit)
