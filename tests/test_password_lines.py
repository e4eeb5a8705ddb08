"""Lines of htpasswd, Dovecot and passwd(5): which account, which hash, and what else bears on a login."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from saslauthd_py import password_lines, passwords
from saslauthd_py.credential import UNRESTRICTED, Encoding
from saslauthd_py.identity import Identity, InvalidIdentity
from saslauthd_py.passwords import BrokenRecord
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Reason
from tests.backends.passwd_files import sha

MD5 = "$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/"
DES = "rEK1ecacw.7.c"
FORMS = ("auto", "htpasswd", "dovecot", "passwd")


def stored(line: str, form: str = "auto") -> Encoding | Reason:
    return password_lines.read(line, form).stored


def scheme(line: str, form: str = "auto") -> str:
    found = stored(line, form)
    assert isinstance(found, Encoding)
    return found.scheme


@pytest.mark.parametrize(
    ("line", "form", "expected"),
    [
        (f"alice:{MD5}", "auto", "md5crypt"),
        (f"alice:{MD5}  ", "auto", "md5crypt"),
        (f"alice:{MD5} ", "htpasswd", "md5crypt"),
        (f"alice:{MD5}:a comment", "htpasswd", "md5crypt"),
        (f"alice:{DES}", "htpasswd", "descrypt"),
        (f"alice:{sha('x')}", "htpasswd", "sha"),
        (f"alice:{MD5}:1000:1000:Alice:/mail/alice:/bin/sh", "passwd", "md5crypt"),
        (f"alice:{MD5}:1000:1000:Alice:/mail/alice:/bin/sh", "auto", "md5crypt"),
        (f"alice:{{CRYPT}}{MD5}::::::", "dovecot", "md5crypt"),
        (f"alice:{{MD5-CRYPT}}{MD5}:1000:1000::/home:/bin/sh:userdb_mail=maildir:~/Mail", "auto", "md5crypt"),
        (f"alice:{DES}[13]:1000", "dovecot", "descrypt"),
        (f"alice:{DES}[13]", "auto", "descrypt"),
        ("alice:098f6bcd4621d373cade4e832627b4f6[34]", "dovecot", "md5"),
    ],
)
def test_hash_of_a_line(line: str, form: str, expected: str) -> None:
    record = password_lines.read(line, form)
    assert record.identity == Identity("alice")
    assert record.restrictions == UNRESTRICTED
    assert scheme(line, form) == expected


def test_digest_of_pwdfile_is_the_one_of_its_password() -> None:
    found = stored("alice:098f6bcd4621d373cade4e832627b4f6[34]")
    assert isinstance(found, Encoding)
    assert passwords.verify(found, Secret(b"test"))


@pytest.mark.parametrize(
    "text", ["secret", "x" * 32, "{NOSUCH}abc", "$99$abc$def", "{}", "{PLAIN-TRUNC}3-abc", "{DIGEST-MD5}" + "0" * 32, "{CRYPT}xx"]
)
@pytest.mark.parametrize("form", ["auto", "htpasswd", "dovecot"])
def test_d8_text_of_no_known_form_is_a_broken_record_and_never_a_password_in_clear(text: str, form: str) -> None:
    with pytest.raises(BrokenRecord) as error:
        password_lines.read(f"alice:{text}", form)
    assert text not in str(error.value)


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ("", Reason.NO_CREDENTIAL),
        ("x", Reason.NO_CREDENTIAL),
        ("*", Reason.NO_CREDENTIAL),
        ("*NP*", Reason.NO_CREDENTIAL),
        ("{CRYPT}", Reason.NO_CREDENTIAL),
        ("{crypt}*", Reason.NO_CREDENTIAL),
        ("!", Reason.LOCKED),
        ("!!", Reason.LOCKED),
        (f"!{MD5}", Reason.LOCKED),
        (f"{{CRYPT}}!{MD5}", Reason.LOCKED),
        ("*LK*", Reason.LOCKED),
        (f"*LOCKED*{MD5}", Reason.LOCKED),
    ],
)
@pytest.mark.parametrize("form", ["auto", "htpasswd", "dovecot", "passwd"])
def test_field_that_is_no_hash_on_purpose(field: str, reason: Reason, form: str) -> None:
    assert stored(f"alice:{field}:1000:1000:Alice:/mail/alice:/bin/sh", form) is reason


def test_clear_text_that_is_labelled_so_may_begin_with_any_letter() -> None:
    assert scheme("alice:{PLAIN}!secret") == "plain"


def extra(fields: str, form: str = "auto") -> password_lines.Record:
    return password_lines.read(f"alice:{MD5}:1000:1000::/mail/alice:/bin/sh:{fields}", form)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ("nologin", Reason.DISABLED),
        ("nologin=y", Reason.DISABLED),
        ("nologin=n", Reason.DISABLED),  # Dovecot asks whether the field is there
        ("nologin:default=y reason=moved", Reason.DISABLED),
        ("fail", Reason.DISABLED),
        ("nopassword", Reason.NO_CREDENTIAL),
        ("nopassword=y", Reason.NO_CREDENTIAL),
        ("noauthenticate", Reason.NO_CREDENTIAL),
        ("nopassword nologin", Reason.DISABLED),
        ("nologin nopassword", Reason.DISABLED),
        ("allow_nets=", Reason.NETWORK),
        ("allow_nets=local", Reason.NETWORK),
    ],
)
def test_extra_field_that_keeps_everybody_out(fields: str, reason: Reason) -> None:
    assert extra(fields).stored is reason


def test_nopassword_accepts_no_password_also_where_the_hash_is_empty() -> None:
    assert stored("alice::1000:1000::/home:/bin/sh:nopassword=y proxy=y") is Reason.NO_CREDENTIAL
    assert stored("alice:{PLAIN}::::::nopassword") is Reason.NO_CREDENTIAL


@pytest.mark.parametrize(
    "fields",
    ["", "userdb_mail=maildir:~/Mail userdb_nologin=y userdb_allow_nets=10.0.0.1", "proxy=y host=10.0.0.1", "nologin:remove", "=x"],
)
def test_extra_field_of_others_is_passed_over(fields: str) -> None:
    record = extra(fields)
    assert isinstance(record.stored, Encoding)
    assert record.restrictions == UNRESTRICTED


@pytest.mark.parametrize(
    ("value", "networks"),
    [
        ("10.0.0.1", ["10.0.0.1/32"]),
        ("10.1.2.3/8", ["10.0.0.0/8"]),
        ("0.0.0.0/0", ["0.0.0.0/0"]),
        ("10.0.0.0/8,2001:db8::/32", ["10.0.0.0/8", "2001:db8::/32"]),
        ("2001:db8::1", ["2001:db8::1/128"]),
        ("::ffff:192.0.2.1", ["192.0.2.1/32"]),
        ("::ffff:192.0.2.0/120", ["192.0.2.0/24"]),
        ("local,10.0.0.1", ["10.0.0.1/32"]),
        (",10.0.0.1,", ["10.0.0.1/32"]),
    ],
)
def test_allow_nets_restricts_as_dovecot_reads_it(value: str, networks: list[str]) -> None:
    assert extra(f"allow_nets={value}").restrictions.networks == tuple(map(ip_network, networks))
    assert extra(f"userdb_home=/x allow_nets:default={value} mail=y").restrictions.networks == tuple(map(ip_network, networks))


@pytest.mark.parametrize(
    "value", ["10.0.0.0/33", "10.0.0.0/255.0.0.0", "fe80::1%eth0", "example.test", "10.0.0.1/", "%{env:X}", "010.0.0.1", "10.0.0/8"]
)
def test_d8_allow_nets_with_what_is_no_network_is_a_broken_record(value: str) -> None:
    with pytest.raises(BrokenRecord, match="allow_nets"):
        extra(f"allow_nets={value}")


@pytest.mark.parametrize(
    "field",
    [
        "allow_real_nets=10.0.0.1",
        "check_client_fp=ab",
        "delay_until=99999999999",
        "passdb_import=nologin",
        "allow_nets=10.0.0.1 allow_nets=10.0.0.2",
    ],
)
def test_field_that_may_forbid_and_cannot_be_judged_is_a_broken_record(field: str) -> None:
    with pytest.raises(BrokenRecord):
        extra(field)


def test_htpasswd_has_no_extra_fields() -> None:
    assert isinstance(extra("nologin", "htpasswd").stored, Encoding)


@pytest.mark.parametrize("line", [f"alice:{MD5}", f"alice:{MD5}:1:1:::/bin/sh:nologin", "alice"])
def test_d8_passwd_line_without_its_seven_fields_is_broken(line: str) -> None:
    with pytest.raises(BrokenRecord, match="7 fields"):
        password_lines.read(line, "passwd")


def test_line_without_a_colon() -> None:
    assert stored("alice", "dovecot") is Reason.NO_CREDENTIAL  # as for Dovecot: known, and no password is right
    for form in ("auto", "htpasswd"):
        with pytest.raises(BrokenRecord, match="no colon"):
            password_lines.read("alice", form)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("alice:x", "alice"),
        (" alice :x", "alice"),
        ("alice@example.test:x", "alice@example.test"),
        ("# a:b", ""),
        ("  # a:b", ""),
        ("", ""),
        (":x", ""),
        ("\r", ""),
    ],
)
def test_name_of_a_line(text: str, name: str) -> None:
    assert password_lines.name(text) == name


def test_name_with_a_realm_is_split_at_its_last_at() -> None:
    assert password_lines.read(f"a@b@example.test:{MD5}", "auto").identity == Identity("a@b", "example.test")


FIELDS = st.lists(
    st.sampled_from(
        [
            "alice",
            "x",
            "*",
            "!",
            "",
            "{CRYPT}",
            "{PLAIN}",
            "nologin",
            "allow_nets=",
            "10.0.0.0/8",
            " ",
            "=",
            MD5,
            sha("x"),
            "[34]",
            "\udcff",
            "é",
        ]
    ),
    max_size=14,
)


@given(st.one_of(st.text(), st.lists(FIELDS.map("".join), max_size=9).map(":".join)), st.sampled_from(FORMS))
@example("alice:{PLAIN}x", "auto")
def test_any_line_is_read_or_broken_and_what_is_read_is_a_hash_of_ours(line: str, form: str) -> None:
    try:
        record = password_lines.read(line, form)
    except (BrokenRecord, InvalidIdentity):
        return
    if isinstance(record.stored, Encoding):
        assert record.stored.scheme in passwords.SCHEMES
        fields = line.split(":")
        assert record.stored.scheme != "plain" or fields[1].startswith("{")


@given(st.text(alphabet="0123456789abcdef.:/,%", max_size=40))
def test_a_list_of_networks_never_means_everywhere_by_mistake(value: str) -> None:
    try:
        record = extra(f"allow_nets={value}")
    except BrokenRecord:
        return
    assert record.stored is Reason.NETWORK or record.restrictions.networks
