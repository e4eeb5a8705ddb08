"""`[backend.NAME]` with `type = "ldap"`: a directory, asked for the user's entry and then for a bind as that entry."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictInt, ValidationInfo, field_validator

from saslauthd_py.config.settings.backend import BackendSettings
from saslauthd_py.config.settings.ldap_server import LdapServer, LdapServers
from saslauthd_py.config.settings.ldap_values import Attribute, EntryName, GroupTemplate, LoginTemplate
from saslauthd_py.config.settings.login import drops_realm
from saslauthd_py.config.settings.secret import SecretKey
from saslauthd_py.config.settings.tokens import LOCAL_TOKENS, REALM_TOKENS, letters, tells_realms_apart
from saslauthd_py.config.settings.values import AbsolutePath, Duration, quoted, refused

MEMBER_OF = "memberof"
"""The attribute, in lower case, that stands in the user's entry and holds its groups; any other stands in the group's."""

_SEARCHES = ("bind", "compare")


class LdapSettings(BackendSettings):
    """The LDAP backend. `group_cache`, `dn_cache` and `timeout` are seconds.

    A login that `login` has rendered gives the tokens their values. Keys that mean nothing beside others are refused.
    """

    type: Literal["ldap"] = Field(description='The kind of backend: "ldap", a directory such as OpenLDAP or Active Directory.')
    servers: LdapServers = Field(
        description='The servers, asked in this order: "ldaps://HOST", "ldap://HOST:PORT", "ldapi://%2Fthe%2Fsocket".'
    )
    start_tls: StrictBool = Field(False, description="Begin TLS on the connections to ldap:// servers; without it nothing is sent.")
    verify: StrictBool = Field(True, description="Check the servers' certificates and their host names.")
    ca_file: AbsolutePath | None = Field(
        None, description="The certificates (PEM) that the servers' must come from; default: the system's."
    )
    method: Literal["bind", "template", "compare"] = Field(
        "bind",
        description='How a password is checked: "bind" (find the entry, then bind as it), "template" (bind as dn_template says, '
        'without a search) or "compare" (read password_attribute).',
    )
    sasl_external: StrictBool = Field(False, description="Search as the daemon's own user: SASL EXTERNAL, over ldapi:// alone.")
    password: SecretKey = Field(None, description="The password of bind_dn.")
    bind_dn: EntryName | None = Field(None, validate_default=True, description="Who searches; default: nobody, anonymously.")
    base: LoginTemplate | None = Field(None, validate_default=True, description='The entry below which users are searched; "": the root.')
    scope: Literal["sub", "one", "base"] = Field("sub", description='How deep below base: "sub" (all), "one" level or the "base" itself.')
    filter: LoginTemplate = Field(
        "(uid=%U)",
        validate_default=True,
        description="The filter that finds the user's one entry; %u login, %U its local part, %d %r realm, %1 to %9 the realm's labels "
        'from the right, %R "@" and realm, %s service.',
    )
    dn_template: LoginTemplate | None = Field(
        None, validate_default=True, description='For "template": the user\'s DN, such as "uid=%U,ou=people,dc=example,dc=org".'
    )
    password_attribute: Attribute = Field("userPassword", description='For "compare": the attribute that holds the hashed password.')
    group_filter: GroupTemplate | None = Field(
        None, description="Who may log in: those for whom this filter finds something below group_base; %D is the user's DN."
    )
    group_base: GroupTemplate | None = Field(
        None, validate_default=True, description="The entry below which groups are searched; default: base."
    )
    group_scope: Literal["sub", "one", "base"] = Field("sub", description="How deep below group_base.")
    group_dn: LoginTemplate | None = Field(None, description="Who may log in: the members of this group.")
    group_attribute: Attribute | None = Field(
        None,
        validate_default=True,
        description='The attribute of group_dn that holds its members\' DNs, such as "member"; or "memberOf", of the user\'s entry.',
    )
    nested_groups: StrictBool = Field(
        False, description="Members of a group in the group are its members too (Active Directory's rule 1.2.840.113556.1.4.1941)."
    )
    group_cache: Annotated[float, Duration("0s", "1h")] = Field(
        0.0, description='How long it is remembered that a user is in the group; "0s": not at all.'
    )
    dn_cache: Annotated[float, Duration("0s", "1h")] = Field(
        10.0, description='How long the DN of a login is remembered; its password is always asked of the directory. "0s": not at all.'
    )
    connections: StrictInt = Field(32, ge=1, le=256, description="Connections for binds to one server; one more carries all searches.")
    timeout: Annotated[float, Duration("100ms", "60s")] = Field(5.0, description="The longest wait for one answer of a server.")
    saslauthd_conf: AbsolutePath | None = Field(
        None, description="The original saslauthd's file, such as /etc/saslauthd.conf; keys that stand here go before its own."
    )

    # A validator runs where its key is given (or says validate_default); the fields above are in `data`, but for those that are wrong.

    @field_validator("start_tls")
    @classmethod
    def _tls_can_begin(cls, begin: bool, above: ValidationInfo) -> bool:
        for server in above.data.get("servers", ()):
            if begin and server.scheme != "ldap":
                why = "has TLS from its first byte" if server.scheme == "ldaps" else "is a socket of this machine"
                raise refused(f'is for ldap:// servers: "{server}" {why}')
        return begin

    @field_validator("verify", "ca_file")
    @classmethod
    def _of_tls(cls, value: object, above: ValidationInfo) -> object:
        if (
            above.data.keys() >= {"servers", "start_tls"}
            and not _has_tls(above.data["servers"], above.data["start_tls"])
            and value is not True
        ):
            raise refused("is for TLS, and no server has it: use ldaps:// servers, or start_tls = true")
        if value is not None and above.field_name == "ca_file" and above.data.get("verify") is False:
            raise refused("would not be looked at: verify is false")
        return value

    @field_validator("sasl_external")
    @classmethod
    def _over_sockets(cls, external: bool, above: ValidationInfo) -> bool:
        for server in above.data.get("servers", ()):
            if external and server.scheme != "ldapi":
                raise refused(f'is for ldapi:// servers, which see whose process asks: "{server}" does not')
        return external

    @field_validator("bind_dn")
    @classmethod
    def _one_identity(cls, name: str | None, above: ValidationInfo) -> str | None:
        if name is not None and above.data.get("sasl_external"):
            raise refused("is one identity, and sasl_external = true another: keep one")
        if "password" not in above.data:
            return name
        if name is None and above.data["password"] is not None:
            raise refused("is missing: whose password is it?")
        if name is not None and above.data["password"] is None:
            raise refused("has no password: a bind by name alone proves nothing, and most servers refuse it; add password_file")
        return name

    @field_validator("base")
    @classmethod
    def _where_to_search(cls, base: str | None, above: ValidationInfo) -> str | None:
        if base is None and above.data.get("method") in _SEARCHES:
            raise refused(f"is missing; it has no default, and is such as {quoted('ou=people,dc=example,dc=org')}")
        return base

    @field_validator("base", "scope", "dn_cache")
    @classmethod
    def _of_a_search(cls, value: object, above: ValidationInfo) -> object:
        if value is not None and above.data.get("method") == "template":
            raise refused('is for a search, and method = "template" makes none')
        return value

    @field_validator("filter")
    @classmethod
    def _finds_one(cls, text: str, above: ValidationInfo) -> str:
        if above.data.get("method") == "template":
            if text != cls.model_fields["filter"].default:
                raise refused('is for a search, and method = "template" makes none: say dn_template')
        elif "base" in above.data and not letters(text, above.data["base"]) & LOCAL_TOKENS:
            raise refused(f"{quoted(text)} has no %U and no %u: every login would find the same entry")
        return text

    @field_validator("dn_template")
    @classmethod
    def _of_template(cls, text: str | None, above: ValidationInfo) -> str | None:
        method = above.data.get("method")
        if method == "template" and text is None:
            raise refused(f'is missing: method = "template" binds as it says, such as {quoted("uid=%U,ou=people,dc=example,dc=org")}')
        if method in _SEARCHES and text is not None:
            raise refused(f'is for method = "template", and this one is "{method}"')
        if text is not None and not letters(text) & LOCAL_TOKENS:
            raise refused(f"{quoted(text)} has no %U and no %u: everybody would be one and the same entry")
        return text

    @field_validator("password_attribute")
    @classmethod
    def _of_compare(cls, name: str, above: ValidationInfo) -> str:
        method = above.data.get("method", "compare")
        if method != "compare":
            raise refused(f'is for method = "compare", and this one is "{method}"')
        return name

    @field_validator("group_base", "group_scope")
    @classmethod
    def _of_group_filter(cls, value: str | None, above: ValidationInfo) -> str | None:
        if "group_filter" not in above.data:
            return value
        if value is not None and above.data["group_filter"] is None:
            raise refused("is for group_filter, and there is none")
        if value is None and above.data["group_filter"] is not None and above.data.get("base", "") is None:
            raise refused("is missing: without base there is no default")
        if above.field_name == "group_base" and above.data["group_filter"] is not None:
            below = value if value is not None else above.data.get("base")
            if not letters(above.data["group_filter"], below):
                raise refused("lets everybody in: neither it nor group_filter has a token, such as %D or %U")
        return value

    @field_validator("group_dn")
    @classmethod
    def _one_way(cls, group: str | None, above: ValidationInfo) -> str | None:
        if group is not None and above.data.get("group_filter") is not None:
            raise refused("names the group, and group_filter finds it: keep one")
        return group

    @field_validator("group_attribute", "nested_groups")
    @classmethod
    def _of_group_dn(cls, value: object, above: ValidationInfo) -> object:
        if "group_dn" not in above.data:
            return value
        if value and above.data["group_dn"] is None:
            raise refused("is for group_dn, and there is none")
        if value is None and above.data["group_dn"] is not None:
            raise refused('is missing: which attribute of group_dn holds its members\' DNs? "member", "uniqueMember"; or "memberOf"')
        return value

    @field_validator("group_cache")
    @classmethod
    def _of_groups(cls, seconds: float, above: ValidationInfo) -> float:
        if (
            seconds
            and above.data.keys() >= {"group_dn", "group_filter"}
            and not _has_groups(above.data["group_dn"], above.data["group_filter"])
        ):
            raise refused("is for group_dn or group_filter, and there is neither")
        return seconds

    @property
    def drops_realm(self) -> bool:
        """Do alice@a.example and alice@b.example become one entry (rule B2)? Where templates do not tell them apart, or `login` did not."""
        told = letters(self.base, self.dn_template) & REALM_TOKENS
        return drops_realm(self.login) or not (told or (self.dn_template is None and tells_realms_apart(self.filter)))

    @property
    def has_groups(self) -> bool:
        """Must a user be in a group?"""
        return _has_groups(self.group_dn, self.group_filter)

    @property
    def group_in_user(self) -> bool:
        """Does `group_attribute` stand in the user's entry, and not in the group's?"""
        return self.group_attribute is not None and self.group_attribute.lower() == MEMBER_OF

    @property
    def tls(self) -> bool:
        """Does any connection have TLS?"""
        return _has_tls(self.servers, self.start_tls)

    def warnings(self) -> tuple[tuple[str, str], ...]:
        """What is allowed and hardly meant: the key, and a line that follows it."""
        found = []
        if not self.verify:
            found.append(("verify", "no certificate is checked: whoever stands between here and the server reads every password"))
        for server in self.servers:
            if server.scheme == "ldap" and not self.start_tls and not server.local:
                what = "hashed passwords" if self.method == "compare" else "passwords"
                found.append(("servers", f'{what} cross the network in clear to "{server}": use ldaps://, or start_tls = true'))
        return tuple(found)


def _has_tls(servers: tuple[LdapServer, ...], start_tls: bool) -> bool:
    return start_tls or any(server.scheme == "ldaps" for server in servers)


def _has_groups(group_dn: str | None, group_filter: str | None) -> bool:
    return group_dn is not None or group_filter is not None
