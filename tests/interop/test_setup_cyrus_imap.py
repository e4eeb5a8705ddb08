"""`setup cyrus-imap` on a real Cyrus imapd that has its users in a sasldb2: applied, proved, undone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from saslauthd_py.mta import imap
from saslauthd_py.secret import Secret
from tests.interop.cyrus_imapd import CyrusImapd, cyrus_imapd
from tests.interop.daemon import listener, new_site
from tests.interop.setup_site import Kept, SetUp

pytestmark = [pytest.mark.peer("cyrus-imapd"), pytest.mark.root]

CAROL, PASSWORD = "carol@example.test", "pw1"


@pytest.fixture(scope="module")
def server(machine: Path) -> Iterator[CyrusImapd]:
    with cyrus_imapd(machine / "cyrus-imapd-to-set-up") as running:
        yield running


def test_it_is_applied_proved_and_undone_without_a_trace(machine: Path, server: CyrusImapd) -> None:
    conf = machine / "cyrus-imapd-to-set-up" / "plain.conf"
    with new_site(machine) as site:
        site.configure([listener(site.mux)])
        site.add(CAROL, PASSWORD)
        setup = SetUp(site, ("cyrus-imap", "--imapd-conf", str(conf)))
        kept = Kept(site.directory / "kept", [conf, site.configuration])
        with site.serving():
            assert not logs_in(server, PASSWORD)
            applied = setup.run("--apply")
            assert applied.code == 0, applied.errors
            assert [one["port"] for one in applied.told["proved"]] == [f"{server.plain.removeprefix('imap://')} (imapd)"]
            assert logs_in(server, PASSWORD)
            assert not logs_in(server, "pw2")
            undone = setup.run("--undo")
            assert (undone.code, undone.told["left"], undone.told["notes"]) == (0, [], []), undone.errors
            assert kept.differences() == ""
            assert not logs_in(server, PASSWORD)


def logs_in(server: CyrusImapd, password: str) -> bool:
    host, _, port = server.plain.removeprefix("imap://").partition(":")
    return imap.login(host, int(port), CAROL, Secret(password.encode())).ok
