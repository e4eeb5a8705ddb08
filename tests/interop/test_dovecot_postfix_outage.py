"""An outage is never a wrong password, by Dovecot's protocol too: the real thing is broken, Postfix says 454, and once mended 235."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from operator import methodcaller
from pathlib import Path

import pytest

from tests.interop import smtp
from tests.interop.daemon import Daemon, Site, new_site
from tests.interop.dovecot_postfix import Place
from tests.interop.outages import store_moved_away, store_overwritten
from tests.interop.postfix import Dialogue, Postfix
from tests.interop.server import frozen
from tests.interop.smtp import Conversation, encoded, plain
from tests.interop.waiting import until

pytestmark = [pytest.mark.peer("postfix", "swaks", "openssl"), pytest.mark.root]

ALICE = "alice@example.test"
RIGHT, WRONG = "pw1", "pw2"
LOCAL = "127.0.0.1"
"""The mail client, to a Postfix that has no PROXY line of it."""


@pytest.fixture(scope="module")
def served(machine: Path, dovecot_place: Place) -> Iterator[tuple[Site, Daemon]]:
    with new_site(machine) as site:
        site.configure([dovecot_place.listener])
        site.add(ALICE, RIGHT)
        with site.serving() as daemon:
            yield site, daemon


@pytest.fixture
def site(served: tuple[Site, Daemon]) -> Site:
    return served[0]


@pytest.fixture
def daemon(served: tuple[Site, Daemon]) -> Daemon:
    """Running, whatever the last test has left."""
    daemon = served[1]
    if not daemon.running:
        daemon.start()
    return daemon


@pytest.fixture(scope="module")
def started(served: tuple[Site, Daemon], dovecot_place: Place) -> Iterator[Postfix]:
    with dovecot_place.started() as postfix:
        yield postfix


@pytest.fixture
def postfix(daemon: Daemon, started: Postfix) -> Postfix:
    """With alice's login in the daemon's cache, which an outage must not be answered from."""
    for _ in range(2):
        assert login(started, RIGHT).says("235 ")
    return started


@pytest.fixture
def conversations(postfix: Postfix) -> Iterator[list[Conversation]]:
    """Sessions of clients who had connected before the outage, each with an smtpd of its own that has a connection to the daemon."""
    with ExitStack() as stack:
        opened = [stack.enter_context(smtp.connected(postfix.ports["bare"])) for _ in range(4)]
        for conversation in opened:
            assert conversation.say(f"AUTH PLAIN {plain(ALICE, WRONG)}").startswith("535 "), conversation.text
        yield opened


def login(postfix: Postfix, password: str) -> Dialogue:
    """By a client who comes now."""
    return postfix.login(ALICE, password, service="submission")


def log_in(conversation: Conversation, password: str, mechanism: str) -> str:
    """The reply at the end, or to the first line that is no challenge."""
    if mechanism == "PLAIN":
        return conversation.say(f"AUTH PLAIN {plain(ALICE, password)}")
    for line in ("AUTH LOGIN", encoded(ALICE), encoded(password)):
        if not (reply := conversation.say(line)).startswith("334 "):
            break
    return reply


def assert_outage(conversations: list[Conversation]) -> None:
    """454 to right and wrong, by PLAIN and by LOGIN, all at once."""
    logins = [(password, mechanism) for password in (RIGHT, WRONG) for mechanism in ("PLAIN", "LOGIN")]
    with ThreadPoolExecutor() as pool:
        replies = list(pool.map(lambda conversation, login: log_in(conversation, *login), conversations, logins))
    for reply in replies:
        assert reply.startswith("454 4.7.0 Temporary authentication failure: "), replies


def assert_mended(postfix: Postfix, conversations: list[Conversation]) -> None:
    """For those who were connected all the while, and for those who come now."""
    for conversation in conversations[:2]:
        assert log_in(conversation, WRONG, "LOGIN").startswith("535 5.7.8 "), conversation.text
        assert log_in(conversation, RIGHT, "PLAIN").startswith("235 2.7.0 "), conversation.text
    for conversation in conversations[2:]:
        assert log_in(conversation, RIGHT, "LOGIN").startswith("235 2.7.0 "), conversation.text
    assert login(postfix, RIGHT).says("235 ")
    assert login(postfix, WRONG).says("535 ")


def test_c6_e4_dovecot_store_moved_away_is_454_and_back_is_235(
    daemon: Daemon, site: Site, postfix: Postfix, conversations: list[Conversation]
) -> None:
    with store_moved_away(site):
        assert_outage(conversations)
        for mechanism in ("PLAIN", "LOGIN"):
            daemon.wait_for_line("unavailable", f"user={ALICE}", f"address={LOCAL}", f"mechanism={mechanism}", count=2)
        daemon.wait_for_line("restore")
        dialogue = login(postfix, RIGHT)
        assert dialogue.says("454 4.7.0 "), dialogue.text
    assert_mended(postfix, conversations)


def test_c6_dovecot_store_overwritten_is_454_and_written_back_is_235(
    daemon: Daemon, site: Site, postfix: Postfix, conversations: list[Conversation]
) -> None:
    with store_overwritten(site):
        assert_outage(conversations)
    assert_mended(postfix, conversations)


def test_dovecot_daemon_killed_is_454_and_started_again_is_235(
    daemon: Daemon, dovecot_place: Place, postfix: Postfix, conversations: list[Conversation]
) -> None:
    daemon.kill()
    assert dovecot_place.socket.is_socket(), "a killed daemon leaves its socket behind"
    assert_outage(conversations)
    daemon.start()
    assert_mended(postfix, conversations)


def test_dovecot_daemon_stopped_is_454_and_started_again_is_235(
    daemon: Daemon, postfix: Postfix, conversations: list[Conversation]
) -> None:
    daemon.stop()
    assert_outage(conversations)
    daemon.start()
    assert_mended(postfix, conversations)


def test_dovecot_daemon_restarted_is_noticed_by_no_client(daemon: Daemon, postfix: Postfix, conversations: list[Conversation]) -> None:
    """Postfix finds its connection closed, and sends its AUTH again over a new one."""
    daemon.restart()
    assert_mended(postfix, conversations)


@pytest.mark.parametrize("end", [methodcaller("kill"), methodcaller("stop")], ids=["killed", "stopped"])
def test_dovecot_client_that_comes_while_nobody_answers_is_told_no_535_and_logs_in_later(
    daemon: Daemon, postfix: Postfix, end: Callable[[Daemon], None]
) -> None:
    """A new smtpd that learns of no mechanism ends at once, and its client is cut off: it tries again later, as with 454."""
    end(daemon)
    for _ in range(2):
        dialogue = login(postfix, RIGHT)
        assert dialogue.code != 0
        assert not dialogue.says("5"), dialogue.text
    daemon.start()
    until(lambda: login(postfix, RIGHT).says("235 "), "master starts smtpd again, and alice logs in")


def test_dovecot_port_25_without_logins_takes_our_own_domains_mail_while_nobody_answers(daemon: Daemon, postfix: Postfix) -> None:
    daemon.kill()
    assert postfix.swaks("-tls", "--body", "from afar").says("250 2.0.0 Ok: queued")
    daemon.start()


def test_dovecot_daemon_frozen_is_454_by_postfix_s_own_limit_and_thawed_is_235(
    daemon: Daemon, postfix: Postfix, conversations: list[Conversation]
) -> None:
    """Both processes stand still: connections and requests are taken by the kernel, and nobody ever answers. Postfix waits 10 s."""
    with frozen(daemon.pid, daemon.front):
        assert_outage(conversations)
    assert_mended(postfix, conversations)
