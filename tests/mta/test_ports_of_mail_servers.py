"""Where this machine reaches the ports at which Exim and Cyrus IMAP take logins."""

from __future__ import annotations

from pathlib import Path

import pytest

from saslauthd_py.mta import cyrus_conf, cyrus_imap, imap
from saslauthd_py.mta.cyrus_conf import Port
from saslauthd_py.mta.exim import Exim

CONF = """\
START { recover cmd="ctl_cyrusdb -r" }
SERVICES {
  imap   cmd="imapd -U 30" listen="imap" prefork=0
  # old  cmd="imapd" listen="1"
  imaps  cmd="imapd -s" listen="[::1]:1993"
  other  cmd="imapd -C /etc/other.conf" listen="2"
  mine   cmd="/usr/lib/cyrus/bin/imapd -C /etc/imapd.conf" listen="127.0.0.2:1143"
  local  cmd="imapd" listen="/run/cyrus/socket/imap"
  odd    cmd="imapd \'" listen="no-such-port"
  pop3   cmd="pop3d" listen="pop3"
}
EVENTS { x cmd="imapd" listen="3" }
"""


def test_ports_of_imapd() -> None:
    found = list(cyrus_conf.parse(CONF, "/etc/imapd.conf"))
    assert found == [Port("127.0.0.1", 143), Port("::1", 1993, tls_at_once=True), Port("127.0.0.2", 1143)]


def test_without_a_list_the_usual_port(tmp_path: Path) -> None:
    assert cyrus_conf.ports(str(tmp_path / "imapd.conf")) == (Port("127.0.0.1", 143),)
    (tmp_path / "cyrus.conf").write_text("SERVICES {\n}\n")
    assert cyrus_conf.ports(str(tmp_path / "imapd.conf")) == ()


def test_a_configuration_that_a_removed_package_left_is_no_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "imapd.conf").touch()
    monkeypatch.setattr(cyrus_imap, "DEFAULT_FILE", str(tmp_path / "imapd.conf"))
    monkeypatch.setattr(cyrus_imap, "_MASTERS", ())
    assert not cyrus_imap.is_here()
    assert cyrus_imap.is_here(str(tmp_path / "imapd.conf")), "whoever names it means it"


@pytest.mark.parametrize(
    ("interfaces", "addresses"),
    [
        ("", [("127.0.0.1", 25), ("127.0.0.1", 587)]),
        ("<; ::0 ; 0.0.0.0", [("127.0.0.1", 25), ("127.0.0.1", 587)]),
        ("<; ::0", [("::1", 25), ("::1", 587)]),
        ("127.0.0.1 : ::::1", [("127.0.0.1", 25), ("127.0.0.1", 587), ("::1", 25), ("::1", 587)]),
        ("<; 127.0.0.2 ; 127.0.0.1.2526", [("127.0.0.2", 25), ("127.0.0.2", 587), ("127.0.0.1", 2526)]),
        ("<; [::1]:2525;[192.0.2.1]", [("::1", 2525), ("192.0.2.1", 25), ("192.0.2.1", 587)]),
    ],
)
def test_addresses_of_exim(interfaces: str, addresses: list[tuple[str, int]]) -> None:
    assert list(Exim("exim", "", {"daemon_smtp_ports": "25:587", "local_interfaces": interfaces}, ()).addresses()) == addresses


def test_a_refusal_of_cyrus_is_waited_for() -> None:
    """3 s of failedloginpause, and ours of up to 2 s before it, measured with Cyrus 3.6: 5.1 s."""
    assert imap._SECONDS > 5.5
