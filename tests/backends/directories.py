"""A directory in memory, behind the same seam as the real ones: entries, filters with three values of truth, and faults on demand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import trio

from saslauthd_py.backend import Attempt
from saslauthd_py.backends.ldap import LdapBackend
from saslauthd_py.backends.ldap.directory import Answer, DirectoryFailed
from saslauthd_py.config.settings.ldap import LdapSettings
from saslauthd_py.hashing import Hashing
from saslauthd_py.identity import Identity
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Verdict
from saslauthd_py.wire.ldap import (
    NO_ATTRIBUTES,
    And,
    BindRequest,
    Compare,
    CompareRequest,
    Extensible,
    Filter,
    Not,
    Or,
    Place,
    Present,
    ResultCode,
    Scope,
    SearchRequest,
    SearchResultEntry,
    Value,
    text,
)

SERVER = "ldap://directory.test"
PEOPLE = b"ou=people,dc=example,dc=test"
ALICE = Identity("alice", "example.test")
PW = "pw1"
BOB = Identity("bob", "example.test")

Said = Answer | Exception
Question = SearchRequest | CompareRequest | BindRequest


def dn(name: str, below: bytes = PEOPLE) -> bytes:
    """The DN of a user."""
    return b"uid=" + name.encode() + b"," + below


def said(code: int, diagnostic: str = "", *entries: SearchResultEntry) -> Answer:
    """An answer of the one server."""
    return Answer(code, diagnostic, SERVER, entries)


@dataclass
class Stored:
    """An entry: attributes by lower-case name, and the password by which a bind as it succeeds."""

    attributes: dict[bytes, list[bytes]] = field(default_factory=dict)
    password: bytes | None = None


@dataclass
class Model:
    """Implements `Directory`. `asked` has every question; `faults` are served first, each to the next question of its kind.

    But for looks at a base, which come by the time and not by what a test does: those are in `looks`, and `look` answers them at once.

    `rules`: the matching rules it knows; `memberof`: whether it knows that attribute; `limit`: its own size limit. `delay` is seconds
    that every answer takes, `hash` those that a bind as an entry that is there takes more.
    """

    entries: dict[bytes, Stored] = field(default_factory=dict)
    rules: frozenset[bytes] = frozenset()
    memberof: bool = True
    limit: int = 0
    delay: float = 0.0
    hash: float = 0.0
    asked: list[Question] = field(default_factory=list)
    faults: dict[type[Question], list[Said]] = field(default_factory=dict)
    looks: list[SearchRequest] = field(default_factory=list)

    def add(self, name: str, password: str, below: bytes = PEOPLE, **attributes: list[bytes]) -> bytes:
        """A user, by uid; the DN."""
        more = {key.lower().encode(): values for key, values in attributes.items()}
        self.entries[dn(name, below)] = Stored({b"uid": [name.encode()], b"objectclass": [b"person"], **more}, password.encode())
        return dn(name, below)

    def group(self, name: str, *members: bytes) -> bytes:
        """A group, by cn; its DN. Its members get a memberOf, as by OpenLDAP's overlay."""
        group = b"cn=" + name.encode() + b",ou=groups,dc=example,dc=test"
        self.entries[group] = Stored({b"cn": [name.encode()], b"objectclass": [b"groupOfNames"], b"member": list(members)})
        for member in members:
            if self.memberof and member in self.entries:
                self.entries[member].attributes.setdefault(b"memberof", []).append(group)
        return group

    def fail(self, kind: type[Question], *answers: Said) -> None:
        """Say these to the next questions of this kind."""
        self.faults.setdefault(kind, []).extend(answers)

    def binds(self) -> list[bytes]:
        """The names of all binds so far."""
        return [one.name for one in self.asked if isinstance(one, BindRequest)]

    def searches(self) -> list[str]:
        """The filters of all searches so far, as text."""
        return [text(one.search.filter, one.values) for one in self.asked if isinstance(one, SearchRequest)]

    def compares(self) -> list[CompareRequest]:
        """All compares so far."""
        return [one for one in self.asked if isinstance(one, CompareRequest)]

    async def search(self, request: SearchRequest) -> Answer:
        if is_look(request):
            self.looks.append(request)
            return await self.look(request)
        if fault := await self._asked(request):
            return fault
        if not self._is_there(request.base):
            return said(ResultCode.NO_SUCH_OBJECT)
        found = [name for name in self.entries if _below(name, request) and self._holds(request.search.filter, name, request.values)]
        limit = min(filter(None, (request.search.size_limit, self.limit)), default=len(found))
        code = ResultCode.SIZE_LIMIT_EXCEEDED if len(found) > limit else ResultCode.SUCCESS
        return said(code, "", *(self._shown(name, request.search.attributes) for name in found[:limit]))

    async def look(self, request: SearchRequest) -> Answer:
        """The entry is there, or is not. Entries need not be there themselves to have others below them."""
        await trio.lowlevel.checkpoint()
        if not self._is_there(request.base):
            return said(ResultCode.NO_SUCH_OBJECT)
        return said(ResultCode.SUCCESS, "", SearchResultEntry(request.base))

    async def compare(self, request: CompareRequest) -> Answer:
        if fault := await self._asked(request):
            return fault
        if request.name not in self.entries:
            return said(ResultCode.NO_SUCH_OBJECT)
        values = self.entries[request.name].attributes.get(request.attribute.lower())
        if values is None:
            return said(ResultCode.NO_SUCH_ATTRIBUTE)
        return said(ResultCode.COMPARE_TRUE if request.value in values else ResultCode.COMPARE_FALSE)

    async def bind(self, request: BindRequest) -> Answer:
        if fault := await self._asked(request):
            return fault
        entry = self.entries.get(request.name)
        if entry is None:
            return said(ResultCode.INVALID_CREDENTIALS)
        await trio.sleep(self.hash)
        right = entry.password is not None and request.secret == Secret(entry.password)
        return said(ResultCode.SUCCESS if right else ResultCode.INVALID_CREDENTIALS)

    async def _asked(self, request: Question) -> Answer | None:
        self.asked.append(request)
        await trio.lowlevel.checkpoint()
        if self.delay:
            await trio.sleep(self.delay)
        faults = self.faults.get(type(request))
        fault = faults.pop(0) if faults else None
        if isinstance(fault, Exception):
            raise fault
        return fault

    def _is_there(self, base: bytes) -> bool:
        return not base or base in self.entries or any(name.endswith(b"," + base) for name in self.entries)

    def _shown(self, name: bytes, wanted: tuple[bytes, ...]) -> SearchResultEntry:
        attributes = self.entries[name].attributes
        return SearchResultEntry(name, tuple((each, tuple(attributes[each.lower()])) for each in wanted if each.lower() in attributes))

    def _holds(self, wanted: Filter, name: bytes, values: Mapping[str, bytes]) -> bool | None:
        """RFC 4511 section 4.5.1.7: None is Undefined."""
        attributes = self.entries[name].attributes
        match wanted:
            case And(filters):
                return _all([self._holds(each, name, values) for each in filters])
            case Or(filters):
                return _not(_all([_not(self._holds(each, name, values)) for each in filters]))
            case Not(inner):
                return _not(self._holds(inner, name, values))
            case Present(attribute):
                return attribute.lower() in attributes
            case Compare(attribute, value):
                return _filled(value, values) in attributes.get(attribute.lower(), [])
            case Extensible(value, attribute, rule):
                return self._in_chain(name, _filled(value, values)) if rule in self.rules else None
        raise NotImplementedError(wanted)

    def _in_chain(self, name: bytes, group: bytes) -> bool:
        direct = [one for one, entry in self.entries.items() if name in entry.attributes.get(b"member", [])]
        return group in direct or any(self._in_chain(one, group) for one in direct)


