"""The original's saslauthd.conf, read as it read it, and every silence of its told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.config.legacy.saslauthd_conf import SaslauthdConf, SaslauthdConfError, read
from saslauthd_py.config.legacy.saslauthd_lines import KEYS, LIMITS, NUMBERS, SWITCHES, SYNONYMS, WORDS, number, read_lines, switched, word
from saslauthd_py.config.settings.ldap import LdapSettings

BASE = "ldap_search_base: dc=x\n"
GROUP = "ldap_group_dn: cn=mail,dc=x\n"
EXTERNAL = "ldap_use_sasl: yes\nldap_mech: external\n"
UNSEEN = ", and the original did not look at it"
PASSED_OVER = ", and the original passed over it"
BY_FILTER = "ldap_group_match_method: filter\nldap_group_filter: (member=%D)\n"


def keys(text: str, **options: bool) -> dict[str, Any]:
    """The keys beside the defaults of a file with no more than a base, checked by our own settings too."""
    found = read(text, **options)
    LdapSettings.model_validate(found.table())
    return {key: value for key, value in found.keys.items() if (key, value) not in (("servers", ["ldap://localhost/"]), ("base", "dc=x"))}


def notes(text: str) -> list[str]:
    return [str(note) for note in read(text).notes]


def faults(text: str) -> list[str]:
    with pytest.raises(SaslauthdConfError) as caught:
        read(text)
    assert str(caught.value).splitlines() == [str(fault) for fault in caught.value.faults]
    return [str(fault) for fault in caught.value.faults]


def test_a_whole_file() -> None:
    text = (
        "# our directory\n"
        "ldap_servers: ldap://192.0.2.1/ ldap://192.0.2.2\n"
        "ldap_start_tls: yes\n"
        "ldap_tls_check_peer: yes\n"
        "ldap_tls_cacert_file: /etc/ssl/ca.pem\n"
        "ldap_bind_dn: cn=mail,dc=example,dc=org\n"
        "ldap_password: correct horse\n"
        "ldap_search_base: ou=people,dc=example,dc=org\n"
        "ldap_filter: (&(objectClass=person)(uid=%u))\n"
        "ldap_scope: one\n"
        "ldap_group_dn: cn=mail,ou=groups,dc=example,dc=org\n"
        "ldap_group_attr: member\n"
        "ldap_timeout: 10\n"
        "ldap_default_realm: example.org\n"
    )
    found = read(text)
    assert found.keys == {
        "servers": ["ldap://192.0.2.1/", "ldap://192.0.2.2"],
        "start_tls": True,
        "ca_file": "/etc/ssl/ca.pem",
        "bind_dn": "cn=mail,dc=example,dc=org",
        "base": "ou=people,dc=example,dc=org",
        "filter": "(&(objectClass=person)(uid=%U))",
        "scope": "one",
        "group_dn": "cn=mail,ou=groups,dc=example,dc=org",
        "group_attribute": "member",
        "timeout": "10s",
    }
    assert found.default_realm == "example.org"
    assert found.password is not None
    assert found.password.reveal() == b"correct horse"
    settings = LdapSettings.model_validate(found.table())
    assert settings.timeout == 10.0
    assert settings.warnings() == ()
    assert [note.key for note in found.notes] == ["ldap_filter", "ldap_default_realm"]


def test_an_empty_file_is_all_defaults() -> None:
    assert read("") == SaslauthdConf({"servers": ["ldap://localhost/"], "base": ""}, None, "", ())
    settings = LdapSettings.model_validate(read("\n  \n # x\n\t#y").table())
    assert (settings.method, settings.filter, settings.timeout, settings.verify) == ("bind", "(uid=%U)", 5.0, True)


def test_a8_the_password_is_shown_nowhere() -> None:
    text = f"{BASE}ldap_bind_dn: cn=x\nldap_password: 'correct horse' \nldap_password: 'correct horse'{'x' * 128}'\n"
    found = read(text)
    assert "correct horse" not in repr(found) + "".join(map(str, found.notes))
    assert len(found.notes) == 4


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        *((value, True) for value in ("1", "yes", "y", "on", "true", "t", "yup", "15", "tomorrow")),
        *(
            (value, False)
            for value in ("0", "no", "n", "off", "of", "false", "f", "Yes", "YES", "True", "ON", "On", "enabled", "2", "o", " yes")
        ),
    ],
)
def test_a_switch_is_taken_as_the_original_took_it(value: str, meant: bool) -> None:
    assert switched(value) is meant


@pytest.mark.parametrize("value", ["Yes", "TRUE", "On", "T"])
def test_a_yes_that_was_a_no_is_told(value: str) -> None:
    text = f"{BASE}ldap_start_tls: {value}\n"
    assert keys(text) == {}
    told = f'"{value}" was a no for the original, which knows lower case alone, and is one here: is "{value.lower()}" meant?'
    assert notes(text) == [f"2: ldap_start_tls: {told}"]


@pytest.mark.parametrize(("value", "taken"), [("enabled", "no"), ("yess", "yes"), ("2", "no"), ("off course", "no")])
def test_what_is_no_switch_is_told(value: str, taken: str) -> None:
    assert notes(f"{BASE}ldap_start_tls: {value}\n") == [
        f'2: ldap_start_tls: "{value}" is no yes or no; the original took it for a {taken}'
    ]


@pytest.mark.parametrize("value", ["yes", "no", "NO", "Off", "0", "1", "yes ", "f"])
def test_a_plain_switch_is_no_news(value: str) -> None:
    assert notes(f"{BASE}ldap_start_tls: {value}\n") == []


def test_certificates_were_not_checked_where_it_said_so() -> None:
    tls = f"{BASE}ldap_start_tls: yes\n"
    assert keys(tls) == {"start_tls": True}
    assert keys(f"{tls}ldap_tls_check_peer: yes\n") == {"start_tls": True}
    for value in ("no", "Yes"):
        text = f"{tls}ldap_tls_check_peer: {value}\nldap_tls_cacert_file: /ca.pem\n"
        assert keys(text) == {"start_tls": True, "verify": False}
        assert "3: ldap_tls_check_peer: no certificate was checked, and none is here: leave `verify` out to have them checked" in notes(
            text
        )
        assert "4: ldap_tls_cacert_file: left out: there is no TLS, or no certificate is checked" in notes(text)
    text = f"{BASE}ldap_tls_check_peer: no\nldap_tls_cacert_file: /ca.pem\n"
    assert keys(text) == {}
    assert notes(text) == ["3: ldap_tls_cacert_file: left out: there is no TLS, or no certificate is checked"]
    text = f"{BASE}ldap_servers: LDAPS://a\nldap_tls_cacert_file: /ca.pem\n"
    assert keys(text) == {"servers": ["LDAPS://a"], "ca_file": "/ca.pem"}


@pytest.mark.parametrize(
    ("written", "servers"),
    [
        ("ldap://a", ["ldap://a"]),
        ("ldap://a/  ldaps://b:1636,ldapi:///", ["ldap://a/", "ldaps://b:1636", "ldapi:///"]),
        ("ldap:///", ["ldap://localhost/"]),
        ("ldaps://:1636 ldap://", ["ldaps://localhost:1636", "ldap://localhost"]),
        ("ldap://a ", ["ldap://a"]),
    ],
)
def test_servers_are_parted_as_libldap_does(written: str, servers: list[str]) -> None:
    assert read(f"{BASE}ldap_servers: {written}\n").keys == {"servers": servers, "base": "dc=x"}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("ldap_auth_method: bind", {}),
        ("ldap_auth_method: CUSTOM\nldap_password_attr: pw", {"method": "compare", "password_attribute": "pw"}),
        ("ldap_auth_method: custom", {"method": "compare"}),
        ("ldap_filter: uid=%u", {"filter": "(uid=%U)"}),
        ("ldap_filter: (mail=%u@%r)", {"filter": "(mail=%U@%r)"}),
        ("ldap_filter: (mail=%U%R)(", {"filter": "(mail=%U%R)("}),
        ("ldap_filter: (cn=%%u%u)", {"filter": "(cn=%%u%U)"}),
        ("ldap_filter: (cn=%u%x%D)%", {"filter": "(cn=%U)"}),
        ("ldap_scope: SUB", {}),
        ("ldap_scope: base", {"scope": "base"}),
        ("ldap_timeout: 5", {}),
        ("ldap_timeout: 7 s", {"timeout": "7s"}),
        ("ldap_timeout: 0", {}),
        ("ldap_timeout: -1", {}),
        ("ldap_timeout: soon", {}),
        ("ldap_timeout: 600", {"timeout": "60s"}),
        ("ldap_bind_dn: cn=x\nldap_bind_pw: y", {"bind_dn": "cn=x"}),
        ("ldap_bind_dn: cn=x", {}),
        ("ldap_password: y", {}),
        (GROUP, {"group_dn": "cn=mail,dc=x", "group_attribute": "uniqueMember"}),
        (f"{GROUP}ldap_group_attr: member\nldap_group_match_method: attr", {"group_dn": "cn=mail,dc=x", "group_attribute": "member"}),
        (f"{GROUP}ldap_group_filter: (a=b)", {"group_dn": "cn=mail,dc=x", "group_attribute": "uniqueMember"}),
        (BY_FILTER, {"group_filter": "(member=%D)"}),
        (f"{GROUP}{BY_FILTER}", {"group_filter": "(member=%D)"}),
        ("ldap_group_filter: memberUid=%u", {"group_filter": "(memberUid=%U)"}),
        (
            f"{BY_FILTER}ldap_group_search_base: ou=groups,dc=%1\nldap_group_scope: one",
            {"group_filter": "(member=%D)", "group_base": "ou=groups,dc=%1", "group_scope": "one"},
        ),
        ("ldap_group_attr: member", {}),
        (
            f"{EXTERNAL}ldap_auth_method: custom\nldap_servers: ldapi:///\nldap_bind_dn: cn=x\nldap_password: y",
            {"servers": ["ldapi:///"], "sasl_external": True, "method": "compare"},
        ),
    ],
)
def test_what_becomes_of_each_key(lines: str, expected: dict[str, object]) -> None:
    assert keys(f"{BASE}{lines}\n") == expected


def test_fastbind_is_a_dn_template() -> None:
    text = "ldap_auth_method: fastbind\nldap_filter: uid=%u,ou=%d,dc=x\n"
    assert keys(text) == {"method": "template", "dn_template": "uid=%U,ou=%d,dc=x"}
    assert keys(f"{text}{BASE}ldap_scope: one\n") == {"method": "template", "dn_template": "uid=%U,ou=%d,dc=x"}
    assert "4: ldap_scope: left out: it has no meaning with ldap_auth_method: fastbind, and the original did not look at it" in notes(
        f"{text}{BASE}ldap_scope: one\n"
    )
    assert keys(f"{text}{BASE}{BY_FILTER}")["group_base"] == "dc=x"
    assert keys(f"{text}{BY_FILTER}")["group_base"] == ""
    told = notes(f"{text}{GROUP}")
    asked = "1: ldap_auth_method: the group is looked at {}, before the password; the original did as the user who logs in"
    assert asked.format("anonymously, which may need an ldap_bind_dn") in told
    assert asked.format("as ldap_bind_dn") in notes(f"{text}{GROUP}ldap_bind_dn: cn=x\nldap_password: y\n")


def test_logins_with_their_realm() -> None:
    assert keys(f"{BASE}ldap_filter: (mail=%u)\n", whole_logins=True) == {"filter": "(mail=%u)"}
    assert keys(BASE, whole_logins=True) == {"filter": "(uid=%u)"}
    assert [note.key for note in read(f"{BASE}ldap_filter: (mail=%u)\n", whole_logins=True).notes] == []


@pytest.mark.parametrize(
    ("lines", "note"),
    [
        ("ldap_deref: always", "2: ldap_deref: aliases are never followed here"),
        ("ldap_referrals: yes", "2: ldap_referrals: referrals are not followed here: name the servers that hold the users"),
        ("ldap_restart: no", "2: ldap_restart: every wait has a deadline of its own here, and a connection that broke is made anew"),
        (
            "ldap_tls_cacert_dir: /ca",
            "2: ldap_tls_cacert_dir: there is no such key here: put the certificates into one file and name it in ca_file",
        ),
        (
            "ldap_tls_cert: /c",
            "2: ldap_tls_cert: the daemon has no certificate of its own: a server that asks for one must also take a password",
        ),
        ("ldap_tls_key: /c", "2: ldap_tls_key: the daemon has no certificate of its own"),
        ("ldap_tls_ciphers: HIGH", "2: ldap_tls_ciphers: the system's policy for TLS says which ciphers there are"),
        ("ldap_debug: 1", "2: ldap_debug: `test --trace` shows the steps of a login here"),
        ("ldap_sasl_authc_id: x", "2: ldap_id: there is no SASL bind but EXTERNAL here"),
        ("ldap_authz_id: x", "2: ldap_authz_id: there is no SASL bind but EXTERNAL here"),
        ("ldap_realm: x", "2: ldap_realm: there is no SASL bind but EXTERNAL here"),
        ("ldap_sasl_secprops: x", "2: ldap_sasl_secprops: there is no SASL bind but EXTERNAL here"),
        ("ldap_mech: PLAIN", "2: ldap_mech: left out: ldap_use_sasl is not on"),
        ("ldap_version: 2", "2: ldap_version: only version 3 is spoken here"),
        ("ldap_time_limit: 9", "2: ldap_time_limit: there is one limit here for server and client, timeout: 5s"),
        ("ldap_timeout: 0", "2: ldap_timeout: must be 1 to 60 seconds here: 5 counts"),
        ("ldap_timeout: 61", "2: ldap_timeout: must be 1 to 60 seconds here: 60 counts"),
        (
            "ldap_size_limit: 10",
            "2: ldap_size_limit: two entries for one login are always an error here, told as one; groups may be as many as there are",
        ),
        (
            "ldap_bind_dn: cn=x",
            "2: ldap_bind_dn: left out: without ldap_password the server took such a bind for nobody's; searches are anonymous",
        ),
        ("ldap_password: y", "2: ldap_password: left out: there is no ldap_bind_dn that it could be the password of"),
        (
            "ldap_group_filter: (a=b)",
            "2: ldap_group_filter: without ldap_group_match_method: filter the original refused every login; here the filter is asked",
        ),
        (
            "ldap_password_attr: x",
            "2: ldap_password_attr: left out: it has no meaning without ldap_auth_method: custom, and the original did not look at it",
        ),
        (
            "ldap_group_attr: member",
            f"2: ldap_group_attr: left out: it has no meaning without an ldap_group_dn that is looked at{UNSEEN}",
        ),
        ("ldap_default_domain: x", "2: ldap_default_realm: is default_realm of [identity] here, for every backend, and %d has it too"),
        (
            "ldap_fliter: x",
            '2: ldap_fliter: unknown key (did you mean "ldap_filter"?), which the original passed over, or refused since 2.2',
        ),
        ("ldap_scope: subtree", '2: ldap_scope: "subtree" is none of sub, one, base, and the original passed over it: sub counts'),
        (
            "ldap_auth_method: fastbind ",
            f'2: ldap_auth_method: "fastbind " is none of bind, custom, fastbind{PASSED_OVER}: bind counts (there is a blank at its end)',
        ),
        ("ldap_timeout: 5s", '2: ldap_timeout: "5s" is no number; the original took it for 5'),
        ("ldap_version: three", '2: ldap_version: "three" is no number; the original took it for 0'),
        ('ldap_filter: "(uid=%U)"', "2: ldap_filter: stands in quotes, which are part of the value, here as in the original"),
        ("ldap_filter: (uid=%U) ", "2: ldap_filter: ends in a blank, which is part of the value, here as in the original"),
        ("ldap_filter: (uid=%U%x)", '2: ldap_filter: "%x" meant nothing to the original, which left it out, as is done here'),
        (
            "ldap_filter: (uid=%u)",
            "2: ldap_filter: %u is %U now, the local part: what Postfix and Cyrus IMAP send; write %u for clients that send whole names",
        ),
        (
            "ldap_filter: (mail=%U@%d)",
            "2: ldap_filter: a login without a realm is refused here, where the original put nothing in its place; %d is the realm, too",
        ),
        ("ldap_search_base: dc=y", "2: ldap_search_base: stands in line 1 too, and this line counts"),
    ],
)
def test_what_the_original_did_not_say_is_said(lines: str, note: str) -> None:
    assert note in notes(f"{BASE}{lines}\n")


@pytest.mark.parametrize("key", sorted(LIMITS))
def test_values_that_it_would_have_cut(key: str) -> None:
    limit = LIMITS[key]
    cut = f"has over {limit} bytes, and the original cut it there; here all of it counts"
    fits = limit + len(key) + 2 <= 4094
    assert cut not in {note.text for note in read_lines(f"{key}: {'x' * min(limit, 4000)}\n").notes}
    if fits:
        assert cut in {note.text for note in read_lines(f"{key}: {'x' * (limit + 1)}\n").notes}
        assert cut in {note.text for note in read_lines(f"{key}: {chr(0xE4) * (limit // 2 + 1)}\n").notes}
    else:
        assert read_lines(f"{key}: {'x' * (limit + 1)}\n").faults


def test_plain_lines_are_no_news() -> None:
    assert (
        notes(f"{BASE}ldap_version: 3\nldap_deref: never\nldap_referrals: no\nldap_restart: yes\nldap_time_limit: 5\nldap_size_limit: 1\n")
        == []
    )


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ("ldap_scope", "1: ldap_scope: must be a key, a colon right after it, and a value: the original refused every login for this line"),
        ("ldap_scope : one", "1: ldap_scope: must be a key, a colon right after it"),
        ("ldap_scope = one", "1: ldap_scope: must be a key, a colon right after it"),
        ("!", "1: must be a key, a colon right after it"),
        ("ldap_scope: ", "1: ldap_scope: has no value: the original refused every login for this line"),
        ("ldap_filter: a\0b", "1: ldap_filter: has a NUL or over 4094 bytes"),
        ("ldap_nothing: " + "x" * 4094, "1: ldap_nothing: has a NUL or over 4094 bytes"),
        ("ldap_use_sasl: yes", "1: ldap_use_sasl: users are bound by SASL, which is not done here"),
        ("ldap_use_sasl: yes\nldap_mech: EXTERNAL\nldap_auth_method: custom", "1: ldap_use_sasl: users are bound by SASL"),
        (
            f"ldap_group_match_method: filter\n{GROUP}",
            "1: ldap_group_match_method: there is no ldap_group_filter, so the original refused every login: add it, or say attr",
        ),
    ],
)
def test_what_cannot_be_taken_over_is_refused(lines: str, fault: str) -> None:
    (told,) = faults(lines)
    assert told.startswith(fault)


def test_all_faults_at_once_in_the_order_of_the_file() -> None:
    assert [told.partition(":")[0] for told in faults("ldap_use_sasl: yes\nldap_x\n\n  ldap_y:\n")] == ["1", "2", "4"]


def test_lines_that_end_as_on_windows() -> None:
    found = read("ldap_search_base: dc=x\r\nldap_scope: one\r\n")
    assert found.keys["base"] == "dc=x"
    assert found.keys["scope"] == "one"
    assert [str(note) for note in found.notes] == [
        "its lines end as on Windows, which the original took into the values; here they are left out"
    ]


def test_a_line_ends_at_its_newline_alone() -> None:
    assert read("ldap_search_base: dc=x\x0cldap_scope: one\x85\u2028y\n").keys["base"] == "dc=x\x0cldap_scope: one\x85\u2028y"
    assert read(" \t\v\f LDAP_Search_Base:\t\v dc=X").keys["base"] == "dc=X"


@pytest.mark.parametrize(("synonym", "key"), SYNONYMS.items())
def test_a_synonym_is_the_key(synonym: str, key: str) -> None:
    found = read_lines(f"{key}: 1\n{synonym}: 2\n")
    assert (found.entries[key].value, found.entries[key].line) == ("2", 2)
    assert [str(note) for note in found.notes] == [f"2: {key}: stands in line 1 too, and this line counts"]


def test_every_key_of_the_original_is_known() -> None:
    table = (
        "servers bind_dn password bind_pw auth_method search_base filter scope password_attr default_realm default_domain group_dn "
        "group_attr group_match_method group_filter group_search_base group_scope deref referrals restart timeout time_limit size_limit "
        "version use_sasl id sasl_authc_id authz_id sasl_authz_id realm sasl_realm mech sasl_mech sasl_secprops start_tls tls_check_peer "
        "tls_cacert_file tls_cacert_dir tls_cert tls_key tls_ciphers debug"
    )
    assert {f"ldap_{key}" for key in table.split()} == KEYS


def test_numbers_and_words() -> None:
    assert [number(text) for text in ("5", "5s", "s", "-3", "-", "007", "")] == [5, 5, 0, -3, 0, 7, 0]
    assert word("ldap_scope", "ONE") == "one"
    assert word("ldap_scope", "two") == "sub"


LINES = st.builds(
    "{}{}{}\n".format,
    st.sampled_from(sorted(KEYS)) | st.text(max_size=6),
    st.sampled_from([": ", ":", " :", ""]),
    st.text(max_size=12) | st.sampled_from(["yes", "no", "Yes", "fastbind", "custom", "filter", "one", "5", "(uid=%u)", "%", "%%%u"]),
)


@given(st.lists(LINES, max_size=12).map("".join))
def test_any_text_is_taken_over_or_refused_with_its_lines(text: str) -> None:
    try:
        found = read(text)
    except SaslauthdConfError as error:
        places = [fault.line for fault in error.faults]
    else:
        places = [note.line for note in found.notes]
        assert found.keys.keys() <= LdapSettings.model_fields.keys()
        assert isinstance(found.table(), dict)
    assert all(place is None or 1 <= place <= text.count("\n") + 1 for place in places)


def test_switches_numbers_words_and_texts_are_apart() -> None:
    groups = [set(SWITCHES), set(NUMBERS), set(WORDS), set(LIMITS), set(SYNONYMS)]
    assert sum(map(len, groups)) == len(KEYS)
