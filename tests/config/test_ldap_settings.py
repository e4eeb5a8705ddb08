"""`[backend.NAME]` with `type = "ldap"`: what an admin may write there, and what is said of the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from saslauthd_py.config.settings.ldap import LdapSettings
from saslauthd_py.config.settings.ldap_server import LdapServer, LdapServerUri
from saslauthd_py.config.settings.tokens import GROUP_TOKENS, LOGIN_TOKENS, Token, UnknownToken, letters, split_tokens

BASE = "ou=people,dc=example,dc=org"
SMALL: dict[str, Any] = {"type": "ldap", "servers": ["ldaps://ldap.example.org"], "base": BASE}
TEMPLATE: dict[str, Any] = {
    "type": "ldap",
    "servers": ["ldaps://ldap.example.org"],
    "method": "template",
    "dn_template": f"uid=%U,ou=%d,{BASE}",
}
CLEAR = {"servers": ["ldap://ldap.example.org"]}
SOCKET = {"servers": ["ldapi://%2Frun%2Fslapd%2Fldapi"]}

SERVER: TypeAdapter[LdapServer] = TypeAdapter(LdapServerUri)


def ldap(**keys: object) -> LdapSettings:
    return LdapSettings.model_validate({**SMALL, **keys})


def complaints(**keys: object) -> list[str]:
    """What is said of SMALL with these keys; a key that is None is left out."""
    table = {key: value for key, value in {**SMALL, **keys}.items() if value is not None}
    with pytest.raises(ValidationError) as caught:
        LdapSettings.model_validate(table)
    return [f"{error['loc'][0]}: {error['msg']}" for error in caught.value.errors()]


def test_the_defaults() -> None:
    settings = ldap()
    assert settings.model_dump(exclude={"type", "servers", "base", "login", "fold_case", "cache", "parallel", "services"}) == {
        "start_tls": False,
        "verify": True,
        "ca_file": None,
        "bind_dn": None,
        "password": None,
        "sasl_external": False,
        "method": "bind",
        "scope": "sub",
        "filter": "(uid=%U)",
        "dn_template": None,
        "password_attribute": "userPassword",
        "group_dn": None,
        "group_attribute": None,
        "group_filter": None,
        "group_base": None,
        "group_scope": "sub",
        "group_cache": 0.0,
        "nested_groups": False,
        "dn_cache": 10.0,
        "connections": 32,
        "timeout": 5.0,
        "saslauthd_conf": None,
    }
    assert (settings.login, settings.fold_case, settings.cache) == ("{local}@{realm}", True, 0.0)
    assert settings.warnings() == ()


def test_what_is_written_is_what_is_read() -> None:
    keys = {
        **SMALL,
        "servers": ["ldap://192.0.2.1", "ldap://[2001:db8::1]:1389"],
        "start_tls": True,
        "ca_file": "/etc/ssl/ca.pem",
        "group_filter": "(&(cn=mail)(member=%D))",
        "group_cache": "60s",
        "timeout": "1500ms",
    }
    settings = LdapSettings.model_validate(keys)
    assert settings.model_dump(mode="json", exclude_defaults=True) == keys
    assert LdapSettings.model_validate(settings.model_dump(mode="json", exclude_defaults=True)) == settings


def test_every_key_is_described() -> None:
    described = LdapSettings.model_json_schema()["properties"]
    assert all(key["description"] for key in described.values())
    assert {"password", "password_file", "saslauthd_conf"} <= described.keys()


@pytest.mark.parametrize(
    ("written", "shown", "local"),
    [
        ("ldap://ldap.example.org", "ldap://ldap.example.org", False),
        ("LDAP://Ldap.Example.ORG:389/", "ldap://ldap.example.org", False),
        ("ldap://ldap.example.org.:1389", "ldap://ldap.example.org:1389", False),
        ("ldaps://192.0.2.1:636", "ldaps://192.0.2.1", False),
        ("ldap://192.0.2.1:636", "ldap://192.0.2.1:636", False),
        ("ldaps://[2001:DB8::0:1]:389/", "ldaps://[2001:db8::1]:389", False),
        ("ldap://127.0.0.1", "ldap://127.0.0.1", True),
        ("ldap://[::1]", "ldap://[::1]", True),
        ("ldap://LOCALHOST:3389", "ldap://localhost:3389", True),
        ("ldapi://%2Frun%2Fslapd%2Fldapi", "ldapi://%2Frun%2Fslapd%2Fldapi", True),
        ("ldapi://%2frun%2fa%20b", "ldapi://%2Frun%2Fa%20b", True),
        ("ldapi:///", "ldapi://%2Fvar%2Frun%2Fslapd%2Fldapi", True),
    ],
)
def test_a_server_is_shown_as_the_uri_that_means_it(written: str, shown: str, local: bool) -> None:
    server = SERVER.validate_python(written)
    assert (str(server), server.local) == (shown, local)
    assert SERVER.validate_python(shown) == server


@pytest.mark.parametrize(
    ("written", "why"),
    [
        (389, "must be a server in quotes, such as"),
        ("", "must be a server such as"),
        ("ldap.example.org", "must be a server such as"),
        ("cldap://ldap.example.org", "must be a server such as"),
        ("http://ldap.example.org", "must be a server such as"),
        ("ldap:ldap.example.org", "must be a server such as"),
        ("ldap://", "must name a host or an address"),
        ("ldap:///", "must name a host or an address"),
        ("ldap://a b", "must name a host or an address"),
        ("ldap://b\u00fccher.example", "must name a host or an address"),
        ("ldap://-a", "must name a host or an address"),
        ("ldap://a..b", "must name a host or an address"),
        ("ldap://192.0.2.256", "must name a host or an address"),
        ("ldap://1", "must name a host or an address"),
        ("ldap://2001:db8::1", "must name a host or an address"),
        ("ldap://[192.0.2.1]", "must name a host or an address"),
        ("ldap://[::g]", "must name a host or an address"),
        ("ldap://a%2Eb", "must name a host or an address"),
        ("ldap://" + "a." * 130, "must name a host or an address"),
        ("ldap://a:0", "must have a port from 1 to 65535"),
        ("ldap://a:65536", "must have a port from 1 to 65535"),
        ("ldap://a:", "must have a port from 1 to 65535"),
        ("ldap://a:" + "9" * 5000, "must have a port from 1 to 65535"),
        ("ldap://cn=x:secret@a", "must not hold a name or password"),
        ("ldap://a/dc=example", "says more than where the server is"),
        ("ldap://a?uid", "says more than where the server is"),
        ("ldapi:///run/slapd/ldapi", "write each / of the socket's path as %2F"),
        ("ldapi://run", "must name a socket by its absolute path"),
        ("ldapi://%2Frun%2F", "must name a socket by its absolute path"),
        ("ldapi://%2Frun%00", "must name a socket by its absolute path"),
        ("ldapi://%2Frun%FF", "must name a socket by its absolute path"),
        ("ldapi://%2F" + "a" * 107, "the path has 108 bytes"),
    ],
)
def test_what_is_no_server(written: object, why: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SERVER.validate_python(written)
    (error,) = caught.value.errors()
    assert why in error["msg"]
    assert "secret" not in error["msg"]


@given(st.text(max_size=40).map("ldap://".__add__) | st.text(max_size=40).map("ldapi://".__add__) | st.text(max_size=40))
def test_any_text_is_a_server_that_can_be_shown_or_refused_in_our_words(text: str) -> None:
    try:
        server = SERVER.validate_python(text)
    except ValidationError as error:
        kinds = {one["type"] for one in error.errors()}
    else:
        kinds = {"refused"} if SERVER.validate_python(str(server)) == server else set()
    assert kinds == {"refused"}


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"servers": []}, "servers: must name a server"),
        ({"servers": ["ldap://a", "ldap://A:389/"]}, 'servers: names "ldap://a" twice'),
        ({"servers": [f"ldap://a{count}" for count in range(17)]}, "servers: must name 16 servers at most, not 17"),
        ({"start_tls": True}, 'start_tls: is for ldap:// servers: "ldaps://ldap.example.org" has TLS from its first byte'),
        (
            {"servers": ["ldap://a", *SOCKET["servers"]], "start_tls": True},
            'start_tls: is for ldap:// servers: "ldapi://%2Frun%2Fslapd%2Fldapi" is a socket of this machine',
        ),
        ({**CLEAR, "verify": False}, "verify: is for TLS, and no server has it: use ldaps:// servers, or start_tls = true"),
        ({**SOCKET, "ca_file": "/ca.pem"}, "ca_file: is for TLS, and no server has it: use ldaps:// servers, or start_tls = true"),
        ({"verify": False, "ca_file": "/ca.pem"}, "ca_file: would not be looked at: verify is false"),
        ({"ca_file": "ca.pem"}, 'ca_file: must be an absolute path, not "ca.pem"'),
        (
            {"sasl_external": True},
            'sasl_external: is for ldapi:// servers, which see whose process asks: "ldaps://ldap.example.org" does not',
        ),
        (
            {**SOCKET, "sasl_external": True, "bind_dn": "cn=x"},
            "bind_dn: is one identity, and sasl_external = true another: keep one",
        ),
        ({"password": "x"}, "bind_dn: is missing: whose password is it?"),
        (
            {"bind_dn": "cn=x"},
            "bind_dn: has no password: a bind by name alone proves nothing, and most servers refuse it; add password_file",
        ),
        ({"bind_dn": " ", "password": "x"}, 'bind_dn: must be the name of an entry, such as "cn=mail,dc=example,dc=org", not " "'),
        (
            {"bind_dn": "cn=\0", "password": "x"},
            'bind_dn: must be the name of an entry, such as "cn=mail,dc=example,dc=org", not "cn=\\u0000"',
        ),
        ({"base": None}, 'base: is missing; it has no default, and is such as "ou=people,dc=example,dc=org"'),
        ({"base": "x" * 4097}, "base: must have 4096 characters at most"),
        ({"method": "template", "base": None}, 'dn_template: is missing: method = "template" binds as it says, such as "uid=%U,'),
        ({"dn_template": "uid=%U"}, 'dn_template: is for method = "template", and this one is "bind"'),
        ({"scope": "subtree"}, "scope: Input should be 'sub', 'one' or 'base'"),
        ({"method": "fastbind"}, "method: Input should be 'bind', 'template' or 'compare'"),
        ({"filter": "(uid=alice)"}, 'filter: "(uid=alice)" has no %U and no %u: every login would find the same entry'),
        ({"filter": "(uid=%%U)"}, 'filter: "(uid=%%U)" has no %U and no %u: every login would find the same entry'),
        ({"filter": "(uid=%x)"}, 'filter: "%x" in "(uid=%x)": known are %u %U %d %1 to %9 %r %R %s, and %% for a percent sign'),
        ({"filter": "(uid=%U)%"}, 'filter: "%" in "(uid=%U)%": known are'),
        ({"base": "dc=%0"}, 'base: "%0" in "dc=%0": known are'),
        ({"base": "%D"}, 'base: %D in "%D": the user\'s DN is known in group_filter and group_base only'),
        ({"group_filter": "(member=%X)"}, 'group_filter: "%X" in "(member=%X)": known are %u %U %d %1 to %9 %r %R %s %D, and'),
        ({"password_attribute": "userPassword"}, 'password_attribute: is for method = "compare", and this one is "bind"'),
        ({"method": "compare", "password_attribute": "user Password"}, "password_attribute: must be the name of an attribute"),
        ({"group_base": "dc=x"}, "group_base: is for group_filter, and there is none"),
        ({"group_filter": "(cn=mail)"}, "group_base: lets everybody in: neither it nor group_filter has a token"),
        ({"group_scope": "one"}, "group_scope: is for group_filter, and there is none"),
        (
            {"group_dn": "cn=a", "group_attribute": "member", "group_filter": "(a=%D)"},
            "group_dn: names the group, and group_filter finds it: keep one",
        ),
        ({"group_dn": "cn=%D", "group_attribute": "member"}, "group_dn: %D in"),
        ({"group_dn": "cn=a"}, "group_attribute: is missing: which attribute of group_dn holds its members' DNs?"),
        ({"group_attribute": "member"}, "group_attribute: is for group_dn, and there is none"),
        ({"nested_groups": True}, "nested_groups: is for group_dn, and there is none"),
        ({"group_cache": "60s"}, "group_cache: is for group_dn or group_filter, and there is neither"),
        ({"dn_cache": "2h"}, "dn_cache: must be at most 1h, not 2h"),
        ({"connections": 0}, "connections: Input should be greater than or equal to 1"),
        ({"timeout": "5"}, 'timeout: must be a duration such as "500ms"'),
        ({"timeout": "0s"}, "timeout: must be at least 100ms, not 0s"),
        ({"saslauthd_conf": "saslauthd.conf"}, "saslauthd_conf: must be an absolute path"),
        ({"sever": "x"}, "sever: Extra inputs are not permitted"),
    ],
)
def test_what_is_wrong_is_said_of_its_key(keys: dict[str, object], complaint: str) -> None:
    (told,) = complaints(**keys)
    assert told.startswith(complaint)


@pytest.mark.parametrize(("key", "value"), [("base", BASE), ("scope", "one"), ("dn_cache", "5s")])
def test_a_dn_template_makes_no_search(key: str, value: str) -> None:
    with pytest.raises(ValidationError) as caught:
        LdapSettings.model_validate({**TEMPLATE, key: value})
    (error,) = caught.value.errors()
    assert (error["loc"], error["msg"]) == ((key,), 'is for a search, and method = "template" makes none')


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"filter": "(mail=%u)"}, 'is for a search, and method = "template" makes none: say dn_template'),
        ({"dn_template": f"uid=alice,{BASE}"}, "has no %U and no %u: everybody would be one and the same entry"),
        ({"group_filter": "(memberUid=%U)"}, "is missing: without base there is no default"),
    ],
)
def test_what_is_wrong_beside_a_dn_template(keys: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        LdapSettings.model_validate({**TEMPLATE, **keys})
    (error,) = caught.value.errors()
    assert complaint in error["msg"]


def test_what_is_wrong_is_said_once_and_all_at_once() -> None:
    assert [told.partition(":")[0] for told in complaints(servers=["x"], base=None, start_tls="yes", timeout="9", group_dn="cn=a")] == [
        "servers",
        "start_tls",
        "base",
        "group_attribute",
        "timeout",
    ]


def test_all_that_goes_together() -> None:
    assert LdapSettings.model_validate(TEMPLATE).dn_template == TEMPLATE["dn_template"]
    assert ldap(**SOCKET, sasl_external=True).sasl_external
    assert ldap(method="compare", password_attribute="userPassword;x-a").password_attribute == "userPassword;x-a"
    assert ldap(base="").base == ""
    assert ldap(base="uid=%U,dc=x", filter="(objectClass=person)").filter == "(objectClass=person)"
    assert ldap(group_filter="(member=%D)", group_base="ou=groups,%D", group_scope="one", group_cache="5s").has_groups
    grouped = ldap(group_dn="cn=%r", group_attribute="memberOf", nested_groups=True)
    assert grouped.has_groups
    assert grouped.group_in_user
    assert not ldap(group_dn="cn=x", group_attribute="member").group_in_user
    assert not ldap().has_groups


def test_a8_the_password_shows_itself_nowhere(tmp_path: Path) -> None:
    settings = ldap(bind_dn="cn=mail,dc=example,dc=org", password="correct horse")
    assert settings.password is not None
    assert settings.password.reveal() == b"correct horse"
    assert "correct horse" not in repr(settings) + str(settings.model_dump()) + settings.model_dump_json()
    file = tmp_path / "password"
    file.write_bytes(b"\xff\xfe\n")
    file.chmod(0o600)
    settings = ldap(bind_dn="cn=mail", password_file=str(file))
    assert settings.password is not None
    assert settings.password.reveal() == b"\xff\xfe"
    assert settings.model_dump(mode="json", exclude_defaults=True)["password_file"] == str(file)


def test_what_is_hardly_meant() -> None:
    no_tls = 'passwords cross the network in clear to "ldap://a.example": use ldaps://, or start_tls = true'
    assert ldap(servers=["ldap://a.example", "ldap://127.0.0.1"]).warnings() == (("servers", no_tls),)
    assert ldap(servers=["ldap://a.example"], method="compare").warnings() == (("servers", f"hashed {no_tls}"),)
    assert ldap(servers=["ldap://a.example"], start_tls=True).warnings() == ()
    assert ldap(servers=["ldap://localhost", "ldapi:///"]).warnings() == ()
    assert [key for key, _ in ldap(servers=["ldap://a.example"], start_tls=True, verify=False).warnings()] == ["verify"]
    assert [key for key, _ in ldap(servers=["ldaps://a.example", "ldap://b.example"], verify=False).warnings()] == ["verify", "servers"]


@pytest.mark.parametrize(
    ("keys", "drops"),
    [
        ({}, True),
        ({"filter": "(mail=%u)"}, False),
        ({"filter": "(mail=%U@%d)"}, False),
        ({"base": "dc=%2,dc=%1"}, True),
        ({"base": "ou=%d,dc=%2,dc=%1"}, False),
        ({"filter": "(|(uid=%U)(mail=%u))"}, True),
        ({"filter": "(|(mail=%u)(alias=%U@%d))"}, False),
        ({"filter": "(&(|(uid=%U)(mail=%u))(o=%d))"}, False),
        ({"filter": "( & (uid=%U) (!(mail=%u)) )"}, True),
        ({"filter": "(|(uid=%U)(mail=%u))", "base": "ou=%d"}, False),
        ({"filter": "(&(uid=%U)(o=%%d))"}, True),
        ({"filter": "(mail=%u)", "login": "{local}"}, True),
        ({"filter": "(&(uid=%U)(host=%s))"}, True),
        ({"group_filter": "(o=%r)"}, True),
    ],
)
def test_b2_whether_a_realm_is_told_apart_is_known(keys: dict[str, object], drops: bool) -> None:
    assert ldap(**keys).drops_realm is drops
    assert not LdapSettings.model_validate(TEMPLATE).drops_realm
    assert LdapSettings.model_validate({**TEMPLATE, "dn_template": "uid=%U,dc=x"}).drops_realm


def test_tokens_are_found() -> None:
    assert split_tokens("", LOGIN_TOKENS) == ()
    assert split_tokens("a", LOGIN_TOKENS) == ("a",)
    assert split_tokens("%u%%%U", LOGIN_TOKENS) == (Token("u"), "%", Token("U"))
    assert split_tokens("a%%u%d\n%1", LOGIN_TOKENS) == ("a%u", Token("d"), "\n", Token("1"))
    assert [str(piece) for piece in split_tokens("%R%s%9", LOGIN_TOKENS)] == ["%R", "%s", "%9"]
    assert letters("%u%%d", None, "%D") == {"u", "D"}


@pytest.mark.parametrize("text", ["%", "%%%", "%x", "%0", "%\n", "% u", "%\u0661"])
def test_what_is_no_token_is_refused(text: str) -> None:
    for known in (LOGIN_TOKENS, GROUP_TOKENS):
        with pytest.raises(UnknownToken):
            split_tokens(text, known)


@given(st.text(alphabet="%uUdDrR19s\\()*x "))
def test_splitting_loses_nothing(text: str) -> None:
    try:
        pieces = split_tokens(text, GROUP_TOKENS)
    except UnknownToken:
        return
    assert "".join(piece.replace("%", "%%") if isinstance(piece, str) else str(piece) for piece in pieces) == text
    assert all(pieces)
