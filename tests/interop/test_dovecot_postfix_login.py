"""Mail clients log in through a real Postfix with smtpd_sasl_type = dovecot, chrooted, no Cyrus SASL anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from saslauthd_py.wire.dovecot import MAX_REQUESTS
from tests.interop import dovecot, smtp
from tests.interop.daemon import Daemon, new_site
from tests.interop.dovecot_postfix import Place, new_place
from tests.interop.postfix import OUTSIDE, Postfix
from tests.interop.relay import relaying
from tests.interop.smtp import encoded, plain
from tests.interop.waiting import until

pytestmark = [pytest.mark.peer("postfix", "swaks", "openssl"), pytest.mark.root]

ALICE, BOB, UMLAUT = "alice@example.test", "bob", "jürgen@example.test"
PASSWORDS = {ALICE: "pw1", BOB: "pw 2 ü", UMLAUT: "a passphrase of words " * 50}
TALKER = "talker@example.test"
LONG = "x" * 9000
REASON = "invalid user name or password"
RIGHT, WRONG = plain(ALICE, "pw1"), plain(ALICE, "pw1x")
PROMPTS = ("334 VXNlcm5hbWU6\r\n", "334 UGFzc3dvcmQ6\r\n")


@pytest.fixture(scope="module")
def direct(machine: Path) -> Path:
    """A second socket of the daemon, for what stands between it and Postfix."""
    return machine / "dovecot-direct"


@pytest.fixture(scope="module")
def daemon(machine: Path, dovecot_place: Place, direct: Path) -> Iterator[Daemon]:
    with new_site(machine) as site:
        site.configure([dovecot_place.listener, dovecot.listener(direct)])
        for name, password in {**PASSWORDS, TALKER: LONG}.items():
            site.add(name, password)
        with site.serving() as daemon:
            yield daemon


@pytest.fixture(scope="module")
def postfix(daemon: Daemon, dovecot_place: Place) -> Iterator[Postfix]:
    with dovecot_place.started() as running:
        yield running


def log_has(postfix: Postfix, text: str) -> None:
    until(lambda: text in postfix.log(), f"Postfix logs {text!r}")


def test_dovecot_postfix_offers_plain_and_login_and_nothing_before_tls(postfix: Postfix) -> None:
    assert postfix.swaks("-tls", "--quit-after", "EHLO", service="submission").says("250-AUTH PLAIN LOGIN")
    assert not postfix.swaks("--quit-after", "EHLO", service="submission").says("250-AUTH")


@pytest.mark.parametrize("service", ["submission", "submissions"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("name", PASSWORDS)
def test_dovecot_postfix_right_password_is_235(postfix: Postfix, name: str, mechanism: str, service: str) -> None:
    dialogue = postfix.login(name, PASSWORDS[name], mechanism, service)
    assert dialogue.code == 0, dialogue.text
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
def test_dovecot_postfix_wrong_login_is_535_with_one_reason_and_the_name_in_its_log(
    postfix: Postfix, name: str, password: str, mechanism: str
) -> None:
    dialogue = postfix.login(name, password, mechanism, "submission")
    assert dialogue.code == 28
    assert dialogue.says(f"535 5.7.8 Error: authentication failed: {REASON}"), dialogue.text
    log_has(postfix, f"[{OUTSIDE}]: SASL {mechanism} authentication failed: {REASON}, sasl_username={name}")


def test_dovecot_postfix_mail_is_delivered_with_its_authenticated_sender(postfix: Postfix) -> None:
    account = ["-a", "LOGIN", "-au", ALICE, "-ap", "pw1"]
    sent = postfix.swaks("-tls", "--to", "rcpt@sink.test", "--body", "from alice", *account, service="submission")
    assert sent.says("250 2.0.0 Ok: queued"), sent.text
    log_has(postfix, f"sasl_method=LOGIN, sasl_username={ALICE}")
    until(lambda: "from alice" in postfix.mailbox(), "the mail is delivered")
    assert f"(Authenticated sender: {ALICE})" in postfix.mailbox()


def test_dovecot_postfix_tells_the_client_s_address_and_mechanism_to_our_log(daemon: Daemon, postfix: Postfix) -> None:
    assert postfix.login("traced@example.test", "wrong", "LOGIN", "submission").says("535 ")
    daemon.wait_for_line("rejected", "user=traced@example.test", f"address={OUTSIDE}", "mechanism=LOGIN", "peer=smtpd[")


@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(["AUTH LOGIN"], id="before the name"),
        pytest.param(["AUTH LOGIN", encoded(ALICE)], id="before the password"),
        pytest.param(["AUTH PLAIN"], id="before the message"),
    ],
)
def test_dovecot_postfix_abort_and_a_new_try_on_the_same_connection(postfix: Postfix, begun: list[str]) -> None:
    """Postfix tells us nothing of a `*`: its next AUTH comes while the older one still waits for its client."""
    with smtp.connected(postfix.ports["single"]) as conversation:
        for _ in range(3):
            assert conversation.answer(*begun, "*").startswith("501 5.7.0 "), conversation.text
        assert conversation.say(f"AUTH PLAIN {WRONG}").startswith("535 5.7.8 "), conversation.text
        assert conversation.answer(*begun, "*").startswith("501 5.7.0 "), conversation.text
        assert conversation.answer("AUTH LOGIN", encoded(ALICE), encoded("pw1")).startswith("235 2.7.0 "), conversation.text


def test_dovecot_postfix_more_aborts_than_there_is_room_for_requests(postfix: Postfix) -> None:
    """Whatever was given up is over with the next AUTH, or the connection of this smtpd were full for good."""
    with smtp.connected(postfix.ports["single"]) as conversation:
        for _ in range(MAX_REQUESTS + 1):
            assert conversation.answer("AUTH LOGIN", "*").startswith("501 5.7.0 "), conversation.text[-200:]
        assert conversation.answer("AUTH LOGIN", encoded(ALICE), encoded("pw1")).startswith("235 2.7.0 "), conversation.text[-200:]


def test_dovecot_postfix_client_goes_away_amid_an_exchange_and_the_next_one_logs_in(postfix: Postfix) -> None:
    with smtp.connected(postfix.ports["single"]) as conversation:
        assert conversation.answer("AUTH LOGIN", encoded("nosuch@example.test"), "*").startswith("501 ")
        assert conversation.say("AUTH LOGIN").startswith("334 ")
    with smtp.connected(postfix.ports["single"]) as conversation:
        assert conversation.say(f"AUTH PLAIN {RIGHT}").startswith("235 "), conversation.text


def test_dovecot_postfix_several_wrong_passwords_then_the_right_one_in_one_session(postfix: Postfix) -> None:
    with smtp.connected(postfix.ports["bare"]) as conversation:
        for number in range(3):
            assert conversation.say(f"AUTH PLAIN {plain(ALICE, str(number))}").startswith("535 5.7.8 "), conversation.text
        assert conversation.say(f"AUTH PLAIN {RIGHT}").startswith("235 "), conversation.text


@pytest.mark.parametrize("typed", ["plain", "Plain", "pLaIn"])
def test_dovecot_postfix_hands_on_the_mechanism_as_it_was_typed(postfix: Postfix, typed: str) -> None:
    with smtp.connected(postfix.ports["bare"]) as conversation:
        assert conversation.say(f"auth {typed} {WRONG}").startswith("535 5.7.8 "), conversation.text
        assert conversation.say(f"auth {typed} {RIGHT}").startswith("235 "), conversation.text


def test_dovecot_postfix_initial_response_of_login_is_the_name(postfix: Postfix) -> None:
    with smtp.connected(postfix.ports["bare"]) as conversation:
        assert conversation.say(f"AUTH LOGIN {encoded(ALICE)}") == PROMPTS[1], conversation.text
        assert conversation.say(encoded("pw1")).startswith("235 "), conversation.text


def test_dovecot_postfix_without_initial_response_is_prompted(postfix: Postfix) -> None:
    with smtp.connected(postfix.ports["bare"]) as conversation:
        assert conversation.say("AUTH PLAIN") == "334 \r\n", conversation.text
        assert conversation.say(WRONG).startswith("535 "), conversation.text
        assert conversation.say("AUTH login") == PROMPTS[0], conversation.text
        assert conversation.say(encoded(ALICE)) == PROMPTS[1], conversation.text
        assert conversation.say(encoded("pw1")).startswith("235 "), conversation.text


def test_dovecot_postfix_empty_initial_response_is_no_login_and_harms_nothing(postfix: Postfix) -> None:
    """`=` (RFC 4954 section 4): to PLAIN a message without a name, to LOGIN nothing yet, as Dovecot has it."""
    with smtp.connected(postfix.ports["bare"]) as conversation:
        assert conversation.say("AUTH PLAIN =").startswith("535 5.7.8 "), conversation.text
        assert conversation.say("AUTH LOGIN =") == PROMPTS[0], conversation.text
        assert conversation.answer(encoded(ALICE), encoded("wrong")).startswith("535 5.7.8 "), conversation.text
        assert conversation.say(f"AUTH PLAIN {RIGHT}").startswith("235 "), conversation.text


def test_dovecot_postfix_longest_response_that_it_takes_is_a_password(postfix: Postfix) -> None:
    """Postfix stops a little under 12288 bytes of base64 (RFC 4954 section 4), ours are 12000 and some."""
    for mechanism in ("LOGIN", "PLAIN"):
        with smtp.connected(postfix.ports["bare"]) as conversation:
            for password, reply in ((LONG[:-1], "535 5.7.8 "), (LONG + "x", "535 5.7.8 "), (LONG, "235 2.7.0 ")):
                lines = [encoded(TALKER), encoded(password)] if mechanism == "LOGIN" else [plain(TALKER, password)]
                assert conversation.answer(f"AUTH {mechanism}", *lines).startswith(reply), conversation.text


@pytest.mark.parametrize("undecodable", ["abc", "ab=c", "====", f"{RIGHT}A", f"{RIGHT[:-1]}=="])
def test_dovecot_postfix_undecodable_base64_is_535_and_harms_nothing(postfix: Postfix, undecodable: str) -> None:
    """Postfix looks at the alphabet and not at the padding."""
    with smtp.connected(postfix.ports["bare"]) as conversation:
        assert conversation.say(f"AUTH PLAIN {undecodable}").startswith("535 5.7.8 "), conversation.text
        assert conversation.answer("AUTH LOGIN", encoded(ALICE), undecodable).startswith("535 5.7.8 "), conversation.text
        assert conversation.say(f"AUTH PLAIN {RIGHT}").startswith("235 "), conversation.text


@pytest.mark.parametrize("mechanism", ["CRAM-MD5", "SCRAM-SHA-256", "EXTERNAL", "NOSUCH"])
def test_dovecot_postfix_mechanism_that_is_not_offered_is_refused_and_harms_nothing(postfix: Postfix, mechanism: str) -> None:
    with smtp.connected(postfix.ports["bare"]) as conversation:
        assert conversation.say(f"AUTH {mechanism}").startswith("535 5.7.8 "), conversation.text
        assert conversation.say(f"AUTH PLAIN {RIGHT}").startswith("235 "), conversation.text


def test_dovecot_postfix_keeps_one_connection_for_the_logins_of_many_sessions(daemon: Daemon, direct: Path, machine: Path) -> None:
    """Seen from between the two: one connection, one handshake, and AUTH with rising numbers."""
    with new_place(machine) as place, relaying(place.socket, direct, "postfix") as relay, place.started() as postfix:
        for message, reply in ((RIGHT, "235 "), (WRONG, "535 "), (RIGHT, "235 ")):
            with smtp.connected(postfix.ports["single"]) as conversation:
                assert conversation.say(f"AUTH PLAIN {message}").startswith(reply), conversation.text
        lines = [line for connection in relay.connections for line in connection]
        assert len(relay.connections) == 1
    assert [re.sub(rb"\d+$", b"N", line.rstrip(b"\n")) for line in lines[:2]] == [b"VERSION\t1\tN", b"CPID\tN"]
    assert [line.split(b"\t")[:3] for line in lines[2:]] == [[b"AUTH", b"%d" % number, b"PLAIN"] for number in (1, 2, 3)]
