"""Mail clients log in through a real Exim, driver = dovecot: it reads our whole handshake first, and says all of its own at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.interop import exim
from tests.interop.daemon import Daemon, Site, new_site
from tests.interop.exim import Exim
from tests.interop.outages import store_moved_away
from tests.interop.waiting import until

pytestmark = [pytest.mark.peer("exim", "swaks", "openssl"), pytest.mark.root]

ALICE, BOB, UMLAUT = "alice@example.test", "bob", "jürgen@example.test"
PASSWORDS = {ALICE: "pw1", BOB: "pw 2 ü", UMLAUT: "a passphrase of words " * 50}
MECHANISMS = ("PLAIN", "LOGIN")


@pytest.fixture(scope="module")
def served(machine: Path) -> Iterator[tuple[Site, Daemon]]:
    with new_site(machine) as site:
        site.configure([exim.listener(site.mux)])
        for name, password in PASSWORDS.items():
            site.add(name, password)
        with site.serving() as daemon:
            yield site, daemon


@pytest.fixture(scope="module")
def mail(served: tuple[Site, Daemon]) -> Iterator[Exim]:
    site, _ = served
    with exim.running(site.directory / "exim", site.mux) as running:
        yield running


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("name", PASSWORDS)
def test_exim_right_password_is_235(mail: Exim, name: str, mechanism: str) -> None:
    dialogue = mail.login(name, PASSWORDS[name], mechanism)
    assert dialogue.code == 0, dialogue.text + mail.log()
    assert dialogue.says("235 ")


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize(
    ("name", "password"),
    [
        pytest.param(ALICE, "pw1x", id="wrong"),
        pytest.param("nosuch@example.test", "pw1", id="unknown user"),
        pytest.param("alice", "pw1", id="realm missing"),
    ],
)
def test_exim_wrong_login_is_535_with_the_name_in_its_log(mail: Exim, name: str, password: str, mechanism: str) -> None:
    before = mail.log().count(f"(set_id={name})")
    dialogue = mail.login(name, password, mechanism)
    assert dialogue.code == 28
    assert dialogue.says("535 Incorrect authentication data"), dialogue.text
    until(lambda: mail.log().count(f"(set_id={name})") > before, f"Exim logs the name: {mail.log()}")


def test_exim_takes_mail_from_the_one_who_logged_in(mail: Exim) -> None:
    assert mail.swaks("--quit-after", "RCPT").code == 24
    assert mail.swaks("-a", "LOGIN", "-au", ALICE, "-ap", "pw1", "--quit-after", "RCPT").code == 0


def test_exim_tells_the_client_s_address_and_mechanism_to_our_log(served: tuple[Site, Daemon], mail: Exim) -> None:
    _, daemon = served
    assert mail.login("traced@example.test", "wrong", "LOGIN").says("535 ")
    daemon.wait_for_line("rejected", "user=traced@example.test", "address=127.0.0.1", "mechanism=LOGIN", "peer=exim4[")


def assert_outage(mail: Exim) -> None:
    """435 to right and wrong, by PLAIN and by LOGIN."""
    logins = [(password, mechanism) for password in ("pw1", "pw1x") for mechanism in MECHANISMS]
    with ThreadPoolExecutor() as pool:
        dialogues = list(pool.map(lambda login: mail.login(ALICE, *login), logins))
    for dialogue in dialogues:
        assert dialogue.code == 28
        assert dialogue.says("435 Unable to authenticate at present"), dialogue.text
        assert not dialogue.says("535 ")


def assert_mended(mail: Exim) -> None:
    for mechanism in MECHANISMS:
        assert mail.login(ALICE, "pw1", mechanism).says("235 ")
        assert mail.login(ALICE, "pw1x", mechanism).says("535 ")


def test_c6_exim_store_moved_away_is_435_and_back_is_235(served: tuple[Site, Daemon], mail: Exim) -> None:
    site, daemon = served
    assert_mended(mail)
    with store_moved_away(site):
        assert_outage(mail)
        daemon.wait_for_line("unavailable", f"user={ALICE}", "mechanism=LOGIN", count=2)
    assert_mended(mail)


def test_exim_daemon_killed_is_435_and_started_again_is_235(served: tuple[Site, Daemon], mail: Exim) -> None:
    site, daemon = served
    daemon.kill()
    try:
        assert site.mux.is_socket(), "a killed daemon leaves its socket behind"
        assert_outage(mail)
    finally:
        daemon.start()
    assert_mended(mail)
