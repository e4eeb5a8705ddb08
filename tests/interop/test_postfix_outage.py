"""An outage is never a wrong password: the real thing is broken under a warm cache, Postfix says 454, and once mended 235 again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.interop.daemon import Daemon, Site, listener, new_site
from tests.interop.postfix import Postfix, listeners

pytestmark = [pytest.mark.peer("postfix", "swaks", "openssl"), pytest.mark.root]

ALICE, BOB = "alice@example.test", "bob@example.test"
RIGHT, WRONG, OTHER = "pw1", "pw2", "pw-other"


@pytest.fixture
def mail_site(site: Site, postfix: Postfix) -> Site:
    """A store with one account, and the listeners of conf/postfix: the one that the Postfix asks, and one in a chroot."""
    site.configure([listeners(postfix.mux, site.directory / "mux")])
    site.add(ALICE, RIGHT)
    return site


@pytest.fixture
def daemon(mail_site: Site, postfix: Postfix) -> Iterator[Daemon]:
    """Serving, with alice's login in its cache: proved by its own log."""
    with mail_site.serving() as daemon:
        for _ in range(2):
            assert postfix.login(ALICE, RIGHT).says("235 ")
        daemon.wait_for_line("accepted", f"user={ALICE}", "cached=yes")
        yield daemon


def assert_outage(postfix: Postfix, *passwords: str) -> None:
    """454 for each of them by PLAIN and by LOGIN, all at once: each waits its second (rule E5)."""
    logins = [(password, mechanism) for password in passwords for mechanism in ("PLAIN", "LOGIN")]
    with ThreadPoolExecutor() as pool:
        dialogues = pool.map(lambda login: postfix.login(ALICE, *login), logins)
    for dialogue in dialogues:
        assert dialogue.code == 28
        assert dialogue.says("454 4.7.0 "), dialogue.text
        assert not dialogue.says("535 ")


def assert_mended(postfix: Postfix, right: str = RIGHT) -> None:
    assert postfix.login(ALICE, right).says("235 ")
    assert postfix.login(ALICE, WRONG).says("535 ")


def test_c6_store_moved_away_is_454_and_back_is_235(daemon: Daemon, mail_site: Site, postfix: Postfix) -> None:
    away = mail_site.directory / "users.db.away"
    mail_site.store.rename(away)
    assert_outage(postfix, RIGHT, WRONG)
    daemon.wait_for_line("unavailable", f"user={ALICE}", count=4)
    daemon.wait_for_line("restore")
    away.rename(mail_site.store)
    assert_mended(postfix)


def overwrite(store: Path, damaged: Callable[[bytes], bytes]) -> bytes:
    """Write into the file itself, as a failing disk or a wrong redirection would; returns what was there."""
    with store.open("r+b") as file:
        content = file.read()
        file.seek(0)
        file.truncate()
        file.write(damaged(content))
    return content


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(lambda content: b"\xa5" * len(content), id="garbage of the same size"),
        pytest.param(lambda _: b"not a database\n", id="garbage"),
        pytest.param(lambda _: b"", id="emptied"),
        pytest.param(lambda content: content[: len(content) // 2], id="cut in half"),
    ],
)
def test_c6_store_overwritten_is_454_and_written_back_is_235(
    daemon: Daemon, mail_site: Site, postfix: Postfix, damaged: Callable[[bytes], bytes]
) -> None:
    content = overwrite(mail_site.store, damaged)
    assert_outage(postfix, RIGHT)
    overwrite(mail_site.store, lambda _: content)
    assert_mended(postfix)


@pytest.fixture
def renamed_over(daemon: Daemon, mail_site: Site, postfix: Postfix, machine: Path) -> Path:
    """Another whole store in the place of the daemon's, with another password; returns where the daemon's own is kept."""
    kept = mail_site.directory / "users.db.kept"
    os.link(mail_site.store, kept)
    with new_site(machine) as other:
        other.configure([listener(other.mux)])
        other.add(ALICE, OTHER)
        other.store.rename(mail_site.store)
    return kept


def test_c6_store_renamed_over_is_454_until_the_restart(daemon: Daemon, renamed_over: Path, postfix: Postfix) -> None:
    assert_outage(postfix, RIGHT, OTHER)
    daemon.wait_for_line("restore")
    daemon.restart()
    assert_mended(postfix, OTHER)
    assert postfix.login(ALICE, RIGHT).says("535 ")


def test_c6_store_renamed_over_is_454_until_the_old_file_is_back(
    daemon: Daemon, mail_site: Site, renamed_over: Path, postfix: Postfix
) -> None:
    assert_outage(postfix, RIGHT, OTHER)
    renamed_over.rename(mail_site.store)
    assert_mended(postfix)
    assert postfix.login(ALICE, OTHER).says("535 ")


def test_daemon_killed_is_454_and_started_again_is_235(daemon: Daemon, mail_site: Site, postfix: Postfix) -> None:
    daemon.kill()
    assert postfix.mux.is_socket(), "a killed daemon leaves its socket behind"
    assert_outage(postfix, RIGHT, WRONG)
    daemon.start()
    assert_mended(postfix)


def test_daemon_stopped_is_454_and_started_again_is_235(daemon: Daemon, mail_site: Site, postfix: Postfix) -> None:
    daemon.stop()
    assert_outage(postfix, RIGHT)
    daemon.start()
    assert_mended(postfix)


def test_record_of_an_unknown_scheme_is_454_for_its_account_alone(daemon: Daemon, mail_site: Site, postfix: Postfix) -> None:
    mail_site.add(BOB, "pw3")
    mail_site.sql("UPDATE encoding SET scheme = 'rot13' WHERE secret = (SELECT min(secret) FROM encoding)")
    assert_outage(postfix, RIGHT, WRONG)
    daemon.wait_for_line("unavailable", f"user={ALICE}", "rot13")
    assert postfix.login(BOB, "pw3").says("235 ")
    mail_site.passwd(ALICE, RIGHT)
    assert_mended(postfix)
