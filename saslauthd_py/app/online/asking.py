"""What a server is asked once it is reached: the service's bind, then base, filter, stored passwords and group, as logins need them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from saslauthd_py.app.online.findings import Outcome, Said, failed, passed, skipped, unreachable, warned
from saslauthd_py.app.online.widening import sample
from saslauthd_py.backends.ldap.dn_templates import DnTemplate
from saslauthd_py.backends.ldap.finding import random_name
from saslauthd_py.backends.ldap.templates import Templates
from saslauthd_py.backends.ldap.verdicts import meaning
from saslauthd_py.config.settings import LdapSettings
from saslauthd_py.wire.ldap import And, Compare, Filter, Present, ResultCode, describe, places, text

with warnings.catch_warnings():  # ldap3 2.9.1 imports names that pyasn1 deprecates
    warnings.simplefilter("ignore", DeprecationWarning)
    import ldap3
    from ldap3.core.exceptions import LDAPExceptionError

_SCOPES: dict[str, Literal["BASE", "LEVEL", "SUBTREE"]] = {"sub": ldap3.SUBTREE, "one": ldap3.LEVEL, "base": ldap3.BASE}
_NOTHING = "1.1"
"""The attribute that asks for none (RFC 4511 section 4.5.1.8)."""

_NO_ATTRIBUTE = "x-no-such-attribute"
"""To most servers it is unknown; Samba says of its values, as of those of any attribute that an entry lacks: false."""

_ALL = "(objectClass=*)"
_MEMBER_OF = b"memberOf"
_BY_A_LOGIN = "`saslauthd-py test NAME --trace` tries it with a login"

_LIMITED = frozenset({ResultCode.TIME_LIMIT_EXCEEDED, ResultCode.SIZE_LIMIT_EXCEEDED, ResultCode.ADMIN_LIMIT_EXCEEDED})

_ADVICE = {
    ResultCode.SUCCESS: "389-ds says this where there is no such entry, or the service may not see it",
    ResultCode.OPERATIONS_ERROR: "the server may want a bind first: set bind_dn",
    ResultCode.REFERRAL: "another server has it: name that one in servers",
    ResultCode.NO_SUCH_OBJECT: "there is no such entry, or the service may not see it",
    ResultCode.INVALID_DN_SYNTAX: "that is no DN to the server",
    ResultCode.INSUFFICIENT_ACCESS_RIGHTS: "the service may not read it: set bind_dn, or give it the right",
    ResultCode.CONFIDENTIALITY_REQUIRED: "the server wants TLS: use ldaps://, or start_tls = true",
    ResultCode.STRONGER_AUTH_REQUIRED: "the server wants TLS: use ldaps://, or start_tls = true",
    ResultCode.INVALID_CREDENTIALS: "correct bind_dn or its password; too many tries may lock that account",
    ResultCode.INAPPROPRIATE_AUTHENTICATION: "nobody may bind so: set bind_dn and password_file",
    ResultCode.AUTH_METHOD_NOT_SUPPORTED: "the server knows no such bind",
}


def asked(connection: ldap3.Connection, settings: LdapSettings) -> Iterator[Said]:
    """All steps, up to one without which the rest means nothing."""
    try:
        yield from _Questions(connection, settings).all()
    except (LookupError, TypeError, ValueError):  # what ldap3 makes of an answer that is none
        yield failed("answer", "the server answers with what is no LDAP: is it the right port, and does it want TLS there?")
    except LDAPExceptionError:  # its text may hold what was sent
        yield unreachable("answer", f"the connection was lost, or no answer came within {settings.timeout:g} s; does it want TLS there?")


@dataclass(frozen=True, slots=True)
class _Found:
    """The answer to a search: how many entries, and which attributes the first has, in lower case."""

    code: int
    told: str
    entries: int
    attributes: frozenset[str]


class _Questions:
    """The questions of one connection. Each raises LDAPExceptionError where no answer comes."""

    def __init__(self, connection: ldap3.Connection, settings: LdapSettings) -> None:
        self._connection = connection
        self._settings = settings
        self._templates = Templates.of(settings)

    def all(self) -> Iterator[Said]:
        bind = self._bind()
        yield bind
        if bind.outcome is Outcome.FAIL:
            return
        if self._templates.bind is not None:
            yield skipped("dn_template", f"{self._settings.dn_template} needs a name: {_BY_A_LOGIN}")
        elif self._templates.base is not None and self._templates.filter is not None:
            yield from self._users(self._templates.base, self._templates.filter)
        yield from self._groups()

    def _bind(self) -> Said:
        connection, settings = self._connection, self._settings
        if settings.sasl_external:
            connection.authentication, connection.sasl_mechanism, connection.sasl_credentials = ldap3.SASL, ldap3.EXTERNAL, ""
            who = "as this process's user"
        elif settings.bind_dn is not None and settings.password is not None:
            connection.authentication, connection.user = ldap3.SIMPLE, settings.bind_dn
            connection.password = settings.password.reveal()
            who = f"as {settings.bind_dn}"
        else:
            connection.authentication = ldap3.ANONYMOUS
            who = "anonymously"
        connection.bind(read_server_info=False)
        code = connection.result["result"]
        if code and connection.authentication == ldap3.ANONYMOUS:
            return warned("bind", f"{who}: {self._told()}: logins go on without it, and searches may be refused")
        if code:
            return failed("bind", f"{who}: {self._told()}")
        return passed("bind", f"{who}{self._external() if settings.sasl_external else ''}")

    def _external(self) -> str:
        name = self._connection.extend.standard.who_am_i()
        mapped = f", which is {name} there" if name else ""
        return mapped + ("; the daemon's user may be another: try it as that one too" if os.geteuid() == 0 else "")

    def _users(self, base: DnTemplate, asked_for: Filter) -> Iterator[Said]:
        if not base.places:
            entry = self._entry("base", self._settings.base or "")
            yield entry
            if entry.outcome is Outcome.FAIL:
                return
        letters = self._templates.letters
        values = dict.fromkeys(letters, random_name())
        below, scope = base.fill(values).decode(), self._settings.scope
        found = self._search(below, scope, text(asked_for, values))
        if base.places and found.code == ResultCode.NO_SUCH_OBJECT:
            yield skipped("filter", f"base = {self._settings.base} needs a login: {_BY_A_LOGIN}")
            return
        yield self._of_nobody("filter", self._settings.filter, found)
        if found.code or found.entries or base.places:
            return
        somebody = sample(asked_for)
        anybody = self._search(below, scope, text(somebody, {}))
        yield self._of_anybody("users", text(somebody, {}), anybody)
        if self._settings.method == "compare":
            yield self._passwords(below, somebody)
        group = self._templates.group_dn
        if self._settings.group_in_user and group is not None and not group.places:
            yield self._member_of(below, somebody, group.fill({}))

    def _passwords(self, below: str, somebody: Filter) -> Said:
        """Whether they may be read. The types are asked for and no values: no stored password leaves the server."""
        attribute = self._settings.password_attribute
        wanted = text(And((somebody, Present(attribute.encode()))), {})
        found = self._search(below, self._settings.scope, wanted, attribute)
        if attribute.lower() in found.attributes:
            return passed("password_attribute", f"{attribute} may be read")
        if found.code in _LIMITED and not found.entries:
            return skipped("password_attribute", f"the server stops at its limits: {found.told}")
        advice = 'give the service the right to read it, or use method = "bind"'
        return failed("password_attribute", f"no entry shows {attribute}: {advice}")

    def _member_of(self, below: str, somebody: Filter, group: bytes) -> Said:
        wanted = And((somebody, Compare(_MEMBER_OF, (group,))))
        found = self._search(below, self._settings.scope, text(wanted, {}))
        if found.entries:
            return passed("group_attribute", "there are users with this group in their memberOf")
        return warned("group_attribute", "no user's entry shows this group in memberOf: most servers need an overlay or a plugin for it")

    def _groups(self) -> Iterator[Said]:
        templates, settings = self._templates, self._settings
        if templates.group_dn is not None and settings.group_attribute is not None:
            if templates.group_dn.places:
                yield skipped("group_dn", f"{settings.group_dn} needs a login: {_BY_A_LOGIN}")
            elif settings.group_in_user:
                yield self._entry("group_dn", settings.group_dn or "")
            else:
                yield self._members(settings.group_dn or "", settings.group_attribute)
        elif templates.group_filter is not None and templates.group_base is not None:
            yield from self._group_filter(templates.group_filter, templates.group_base)

    def _members(self, group: str, attribute: str) -> Said:
        """As a login asks it, of a DN that nobody has."""
        code = self._compared(group, attribute)
        if code == ResultCode.COMPARE_FALSE and self._compared(group, _NO_ATTRIBUTE) == code and not self._shows(group, attribute):
            return warned("group_dn", f"{group} shows no {attribute}: correct group_attribute, unless the group is empty, or hidden")
        if code == ResultCode.COMPARE_FALSE:
            return passed("group_dn", f"{group} tells by {attribute} who is in it")
        if code == ResultCode.NO_SUCH_ATTRIBUTE:
            return failed("group_dn", f"{group} has no {attribute} that the service may compare: nobody is let in; correct group_attribute")
        if code == ResultCode.COMPARE_TRUE:
            return failed("group_dn", f"{group} has a member that nobody is: correct group_attribute")
        return failed("group_dn", f"{group}: {self._told()}")

    def _compared(self, group: str, attribute: str) -> int:
        self._connection.compare(group, attribute, f"cn={random_name().decode()}")  # type: ignore[no-untyped-call]  # in its stubs
        return int(self._connection.result["result"])

    def _shows(self, dn: str, attribute: str) -> bool:
        return bool(self._search(dn, "base", text(Present(attribute.encode()), {})).entries)

    def _group_filter(self, asked_for: Filter, base: DnTemplate) -> Iterator[Said]:
        if base.places:
            yield skipped("group_filter", f"group_base = {self._settings.group_base or self._settings.base} needs a login: {_BY_A_LOGIN}")
            return
        below, scope = base.fill({}).decode(), self._settings.group_scope
        if self._settings.group_base is not None:
            entry = self._entry("group_base", below)
            yield entry
            if entry.outcome is Outcome.FAIL:
                return
        values = {**dict.fromkeys(places(asked_for), random_name()), "D": b"cn=" + random_name()}
        found = self._search(below, scope, text(asked_for, values))
        yield self._of_nobody("group_filter", self._settings.group_filter or "", found)
        if not found.code and not found.entries:
            yield self._of_anybody("groups", text(sample(asked_for), {}), self._search(below, scope, text(sample(asked_for), {})))

    def _entry(self, key: str, dn: str) -> Said:
        found = self._search(dn, "base", _ALL)
        shown = dn or "the root"
        if found.code:
            return failed(key, f"{shown}: {found.told}")
        if not found.entries:
            return failed(key, f"{shown}: the service may not see it: set bind_dn, or give it the right")
        return passed(key, f"{shown} is there")

    def _of_nobody(self, key: str, written: str, found: _Found) -> Said:
        if found.entries:
            return failed(key, f"{written} finds an entry for a name that nobody has: it must depend on the login")
        if found.code:
            return failed(key, f"{written}: {found.told}")
        return passed(key, f"{written} finds nothing for a name that nobody has")

    def _of_anybody(self, step: str, wanted: str, found: _Found) -> Said:
        if found.entries:
            return passed(step, f"{wanted} finds some")
        if found.code in _LIMITED:
            return skipped(step, f"{wanted}: the server stops at its limits: {found.told}")
        return warned(step, f"{wanted} finds none, so nobody can log in: is an attribute misspelt, or may the service not read it?")

    def _search(self, base: str, scope: str, wanted: str, attribute: str = "") -> _Found:
        """With `attribute`, its type is asked for, never a value."""
        self._connection.search(
            base,
            wanted,
            _SCOPES[scope],
            attributes=[attribute or _NOTHING],
            size_limit=1,
            time_limit=self._connection.receive_timeout,
            types_only=True,
        )
        code = self._connection.result["result"]
        entries = [one for one in self._connection.response or () if one.get("type") == "searchResEntry"]
        attributes = frozenset(name.lower() for one in entries for name in one["raw_attributes"])
        return _Found(code, self._told(), len(entries), attributes)

    def _told(self) -> str:
        result = self._connection.result
        code, words = result["result"], str(result["message"] or "").strip("\0 \r\n")[:200]
        return "; ".join(filter(None, (describe(code), meaning(code, words) or _ADVICE.get(code), words)))
