"""A real Dovecot that stops, freezes or comes back while many log in by IMAP: no right password is ever wrong, nobody waits without end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.interop.daemon import Daemon
from tests.interop.ldap_load import Load, Login, load
from tests.interop.mail_server import PASSWORDS, MailServer, mail_server
from tests.interop.mux import NO, OK, ask
from tests.interop.remote_site import DEADLINE, LOCAL, LOCAL_PASSWORD, Keys, RemoteSite, new_remote_site

pytestmark = [pytest.mark.peer("dovecot-imapd", "openssl"), pytest.mark.root]

OUTAGE = b""
ALICE, BOB = "alice@example.test", "bob"
SLACK = 6.0
"""Seconds over the deadline that a busy machine may take; a client of this test waits longer than both."""


@pytest.fixture
def server(machine: Path, tmp_path: Path) -> Iterator[MailServer]:
    with mail_server(machine / tmp_path.name) as running:
        yield running


@contextmanager
def serving(machine: Path, keys: Keys) -> Iterator[tuple[RemoteSite, Daemon]]:
    with new_remote_site(machine) as site, site.serving({"way": {"type": "imap", "timeout": "1s", **keys}}) as daemon:
        yield site, daemon


@contextmanager
def under_load(site: RemoteSite) -> Iterator[Load]:
    """Right passwords to both routes. At the end: 0 NO, and each within the deadline."""
    people: list[Login] = [partial(site.ask, "way", name, PASSWORDS[name]) for name in (ALICE, BOB, "long")]
    with load({"imap": people, "store": [partial(ask, site.site.mux, LOCAL, LOCAL_PASSWORD)]}) as running:
        running.phase("before", 3)
        yield running
    print(f"\n{running.report()}")
    assert running.answers("imap").keys() <= {OK, OUTAGE}
    assert running.answers("store").keys() == {OK}
    assert running.slowest("imap") < DEADLINE + SLACK


def assert_back(running: Load, site: RemoteSite) -> None:
    """Right is right again, and wrong is wrong."""
    running.until_all("imap", OK)
    running.phase("after", 3)
    assert running.answers("imap", "after").keys() == {OK}
    assert site.ask("way", ALICE, "wrong") == NO


def test_d8_imap_server_that_freezes_and_then_stops_is_an_outage_until_it_is_back(machine: Path, server: MailServer) -> None:
    keys = {"servers": [server.imap], "start_tls": True, "ca_file": str(server.ca)}
    with serving(machine, keys) as (site, daemon), under_load(site) as running:
        with server.frozen():
            running.phase("frozen")
        assert_back(running, site)
        with server.stopped():
            running.phase("stopped", 1)
        assert_back(running, site)
        for away in ("frozen", "stopped"):
            assert running.answers("imap", away).keys() == {OUTAGE}
    daemon.wait_for_line("ERROR", "is down: no answer within 1 s")
    daemon.wait_for_line("ERROR", "is down: ", count=2)
    daemon.wait_for_line("is back", count=2)
