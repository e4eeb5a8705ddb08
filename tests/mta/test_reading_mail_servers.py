"""Postfix, Exim and Cyrus IMAP as they are set up, read by their own programs where they have one."""

from __future__ import annotations

from pathlib import Path

import pytest

from saslauthd_py.mta import cyrus_imap, exim, machine, postfix, postfix_callers, smtp_ports, smtpd_conf
from saslauthd_py.mta.distribution import DEBIAN
from saslauthd_py.mta.machine import Machine, Wanted
from saslauthd_py.mta.master_cf import Service
from saslauthd_py.mta.postfix import Postfix
from saslauthd_py.mta.programs import Unreadable
from tests.interop.exim import PROGRAM
from tests.interop.postfix import make_old

MAIN = """\
compatibility_level = 3.6
queue_directory = {directory}/queue
mail_owner = root
smtpd_sasl_auth_enable = yes
smtpd_sasl_local_domain = $myhostname
myhostname = mx.test
"""
MASTER = """\
smtp       inet n - n - - smtpd
submission inet n - y - - smtpd
  -o smtpd_sasl_type=dovecot
  -o smtpd_sasl_path=private/auth
  -o smtpd_sasl_service=submission
smtps      inet n - n - - smtpd
  -o smtpd_sasl_type=dovecot
  -o smtpd_sasl_path=inet:127.0.0.1:12345
quiet      inet n - y - - smtpd
  -o smtpd_sasl_auth_enable=no
"""


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """Of a Postfix that never runs."""
    (tmp_path / "main.cf").write_text(MAIN.format(directory=tmp_path))
    (tmp_path / "master.cf").write_text(MASTER)
    make_old(tmp_path)
    (tmp_path / "sasl").mkdir()
    (tmp_path / "sasl/smtpd.conf").write_text("pwcheck_method: saslauthd\nsaslauthd_path: /run/x/mux\n")
    return tmp_path


@pytest.mark.peer("postfix")
def test_a_postfix_and_who_asks(conf: Path) -> None:
    found = postfix.read(str(conf))
    assert found.version.startswith("3.")
    assert {"cyrus", "dovecot"} <= found.sasl_types
    assert [service.name for service in found.logins()] == ["smtp", "submission", "smtps"]
    assert found.queue_directory == f"{conf}/queue"
    cyrus, auth, tcp = postfix_callers.callers(found, smtpd_conf.find(found, DEBIAN), DEBIAN)
    assert (cyrus.protocol, cyrus.path, cyrus.root, cyrus.realm, cyrus.name_whole) == ("saslauthd", "/run/x/mux", "/", "mx.test", False)
    assert str(cyrus.source) == f"{conf}/sasl/smtpd.conf: saslauthd_path"
    assert (auth.protocol, auth.path, auth.root, auth.service) == ("dovecot", "/private/auth", f"{conf}/queue", "submission")
    assert (auth.outside, auth.realm, auth.name_whole) == (f"{conf}/queue/private/auth", "", True)
    assert (tcp.is_tcp, tcp.outside) == (True, "inet:127.0.0.1:12345")


@pytest.mark.peer("postfix")
def test_a_postfix_that_cannot_be_read(conf: Path, tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=r"no main\.cf there"):
        postfix.read(str(tmp_path / "missing"))
    (conf / "master.cf").unlink()
    with pytest.raises(Unreadable, match=r"master\.cf: No such file"):
        postfix.read(str(conf))
    found = machine.read(Wanted("postfix", str(conf)))
    assert found.postfix is None
    assert "master.cf" in found.faults["postfix"]


def test_programs_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("saslauthd_py.mta.programs._SEARCH_PATH", "/nonexistent")
    with pytest.raises(Unreadable, match="is Postfix installed"):
        postfix.read()
    with pytest.raises(Unreadable, match="no exim found"):
        exim.read()
    assert not postfix.is_here()
    assert not exim.is_here()
    assert machine.read(Wanted(imapd_conf="/nonexistent/imapd.conf")).faults == {
        "cyrus-imap": "/nonexistent/imapd.conf: no such file or directory"
    }


