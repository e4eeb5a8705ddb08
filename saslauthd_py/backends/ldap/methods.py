"""The ways to judge a password by a directory: bind as the entry that a search found, bind as a template says, read and compare."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Awaitable
from contextlib import suppress
from statistics import median
from typing import Protocol

import trio

from saslauthd_py import passwords, trace
from saslauthd_py.backends.ldap.conversation import Conversation, shown
from saslauthd_py.backends.ldap.directory import Directory, DirectoryFailed
from saslauthd_py.backends.ldap.dn_templates import DnTemplate, NameTemplate
from saslauthd_py.backends.ldap.finding import Finder, random_name
from saslauthd_py.backends.ldap.groups import Groups
from saslauthd_py.backends.ldap.recent import Recent
from saslauthd_py.backends.ldap.verdicts import CannotTell
from saslauthd_py.hashing import Hashing
from saslauthd_py.passwords import BrokenRecord
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Reason, Rejected, UnknownUser
from saslauthd_py.wire.ldap import BindRequest

MOST_REMEMBERED = 10_000
"""Logins whose DNs are remembered at once."""

MOST_VALUES = 32
"""Stored passwords of one entry that are tried: users can often write their own entries, and each may cost a hash."""

LONGEST_WORK = 1.0
"""Seconds that a pretended bind takes, at most, for being like those that a server refuses."""

Judgement = Accepted | Rejected | UnknownUser
"""What is said where somebody could tell."""

_WRONG = Rejected(Reason.WRONG_SECRET)
_NOT_IN_GROUP = Rejected(Reason.GROUP)


class Method(Protocol):
    """One way."""

    async def judge(self, login: Conversation) -> Judgement:
        """Whether the secret is right. Raises DirectoryFailed, CannotTell, and Unfillable for a login that no entry can have."""

    async def pretend(self, secret: Secret, /) -> None:
        """As `Backend.pretend`."""


class Bind:
    """Search, then bind as the entry. The DN that was found is `known`; that it was the right one is asked anew each time (rule G1)."""

    def __init__(self, finder: Finder, groups: Groups | None, binding: Binding, known: Recent[tuple[bytes, ...], bytes]) -> None:
        self._finder = finder
        self._groups = groups
        self._binding = binding
        self._known = known

    async def judge(self, login: Conversation) -> Judgement:
        """As `Method.judge`."""
        key = login.key
        known = self._known.find(key)
        first: Judgement | None = None
        if known is not None:
            if trace.recordings:
                trace.note("ldap-remembered", dn=shown(known))
            first = await self._judge_as(login, known)
            if isinstance(first, Accepted):
                return first
        asked = trio.current_time()
        entry = await self._finder.find(login, asked)
        if entry is None:
            self._known.drop(key)
            if self._groups is not None:
                await self._groups.pretend(login, self._finder.nobody())
            return UnknownUser()
        self._known.keep(key, entry.name, asked)
        if first is not None and entry.name == known:
            return first
        return await self._judge_as(login, entry.name)

    async def pretend(self, _secret: Secret, /) -> None:
        """As `Method.pretend`."""
        await self._binding.pretend(self._finder.nobody())

    def _judge_as(self, login: Conversation, dn: bytes) -> Awaitable[Judgement]:
        if self._groups is None:
            return self._binding.judge(login, dn, found=True)
        return self._judge_member(self._groups, login, dn)

    async def _judge_member(self, groups: Groups, login: Conversation, dn: bytes) -> Judgement:
        if not await groups.has(login, dn):
            return _NOT_IN_GROUP
        return await self._binding.judge(login, dn, found=True)


class Template:
    """Bind as the DN, or other name, that a template makes of the login. There is no search."""

    def __init__(self, template: DnTemplate | NameTemplate, groups: Groups | None, binding: Binding) -> None:
        self._template = template
        self._groups = groups
        self._binding = binding

    async def judge(self, login: Conversation) -> Judgement:
        """As `Method.judge`."""
        name = self._template.fill(login.values)
        if self._groups is not None and not await self._groups.has(login, name):
            return _NOT_IN_GROUP
        return await self._binding.judge(login, name, found=False)

    async def pretend(self, _secret: Secret, /) -> None:
        """As `Method.pretend`."""
        await self._binding.pretend(self._template.fill(dict.fromkeys(self._template.places, random_name())))


class Binding:
    """Binds as users, and such as only look like it: as nobody, by a secret that is nobody's.

    A server does no hash for an entry that is not there, so a pretended bind lasts as long as refused ones did of late (rule D6).
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._refused: deque[float] = deque(maxlen=31)

    async def judge(self, login: Conversation, dn: bytes, *, found: bool) -> Judgement:
        """As `Conversation.bind`."""
        began = trio.current_time()
        refused = await login.bind(dn, found=found)
        if refused is None:
            return login.accepted()
        if refused == _WRONG:
            self._refused.append(min(trio.current_time() - began, LONGEST_WORK))
        return refused

    async def pretend(self, name: bytes) -> None:
        """Never the secret that was presented: what is wrong here may be right elsewhere. Whatever comes of it."""
        until = trio.current_time() + median(self._refused or (0.0,))
        with suppress(DirectoryFailed):
            await self._directory.bind(BindRequest(name, Secret(random_name())))
        await trio.sleep_until(until)


