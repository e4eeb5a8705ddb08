"""The real daemon and a real Cyrus imapd, which takes LOGIN, gives no codes, and says NO too where its own users are gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.cyrus_imapd import PASSWORDS, CyrusImapd, cyrus_imapd
from tests.interop.daemon import Daemon
from tests.interop.mux import NO, OK
from tests.interop.remote_site import RemoteSite, new_remote_site

pytestmark = [pytest.mark.peer("cyrus-imapd"), pytest.mark.root]

OUTAGE = b""
ALICE = "alice@example.test"


@pytest.fixture(scope="module")
def server(machine: Path) -> Iterator[CyrusImapd]:
    with cyrus_imapd(machine / "cyrus-imapd") as running:
        yield running


@pytest.fixture(scope="module")
def served(machine: Path, server: CyrusImapd) -> Iterator[tuple[RemoteSite, Daemon]]:
    ways = {
        "plain": {"type": "imap", "servers": [server.plain]},
        "secure": {"type": "imap", "servers": [server.secure]},
        "second": {"type": "imap", "servers": [server.secure, server.plain]},
    }
    with new_remote_site(machine) as site, site.serving(ways) as daemon:
        yield site, daemon


@pytest.mark.parametrize("way", ["plain", "second"])
@pytest.mark.parametrize("name", PASSWORDS)
def test_right_is_ok_and_wrong_is_no(served: tuple[RemoteSite, Daemon], name: str, way: str) -> None:
    site, daemon = served
    assert site.ask(way, name, PASSWORDS[name]) == OK
    for wrong in ("wrong", PASSWORDS[name] + "\r\na LOGOUT", "ü", "x" * 2000):
        assert site.ask(way, name, wrong) == NO
    assert site.ask(way, f"not-{name}", PASSWORDS[name]) == NO
    daemon.wait_for_line("rejected", f"backend={way} ", "reason=wrong-secret")


def test_d8_server_that_takes_no_password_without_tls_is_an_outage_with_its_cause(served: tuple[RemoteSite, Daemon]) -> None:
    site, daemon = served
    assert site.ask("secure", ALICE, PASSWORDS[ALICE]) == OUTAGE
    daemon.wait_for_line("unavailable", "backend=secure ", "LOGINDISABLED", "use imaps://, or start_tls = true")


def test_d8_users_that_the_server_cannot_read_are_an_outage(served: tuple[RemoteSite, Daemon], server: CyrusImapd) -> None:
    """Cyrus says NO to all of them, right or wrong."""
    site, daemon = served
    with server.without_users():
        assert site.ask("plain", ALICE, PASSWORDS[ALICE]) == OUTAGE
        assert site.ask("plain", ALICE, "wrong") == OUTAGE
    daemon.wait_for_line("unavailable", "backend=plain ", "login: NO; generic failure", count=2)
    assert site.ask("plain", ALICE, PASSWORDS[ALICE]) == OK
    assert site.ask("plain", ALICE, "wrong") == NO