@pytest.mark.peer("exim")
def test_an_exim_s_authenticators_and_sockets(tmp_path: Path) -> None:
    conf = tmp_path / "exim.conf"
    conf.write_text(
        "exim_user = root\ndaemon_smtp_ports = <; 25 ; smtps;2525\ntls_on_connect_ports = 465\nbegin authenticators\n"
        "a:\n  driver = dovecot\n  public_name = PLAIN\n  server_socket = /run/a\n"
        "b:\n  driver = dovecot\n  public_name = LOGIN\n  server_socket = /run/a\n"
        "c:\n  driver = plaintext\n  public_name = X-ONE\n  server_condition = ${if saslauthd{{$auth1}{$auth2}}}\n"
        "d:\n  driver = plaintext\n  public_name = X-TWO\n  server_condition = no\n"
        "e:\n  driver = plaintext\n  public_name = X-THREE\n  client_send = : me : my password\n"
    )
    found = exim.read(str(conf), PROGRAM)
    assert [(one.name, one.mechanism, one.is_dovecot, one.asks_saslauthd) for one in found.authenticators] == [
        ("a", "PLAIN", True, False),
        ("b", "LOGIN", True, False),
        ("c", "X-ONE", False, True),
        ("d", "X-TWO", False, False),
        ("e", "X-THREE", False, False),
    ]
    assert [one.name for one in found.authenticators if not one.is_server] == ["e"], "its own logins elsewhere"
    assert {"dovecot", "plaintext"} <= found.drivers
    assert [str(server) for _, server in smtp_ports.of_exim(found) if server.tls_at_once] == ["127.0.0.1:465"]
    assert found.addresses() == (("127.0.0.1", 25), ("127.0.0.1", 465), ("127.0.0.1", 2525))
    assert [(one.protocol, one.path) for one in exim.callers(found, DEBIAN)] == [
        ("dovecot", "/run/a"),
        ("saslauthd", DEBIAN.saslauthd_path),
    ]
    conf.write_text("nonsense here\n")
    with pytest.raises(Unreadable, match=r"configuration error in line 1 of .*exim\.conf"):
        exim.read(str(conf), PROGRAM)


@pytest.mark.parametrize(
    ("interfaces", "protocols", "address"),
    [
        ("all", "all", "127.0.0.1:587"),
        ("loopback-only", "ipv6", "[::1]:587"),
        ("mx.test, localhost", "ipv4", "127.0.0.1:587"),
        ("$other", "all", "192.0.2.7:587"),
        ("[2001:db8::1]", "all", "[2001:db8::1]:587"),
    ],
)
def test_a_second_instance_is_reached_at_its_own_address(interfaces: str, protocols: str, address: str) -> None:
    """127.0.0.1 may be the first one's: a login there says nothing of this one."""
    parameters = {"inet_interfaces": interfaces, "inet_protocols": protocols, "other": "192.0.2.7", "smtpd_sasl_auth_enable": "yes"}
    behind, before = (Service(name, kind, True, None, "smtpd") for name, kind in (("smtpd", "pass"), ("587", "inet")))
    second = Postfix("/etc/postfix-out", parameters, (behind, before), frozenset())
    [(name, server)] = smtp_ports.of_machine(Machine(DEBIAN, postfix=second))
    assert (name, str(server), server.tls_at_once, server.proxied) == ("smtpd of 587", address, False, False)


def test_a_cyrus_imap(tmp_path: Path) -> None:
    conf = tmp_path / "imapd.conf"
    lines = ("cyrus_user: root", "sasl_pwcheck_method: saslauthd", "sasl_mech_list: PLAIN", "sasl_saslauthd_path: /run/x/mux")
    conf.write_text("\n".join((*lines, "virtdomains: on", "defaultdomain: example.test\n")))
    found = cyrus_imap.read(str(conf))
    assert (found.sasl.methods, found.sasl.mechanisms) == (("saslauthd",), ("PLAIN",))
    (asks,) = cyrus_imap.callers(found, DEBIAN)
    assert (asks.path, asks.service, asks.who.uid, asks.realm_taken_off) == ("/run/x/mux", "imap", 0, "example.test")
    conf.write_text("cyrus_user: root\nsasl_pwcheck_method: auxprop\n")
    assert cyrus_imap.callers(cyrus_imap.read(str(conf)), DEBIAN) == ()


def test_one_mail_server_alone_is_looked_at(tmp_path: Path) -> None:
    conf = tmp_path / "imapd.conf"
    conf.write_text("sasl_pwcheck_method: auxprop\n")
    found = machine.read(Wanted("cyrus-imap", imapd_conf=str(conf)))
    assert (found.postfix, found.exim, found.faults) == (None, None, {})
    assert found.cyrus_imap is not None
    assert not found.empty
