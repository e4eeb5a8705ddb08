"""Mail clients log in through a real Postfix over TLS, set up with the files in conf/postfix, smtpd in its chroot and outside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.daemon import Daemon, new_site
from tests.interop.postfix import Postfix, listeners
from tests.interop.waiting import until

pytestmark = [pytest.mark.peer("postfix", "swaks", "openssl"), pytest.mark.root]

ALICE, BOB = "alice@example.test", "bob"
PASSWORDS = {ALICE: "pw1", BOB: "pw 2 ü"}


@pytest.fixture(scope="module")
def daemon(machine: Path, postfix: Postfix, chrooted_postfix: Postfix) -> Iterator[Daemon]:
    with new_site(machine) as site:
        site.configure([listeners(postfix.mux, chrooted_postfix.mux)])
        for name, password in PASSWORDS.items():
            site.add(name, password)
        with site.serving() as daemon:
            yield daemon


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("name", [ALICE, BOB])
def test_right_password_logs_in(daemon: Daemon, postfix: Postfix, name: str, mechanism: str) -> None:
    dialogue = postfix.login(name, PASSWORDS[name], mechanism)
    assert dialogue.code == 0
    assert dialogue.says("235 2.7.0 ")


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize(
    ("name", "password"),
    [
        pytest.param(ALICE, "pw1x", id="wrong"),
        pytest.param("nosuch@example.test", "pw1", id="unknown user"),
        pytest.param("alice@elsewhere.test", "pw1", id="wrong realm"),
        pytest.param("alice", "pw1", id="realm missing"),
        pytest.param("bob@example.test", PASSWORDS[BOB], id="realm too much"),
    ],
)
def test_wrong_login_is_535(daemon: Daemon, postfix: Postfix, name: str, password: str, mechanism: str) -> None:
    dialogue = postfix.login(name, password, mechanism)
    assert dialogue.code == 28
    assert dialogue.says("535 5.7.8 ")


@pytest.mark.parametrize("service", ["smtp", "submission", "submissions"])
def test_chrooted_smtpd_finds_the_socket_on_every_port(daemon: Daemon, chrooted_postfix: Postfix, service: str) -> None:
    assert chrooted_postfix.login(ALICE, "pw1", service=service).says("235 2.7.0 ")
    assert chrooted_postfix.login(ALICE, "pw2", service=service).says("535 5.7.8 ")


def test_old_microsoft_clients_find_auth_with_an_equals_sign(postfix: Postfix) -> None:
    dialogue = postfix.swaks("-tls", "--quit-after", "EHLO")
    assert dialogue.says("250-AUTH PLAIN LOGIN")
    assert dialogue.says("250-AUTH=PLAIN LOGIN")


@pytest.mark.parametrize("service", ["smtp", "submission"])
def test_no_auth_is_offered_without_tls(postfix: Postfix, service: str) -> None:
    dialogue = postfix.swaks("--quit-after", "EHLO", service=service)
    assert dialogue.says("250-STARTTLS")
    assert not dialogue.says("250-AUTH")
    assert postfix.swaks("-a", "PLAIN", "-au", ALICE, "-ap", "pw1", service=service).code == 28


@pytest.mark.parametrize("service", ["smtp", "submission", "submissions"])
def test_relaying_is_refused_before_login_and_granted_after(daemon: Daemon, postfix: Postfix, service: str) -> None:
    tls = [] if service == "submissions" else ["-tls"]
    before = postfix.swaks(*tls, "--to", "rcpt@elsewhere.test", service=service)
    assert before.code == 24
    assert before.says("554 5.7.1 ")
    after = postfix.swaks(*tls, "--to", "rcpt@elsewhere.test", "-a", "PLAIN", "-au", ALICE, "-ap", "pw1", service=service)
    assert after.code == 0
    assert after.says("250 2.0.0 Ok: queued")


def test_mail_is_delivered_with_its_authenticated_sender(daemon: Daemon, postfix: Postfix) -> None:
    sent = postfix.swaks("-tls", "--to", "rcpt@sink.test", "--body", "from alice", "-a", "LOGIN", "-au", ALICE, "-ap", "pw1")
    assert sent.says("250 2.0.0 Ok: queued")
    until(lambda: "from alice" in postfix.mailbox(), "the mail is delivered")
    assert f"(Authenticated sender: {ALICE})" in postfix.mailbox()


def test_both_logs_name_the_same_process(daemon: Daemon, postfix: Postfix) -> None:
    """The daemon is told no client address; the smtpd that asked is what leads to it (decision 17)."""
    assert postfix.login("traced@example.test", "wrong").says("535 ")
    daemon.wait_for_line("rejected", "user=traced@example.test", "peer=smtpd[")
    line = next(line for line in daemon.log() if "user=traced@example.test" in line)
    found = re.search(r"peer=(smtpd\[\d+\])", line)
    assert found is not None
    complaint = f"{found[1]}: warning: unknown[203.0.113.7]: SASL PLAIN authentication failed"
    until(lambda: complaint in postfix.log(), f"Postfix logs {complaint!r}")