class Compare:
    """Read the stored passwords of the entry that a search found, and verify them here."""

    def __init__(self, finder: Finder, groups: Groups | None, attribute: bytes, hashing: Hashing) -> None:
        self._finder = finder
        self._groups = groups
        self._attribute = attribute
        self._hashing = hashing
        self._profiles: deque[str] = deque(maxlen=256)
        self._shown = False

    async def judge(self, login: Conversation) -> Judgement:
        """As `Method.judge`. Cancelled while a hash runs, it waits for that hash."""
        entry = await self._finder.find(login, trio.current_time())
        if entry is None:
            if self._groups is not None:
                await self._groups.pretend(login, self._finder.nobody())
            return UnknownUser()
        if self._groups is not None and not await self._groups.has(login, entry.name):
            return _NOT_IN_GROUP
        values = entry.values(self._attribute)
        trace.note("ldap-stored", dn=shown(entry.name), attribute=shown(self._attribute), values=len(values))
        if not values:
            return self._without(entry.name)
        self._shown = True
        if len(values) > MOST_VALUES:
            raise CannotTell(f"{shown(entry.name)}: {len(values)} values of {shown(self._attribute)}, over {MOST_VALUES} are not tried")
        return await self._verify(login, entry.name, values)

    async def pretend(self, secret: Secret, /) -> None:
        """As `Method.pretend`: the kind of hash that most entries had of late."""
        common = Counter(self._profiles).most_common(1)
        profile = common[0][0] if common else passwords.cost_to_make(passwords.DEFAULT_SCHEME).profile
        await self._hashing.verify(passwords.decoy(profile), secret)

    def _without(self, dn: bytes) -> Judgement:
        """An attribute that is hidden looks like one that is not there; where anybody's was seen, it is not hidden."""
        if self._shown:
            return Rejected(Reason.NO_CREDENTIAL)
        why = "nor has any entry so far: may bind_dn read it? Active Directory shows it to nobody, and wants the method bind"
        raise CannotTell(f"{shown(dn)} shows no {shown(self._attribute)}, {why}")

    async def _verify(self, login: Conversation, dn: bytes, values: tuple[bytes, ...]) -> Judgement:
        """A secret that matches one value is right, whatever another is like; one that cannot be read is an outage (rule D8)."""
        broken: BrokenRecord | None = None
        for value in values:
            try:
                encoding = passwords.recognise(value.decode("utf-8", "surrogateescape"))
                profile = passwords.cost(encoding).profile
                matches = await self._hashing.verify(encoding, login.secret)
            except BrokenRecord as error:
                broken = error
                continue
            login.compared()
            self._profiles.append(profile)
            if matches:
                return login.accepted(sole=len(values) == 1)
        if broken is not None:
            raise CannotTell(f"{shown(dn)}: {shown(self._attribute)}: {broken}")
        return _WRONG
