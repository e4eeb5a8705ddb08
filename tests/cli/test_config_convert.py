"""`config convert`: what it prints loads to what the original's file says, and never holds its password."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import tempfile
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.config.load import parse
from saslauthd_py.config.settings import LdapSettings
from tests.cli.commands import Outcome, invoke

LISTEN = '[[listen]]\nprotocol = "saslauthd"\npath = "/run/saslauthd/mux"\n'
WHOLE = """\
ldap_servers: ldap://192.0.2.1/ ldaps://192.0.2.2:1636/
ldap_bind_dn: cn=mail,dc=example,dc=org
LDAP_Password:  correct: horse\\1 'x'
ldap_search_base: ou=people,dc=example,dc=org
ldap_filter: (mail=%u@%r)
ldap_default_realm: example.org
ldap_debug: 1
"""


def converted(directory: Path, text: str, *flags: str) -> Outcome:
    file = directory / "saslauthd.conf"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    return invoke("config", "convert", "--saslauthd-conf", str(file), *flags)


def test_the_sections_of_a_whole_file(tmp_path: Path) -> None:
    outcome = converted(tmp_path, WHOLE)
    assert (outcome.code, outcome.err) == (0, "")
    assert tomllib.loads(outcome.out) == {
        "identity": {"default_realm": "example.org"},
        "backend": {
            "ldap": {
                "type": "ldap",
                "servers": ["ldap://192.0.2.1/", "ldaps://192.0.2.2:1636/"],
                "bind_dn": "cn=mail,dc=example,dc=org",
                "password_file": "/etc/saslauthd-py/ldap.password",
                "base": "ou=people,dc=example,dc=org",
                "filter": "(mail=%U@%r)",
            }
        },
        "route": [{"realm": "*", "backends": ["ldap"]}],
    }


def test_what_the_original_did_not_say_stands_in_comments(tmp_path: Path) -> None:
    comments = [line for line in converted(tmp_path, WHOLE).out.splitlines() if line.startswith("#")]
    assert f"# {tmp_path}/saslauthd.conf:7: ldap_debug: `test --trace` shows the steps of a login here" in comments
    outcome = converted(tmp_path, WHOLE, "--json")
    fields = json.loads(outcome.out)
    assert fields["configuration"] == tomllib.loads(converted(tmp_path, WHOLE).out)
    assert [f"# {note}" for note in fields["notes"]] == comments[-len(fields["notes"]) :]


def test_a_file_without_much_in_it_has_no_more_than_it_needs(tmp_path: Path) -> None:
    outcome = converted(tmp_path, "ldap_servers: ldaps://a\nldap_search_base: dc=x\nldap_filter: (mail=%U@%r)\n", "--backend", "old-1")
    document = tomllib.loads(outcome.out)
    assert document["backend"] == {"old-1": {"type": "ldap", "servers": ["ldaps://a"], "base": "dc=x", "filter": "(mail=%U@%r)"}}
    assert "identity" not in document
    assert "password" not in outcome.out


def test_a_directory_that_drops_the_realm_is_asked_as_the_original_asked_it(tmp_path: Path) -> None:
    outcome = converted(tmp_path, "ldap_search_base: dc=x\n")
    assert tomllib.loads(outcome.out)["route"] == [{"realm": "*", "backends": ["ldap"], "ignore_realm": True}]
    assert parse(LISTEN + outcome.out, "").route[0].ignore_realm


def test_whole_logins_stay_whole(tmp_path: Path) -> None:
    text = "ldap_search_base: dc=x\nldap_filter: (mail=%u)\n"
    assert tomllib.loads(converted(tmp_path, text).out)["backend"]["ldap"]["filter"] == "(mail=%U)"
    assert tomllib.loads(converted(tmp_path, text, "--whole-logins").out)["backend"]["ldap"]["filter"] == "(mail=%u)"


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_a8_password_is_in_no_output(tmp_path: Path, flags: tuple[str, ...]) -> None:
    outcome = converted(tmp_path, WHOLE, *flags)
    assert "horse" not in outcome.out + outcome.err
    broken = converted(tmp_path, WHOLE + "ldap_use_sasl: yes\nldap_timeout\n", *flags)
    assert broken.code == 65
    assert "horse" not in broken.out + broken.err


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("written", ["correct: horse\\1 'x'", "  two  blanks  ", "\udce4\udcff", "#x", "`id`", "ü ∞"])
def test_the_command_that_is_advised_keeps_the_password(tmp_path: Path, written: str, ending: str) -> None:
    outcome = converted(tmp_path, WHOLE.replace("correct: horse\\1 'x'", written).replace("\n", ending))
    (line,) = [line.removeprefix("# ") for line in outcome.out.splitlines() if line.startswith("# LC_ALL=C sed ")]
    kept = tmp_path / "kept"
    command = line.replace("-g saslauthd-py ", "").replace("/etc/saslauthd-py/ldap.password", shlex.quote(str(kept)))
    subprocess.run(["/bin/sh", "-c", command], check=True)
    assert kept.stat().st_mode & 0o777 == 0o640
    text = LISTEN + outcome.out.replace("/etc/saslauthd-py/ldap.password", str(kept))
    backend = parse(text, "").backend["ldap"]
    assert isinstance(backend, LdapSettings)
    assert backend.password is not None
    assert backend.password.reveal() == written.lstrip().encode("utf-8", "surrogateescape")


def test_no_file_is_66_and_a_directory_is_told(tmp_path: Path) -> None:
    outcome = invoke("config", "convert", "--saslauthd-conf", str(tmp_path / "none"))
    assert (outcome.code, outcome.out, outcome.error) == (66, "", f"{tmp_path}/none: no such file or directory")
    outcome = invoke("config", "convert", "--saslauthd-conf", str(tmp_path))
    assert (outcome.code, outcome.out) == (75, "")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("ldap_servers ldap://a", ":1: ldap_servers: must be a key, a colon right after it, and a value"),
        ("\nldap_use_sasl: yes", ":2: ldap_use_sasl: users are bound by SASL"),
        ("ldap_servers: http://a", ": makes servers, which must be a server such as"),
        ("ldap_filter: (uid=%u", ': makes filter, which "(uid=%U" has a parenthesis that is not closed'),
        ("ldap_filter: (cn=x)", ': makes filter, which "(cn=x)" has no %U and no %u'),
        ("ldap_default_realm: a\tb", ": makes default_realm, which "),
        ("ldap_search_base: \udcff", ": what is to be base here is not UTF-8"),
    ],
)
def test_a_file_that_no_login_could_use_is_65(tmp_path: Path, text: str, line: str) -> None:
    outcome = converted(tmp_path, f"{text}\n")
    assert (outcome.code, outcome.out) == (65, "")
    assert outcome.error.startswith(f"{tmp_path}/saslauthd.conf{line}")


def test_several_faults_have_a_line_each(tmp_path: Path) -> None:
    outcome = converted(tmp_path, "x\ny\n")
    assert len(outcome.err.splitlines()) == 2


def test_a_certificate_that_is_not_there_is_no_fault_of_the_file(tmp_path: Path) -> None:
    outcome = converted(tmp_path, "ldap_servers: ldaps://a\nldap_search_base: dc=x\nldap_tls_cacert_file: /nonexistent/ca.pem\n")
    assert outcome.code == 0
    assert tomllib.loads(outcome.out)["backend"]["ldap"]["ca_file"] == "/nonexistent/ca.pem"


@pytest.mark.parametrize("name", ["", "a b", "ü", "x" * 65, "a/b"])
def test_a_name_that_no_backend_has_is_64(tmp_path: Path, name: str) -> None:
    assert converted(tmp_path, WHOLE, "--backend", name).code == 64


VALUES = {
    "ldap_servers": st.lists(
        st.sampled_from(["ldap://a", "ldaps://b/", "ldap://[::1]:3389", "LDAP://c:390/"]), min_size=1, unique=True
    ).map(" ".join),
    "ldap_start_tls": st.sampled_from(["yes", "no", "Yes", "on", "perhaps"]),
    "ldap_tls_check_peer": st.sampled_from(["yes", "no", "Yes"]),
    "ldap_auth_method": st.sampled_from(["bind", "custom", "FASTBIND", "other"]),
    "ldap_bind_dn": st.just("cn=x,dc=y"),
    "ldap_password": st.text("abc #'\"\\%ü", min_size=1, max_size=9).filter(str.strip),
    "ldap_search_base": st.sampled_from(["dc=x", "ou=%2,dc=%1", "o=%d,dc=x"]),
    "ldap_filter": st.sampled_from(["(uid=%u)", "uid=%u,dc=x", "(&(mail=%u@%r)(service=%s))", "uid=%U", "(uid=%x%u)"]),
    "ldap_scope": st.sampled_from(["sub", "ONE", "base", "tree"]),
    "ldap_password_attr": st.sampled_from(["userPassword", "mailPassword"]),
    "ldap_default_realm": st.sampled_from(["example.org", "Example.org", "a"]),
    "ldap_group_dn": st.sampled_from(["cn=g,dc=x", "cn=%s,dc=x"]),
    "ldap_group_attr": st.sampled_from(["member", "memberOf"]),
    "ldap_group_filter": st.sampled_from(["(member=%D)", "member=%D"]),
    "ldap_group_match_method": st.sampled_from(["attr", "filter"]),
    "ldap_group_scope": st.sampled_from(["sub", "one"]),
    "ldap_timeout": st.sampled_from(["5", "10", "0", "900", "x"]),
    "ldap_unknown": st.just("1"),
}


@given(st.fixed_dictionaries({}, optional=VALUES), st.booleans())
def test_what_is_converted_is_what_the_file_itself_means(values: dict[str, str], whole_logins: bool) -> None:
    """Where no logins are whole, also what `saslauthd_conf` makes of it."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        text = "".join(f"{key}: {value}\n" for key, value in values.items())
        outcome = converted(directory, text, *(["--whole-logins"] if whole_logins else []))
        if outcome.code:
            assert outcome.code == 65
            return
        assert outcome.err == ""
        kept = directory / "kept"
        kept.touch(mode=0o600)
        kept.write_text(values.get("ldap_password", "").lstrip())
        whole = parse(LISTEN + outcome.out.replace("/etc/saslauthd-py/ldap.password", str(kept)), "")
        backend = whole.backend["ldap"]
        assert isinstance(backend, LdapSettings)
        original = directory / "saslauthd.conf"
        original.chmod(0o600)
        if whole_logins:
            return
        beneath = re.sub(
            r"(?ms)^\[backend\.ldap\]\n.*?\n\n", f'[backend.ldap]\ntype = "ldap"\nsaslauthd_conf = "{original}"\n\n', outcome.out
        )
        other = parse(LISTEN + beneath, "").backend["ldap"]
        assert isinstance(other, LdapSettings)
        told_apart = {"password", "saslauthd_conf"}
        assert backend.model_dump(exclude=told_apart) == other.model_dump(exclude=told_apart)
        assert (backend.password and backend.password.reveal()) == (other.password and other.password.reveal())
