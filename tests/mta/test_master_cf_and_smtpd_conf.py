"""What `postconf` prints of master.cf, libsasl's files, and os-release: read as their owners read them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.mta import distribution, smtpd_conf
from saslauthd_py.mta.caller import Source, inside, outside
from saslauthd_py.mta.distribution import DEBIAN, OTHER, REDHAT
from saslauthd_py.mta.master_cf import parameters, services
from saslauthd_py.mta.postfix import Postfix
from saslauthd_py.mta.programs import Unreadable

TABLE = """\
smtp       inet  n       -       y       -       -       smtpd
submission inet  n       -       -       -       20      smtpd -v
    -o syslog_name=postfix/submission
smtpd      pass  -       -       n       -       -       smtpd
rewrite    unix  -       -       n       -       -       trivial-rewrite
"""
OVERRIDES = """\
submission/inet/smtpd_sasl_auth_enable = yes
submission/inet/smtpd_tls_security_level = $level
"""


def made(tmp_path: Path, **values: str) -> Postfix:
    return Postfix(str(tmp_path), values, services(TABLE, OVERRIDES), frozenset({"cyrus"}))


def test_services_with_their_columns_and_settings() -> None:
    smtp, submission, passed, rewrite = services(TABLE, OVERRIDES)
    assert (smtp.key, smtp.chroot, smtp.process_limit, smtp.verbose) == ("smtp/inet", True, None, False)
    assert (submission.chroot, submission.process_limit, submission.verbose) == (None, 20, True)
    assert submission.overrides == {"smtpd_sasl_auth_enable": "yes", "smtpd_tls_security_level": "$level"}
    assert (passed.type, rewrite.command) == ("pass", "trivial-rewrite")


def test_a_service_s_own_value_comes_first_and_is_expanded(tmp_path: Path) -> None:
    postfix = made(tmp_path, level="${other}", other="encrypt", smtpd_sasl_auth_enable="no", loop="$loop")
    smtp, submission, *_ = postfix.services
    assert postfix.value("smtpd_tls_security_level", submission) == "encrypt"
    assert [service.name for service in postfix.logins()] == ["submission"]
    assert postfix.value("nothing", smtp) == ""
    assert "loop" in postfix.value("loop"), "one that refers to itself ends"


@pytest.mark.parametrize(("level", "chrooted"), [("0", True), ("1", False), ("3.6", False)])
def test_a_dash_in_the_column_chroot_depends_on_the_compatibility_level(tmp_path: Path, level: str, chrooted: bool) -> None:
    postfix = made(tmp_path, compatibility_level=level)
    smtp, submission, passed, _ = postfix.services
    assert postfix.chrooted(submission) is chrooted
    assert postfix.chrooted(smtp)
    assert not postfix.chrooted(passed)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("smtp", ("127.0.0.1", 25)),
        ("submission", ("127.0.0.1", 587)),
        ("127.0.0.1:2525", ("127.0.0.1", 2525)),
        ("[::1]:2525", ("::1", 2525)),
        ("nonsense", None),
    ],
)
def test_where_an_inet_service_is_reached(tmp_path: Path, name: str, address: tuple[str, int] | None) -> None:
    postfix = made(tmp_path)
    assert postfix.address(replace(postfix.services[0], name=name)) == address
    assert postfix.address(postfix.services[2]) is None, "`pass` has no port"


@given(st.text(), st.text())
def test_whatever_postconf_prints_is_read(table: str, overrides: str) -> None:
    for service in services(table, overrides):
        assert service.key
    parameters(overrides)


def test_an_smtpd_conf_as_libsasl_reads_it() -> None:
    text = "# pwcheck_method: auxprop\nPwCheck_Method:saslauthd\n\n mech_list :  plain LOGIN  \nmech_list: ignored\nno option\n"
    assert smtpd_conf.parse(text) == {"pwcheck_method": "saslauthd", "mech_list": "plain LOGIN"}


@given(st.text())
def test_any_smtpd_conf_is_read(text: str) -> None:
    for key in smtpd_conf.parse(text):
        assert key == key.lower()


def test_what_is_not_said_is_libsasl_s_default() -> None:
    nothing = smtpd_conf.SaslConf(())
    assert (nothing.methods, nothing.mechanisms, nothing.log_level) == (("auxprop",), None, 1)
    said = smtpd_conf.SaslConf((), None, {"pwcheck_method": "saslauthd auxprop", "mech_list": "plain", "log_level": "7"})
    assert (said.methods, said.mechanisms, said.log_level) == (("saslauthd", "auxprop"), ("PLAIN",), 7)


def test_debian_s_postfix_looks_beside_main_cf_and_nowhere_else(tmp_path: Path) -> None:
    other = tmp_path / "other"
    postfix = made(tmp_path, cyrus_sasl_config_path=str(other))
    other.mkdir()
    (other / "smtpd.conf").write_text("pwcheck_method: saslauthd\n")
    found = smtpd_conf.find(postfix, DEBIAN)
    assert found.path is None
    assert found.searched == (str(tmp_path / "sasl/smtpd.conf"), "/usr/lib/sasl/smtpd.conf")
    assert str(other / "smtpd.conf") in found.elsewhere
    (tmp_path / "sasl").mkdir()
    (tmp_path / "sasl/smtpd.conf").write_text("mech_list: PLAIN\n")
    found = smtpd_conf.find(postfix, DEBIAN)
    assert (found.path, found.options) == (str(tmp_path / "sasl/smtpd.conf"), {"mech_list": "PLAIN"})


def test_elsewhere_postfix_looks_where_main_cf_says_then_where_libsasl_does(tmp_path: Path) -> None:
    named = made(tmp_path, cyrus_sasl_config_path="/a:/b")
    assert smtpd_conf.directories(named, REDHAT) == ("/a", "/b")
    by_environment = made(tmp_path, import_environment="TZ, SASL_CONF_PATH=/c:/d SASL_PATH=/e")
    assert smtpd_conf.directories(by_environment, REDHAT) == ("/c", "/d")
    assert smtpd_conf.plugin_directories(by_environment, REDHAT) == ("/e",)
    assert smtpd_conf.directories(made(tmp_path), OTHER) == OTHER.sasl_directories


def test_an_application_of_another_name_has_a_file_of_that_name(tmp_path: Path) -> None:
    assert smtpd_conf.find(made(tmp_path, smtpd_sasl_path="mail"), REDHAT).searched[0] == "/etc/sasl2/mail.conf"


def test_what_is_no_file_hangs_nobody(tmp_path: Path) -> None:
    (tmp_path / "sasl").mkdir()
    os.mkfifo(tmp_path / "sasl/smtpd.conf")
    assert smtpd_conf.find(made(tmp_path), DEBIAN).path is None
    with pytest.raises(Unreadable, match="no such file"):
        smtpd_conf.read(str(tmp_path / "missing"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('NAME="Debian GNU/Linux"\nID=debian\n', DEBIAN),
        ("ID=linuxmint\nID_LIKE='ubuntu debian'\n", DEBIAN),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', REDHAT),
        ("ID=void\n", OTHER),
        ("ID='unbalanced\n", OTHER),
        ("", OTHER),
    ],
)
def test_distributions_by_os_release(text: str, found: distribution.Distribution) -> None:
    assert distribution.of_release(text) is found


def test_paths_of_a_chroot(tmp_path: Path) -> None:
    queue = tmp_path / "queue"
    (queue / "run").mkdir(parents=True)
    assert outside(str(queue), "/run/mux") == str(queue / "run/mux")
    assert inside(str(queue), str(queue / "run/mux")) == "/run/mux"
    assert inside(str(queue), "/run/mux") is None
    assert inside("/", "/run/mux") == "/run/mux"


def test_the_line_that_says_another_value() -> None:
    assert Source("/f", "saslauthd_path", "/a").line("/b") == "saslauthd_path: /b"
    assert Source("/f", "smtpd_sasl_path", "a", "{key} = {value}").line("b") == "smtpd_sasl_path = b"
