"""What one request does wrong is that request's alone: the daemon's socket with others in flight on the same connection.

Undecodable base64 is in tests/advisories: it is a fault that another server had.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from saslauthd_py.wire.dovecot import MAX_REQUESTS
from tests.interop import dovecot
from tests.interop.daemon import new_site
from tests.interop.dovecot import ASKED, Bystanders, Client, plain

ALICE, UNCACHED = "alice@example.test", "bob@example.test"
RIGHT = b"PLAIN\t%b\tresp=%b" % (ASKED, plain(ALICE, "pw1"))
ACCEPTED = b"user=" + ALICE.encode()


@pytest.fixture(scope="module")
def path(machine: Path) -> Iterator[Path]:
    with new_site(machine) as site:
        site.configure([dovecot.listener(site.mux)])
        site.add(ALICE, "pw1")
        site.add(UNCACHED, "pw1")
        with site.serving():
            yield site.mux


@pytest.fixture
def client(path: Path) -> Iterator[Client]:
    with dovecot.greeted(path) as client:
        yield client


def test_unexpected_cont_fails_that_request_alone(client: Client) -> None:
    """The second CONT comes with the first, whose password is then still being looked at: right or not, that is told to nobody."""
    others = Bystanders(client, ALICE, "pw1")
    for password in ("pw1", "pw1x"):
        assert client.ask(b"AUTH\t1\tPLAIN\t" + ASKED) == b"CONT\t1\t"
        response = b"CONT\t1\t" + plain(UNCACHED, password)
        assert others.beside(response, b"CONT\t1\t", answers=1) == [b"FAIL\t1\treason=unexpected continuation"]
    assert client.ask(b"AUTH\t1\t" + RIGHT) == b"OK\t1\t" + ACCEPTED
    others.finish()


def test_cont_for_a_number_that_nobody_has_fails_alone(client: Client) -> None:
    others = Bystanders(client, ALICE, "pw1")
    assert others.beside(b"CONT\t77\tAAAA") == [b"FAIL\t77\treason=authentication request timed out"]
    assert client.ask(b"AUTH\t77\t" + RIGHT) == b"OK\t77\t" + ACCEPTED
    others.finish()


def test_cont_after_the_final_reply_fails_alone(client: Client) -> None:
    others = Bystanders(client, ALICE, "pw1")
    assert client.ask(b"AUTH\t1\t" + RIGHT) == b"OK\t1\t" + ACCEPTED
    assert others.beside(b"CONT\t1\tAAAA") == [b"FAIL\t1\treason=authentication request timed out"]
    others.finish()


@pytest.mark.parametrize("mechanism", [b"CRAM-MD5", b"SCRAM-SHA-256-PLUS", b"EXTERNAL", b"PLAIN2", b"\xff\xfe", b"x" * 1000])
def test_unknown_mechanism_fails_that_request_alone(client: Client, mechanism: bytes) -> None:
    others = Bystanders(client, ALICE, "pw1")
    asked = b"AUTH\t1\t%b\t%b\tresp=AAAA" % (mechanism, ASKED)
    assert others.beside(asked) == [b"FAIL\t1\treason=unsupported authentication mechanism"]
    others.finish()


def test_257th_request_in_flight_fails_and_the_256_go_on(client: Client) -> None:
    others = Bystanders(client, ALICE, "pw1")
    more = range(1000, 1000 + MAX_REQUESTS - 3)
    client.send(b"".join(b"AUTH\t%d\tPLAIN\t%b\n" % (number, ASKED) for number in more))
    assert {client.line() for _ in more} == {b"CONT\t%d\t" % number for number in more}
    for number in (1, 2):
        answer = client.ask(b"AUTH\t%d\tLOGIN\t%b" % (number, ASKED))
        assert answer == b"FAIL\t%d\tcode=temp_fail\treason=temporary authentication failure, try again later" % number
    client.send(b"".join(b"CONT\t%d\t%b\n" % (number, plain(ALICE, "pw1")) for number in more))
    assert {client.line() for _ in more} == {b"OK\t%d\t%b" % (number, ACCEPTED) for number in more}
    assert client.ask(b"AUTH\t1\t" + RIGHT) == b"OK\t1\t" + ACCEPTED
    others.finish()


def test_cancelled_requests_leave_room_and_get_no_answer(client: Client) -> None:
    others = Bystanders(client, ALICE, "pw1")
    for _ in range(3):
        numbers = range(1000, 1000 + MAX_REQUESTS - 3)
        client.send(b"".join(b"AUTH\t%d\tLOGIN\t%b\n" % (number, ASKED) for number in numbers))
        assert {client.line().rpartition(b"\t")[0] for _ in numbers} == {b"CONT\t%d" % number for number in numbers}
        client.send(b"".join(b"CANCEL\t%d\n" % number for number in numbers))
    others.beside()
    others.finish()


def test_many_logins_in_one_write_are_each_answered_once(client: Client) -> None:
    """Right, wrong and no login at all, more bytes than the daemon reads at once."""
    wrong = b"PLAIN\t%b\tresp=%b" % (ASKED, plain(ALICE, "pw1x"))
    bad = b"PLAIN\t%b\tresp=!" % ASKED
    numbers = range(1, 3 * 60 + 1)
    client.send(b"".join(b"AUTH\t%d\t%b\n" % (number, (RIGHT, wrong, bad)[number % 3]) for number in numbers))
    answers = [client.line().split(b"\t")[:2] for _ in numbers]
    assert sorted(answers) == sorted([(b"OK", b"FAIL", b"FAIL")[number % 3], b"%d" % number] for number in numbers)
    assert client.ask(b"AUTH\t1\t" + RIGHT) == b"OK\t1\t" + ACCEPTED


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(b"AUTH\t0\t" + RIGHT, id="number 0"),
        pytest.param(b"AUTH\t101\t" + RIGHT, id="number in use"),
        pytest.param(b"AUTH\tone\t" + RIGHT, id="no number"),
        pytest.param(b"AUTH\t1\tPLAIN\tresp=AAAA", id="no service"),
        pytest.param(b"AUTH\t1\tPLAIN\tservice=smtp\tresp=AAAA\tsecured", id="a parameter after resp"),
        pytest.param(b"VERSION\t1\t0", id="a second VERSION"),
        pytest.param(b"USER\t1\talice\tservice=smtp", id="a command for another socket"),
        pytest.param(b"NOSUCH\t1", id="an unknown command"),
        pytest.param(b"CONT\t101", id="CONT without a message"),
        pytest.param(b"", id="an empty line"),
        pytest.param(b"AUTH\t1\tPLAIN\tservice=smtp\0", id="NUL"),
        pytest.param(b"AUTH\t1\tPLAIN\tservice=smtp\tx=" + b"x" * 16384, id="a line too long"),
    ],
)
def test_mail_server_that_does_not_speak_the_protocol_is_closed_and_the_next_one_served(path: Path, client: Client, broken: bytes) -> None:
    """No user can cause these: the program at the other end is broken, or no client of this protocol."""
    Bystanders(client, ALICE, "pw1")
    assert client.ask(broken) == b""
    with dovecot.greeted(path) as next_one:
        assert next_one.ask(b"AUTH\t1\t" + RIGHT) == b"OK\t1\t" + ACCEPTED