def is_look(request: SearchRequest) -> bool:
    """Whether it asks for the entry itself, which is there or not, and for nothing of it."""
    search = request.search
    return (search.scope, search.filter, search.attributes) == (Scope.BASE, Present(b"objectClass"), NO_ATTRIBUTES)


def _below(name: bytes, request: SearchRequest) -> bool:
    match request.search.scope:
        case Scope.BASE:
            return name == request.base
        case Scope.ONE:
            return name.partition(b",")[2] == request.base
        case Scope.SUB:
            return name == request.base or name.endswith(b"," + request.base) or not request.base


def _filled(value: Value, values: Mapping[str, bytes]) -> bytes:
    return b"".join(values[part.name] if isinstance(part, Place) else part for part in value)


def _not(truth: bool | None) -> bool | None:
    return None if truth is None else not truth


def _all(truths: list[bool | None]) -> bool | None:
    return False if False in truths else None if None in truths else True


class Silent(Model):
    """Never answers."""

    async def _asked(self, request: Question) -> Answer | None:
        self.asked.append(request)
        return await trio.sleep_forever()

    async def look(self, _request: SearchRequest) -> Answer:
        return await trio.sleep_forever()


def settings(**keys: Any) -> LdapSettings:
    """Of a backend that searches for users by uid below PEOPLE, unless `keys` say otherwise."""
    plain: dict[str, Any] = {"type": "ldap", "servers": [SERVER]}
    if keys.get("method") != "template":
        plain["base"] = PEOPLE.decode()
    return LdapSettings(**plain | keys)


def backend(directory: Model, hashing: Hashing | None = None, **keys: Any) -> LdapBackend:
    """One over this directory."""
    return LdapBackend(settings(**keys), directory, hashing or Hashing(threads=1))


async def ask(it: LdapBackend, secret: str = PW, name: Identity = ALICE, service: str = "smtp") -> Verdict:
    """What it says of a login."""
    return await it.verify_password(Attempt(name, Secret(secret.encode()), service))


async def cost(of: Model, call: Callable[[], Any]) -> list[str]:
    """The kinds of the questions that a call asks, in order."""
    before = len(of.asked)
    await call()
    return [type(one).__name__.removesuffix("Request").lower() for one in of.asked[before:]]


GONE = DirectoryFailed("ldap://directory.test: connection refused")
