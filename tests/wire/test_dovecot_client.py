"""The client's side of Dovecot's protocol: Postfix's recorded dialogue, cut at every point, and against our own server's side."""

from __future__ import annotations

from ipaddress import ip_address
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.identity import Identity
from saslauthd_py.secret import Secret
from saslauthd_py.wire.dovecot import (
    MAX_LINE,
    Auth,
    Code,
    Completed,
    Connection,
    Failure,
    Hello,
    MailClient,
    OutOfTurn,
    Response,
    hello,
)
from saslauthd_py.wire.dovecot.client import Accepted, Challenge, Client, Fault, Offer, Rejected, ServerEvent

GREETING = b"VERSION\t1\t0\nCPID\t2804\n"
HELLO = (
    b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nSPID\t2815\nCUID\t1\nCOOKIE\tcbdc59a50b7682ad70b8079a1b8cb240\nDONE\n"
)
LOCAL = MailClient(ip_address("127.0.0.1"), secured=True)
ASKED = b"service=smtp\tnologin\tlip=\trip=127.0.0.1\tsecured"
"""As it was recorded, but for the address of the mail server, which is not known here."""

PLAIN = b"\0alice@example.test\0pw1"
PLAIN_LINE = b"AUTH\t1\tPLAIN\t" + ASKED + b"\tresp=AGFsaWNlQGV4YW1wbGUudGVzdABwdzE=\n"
LOGIN_LINES = b"AUTH\t2\tLOGIN\t" + ASKED + b"\nCONT\t2\tYWxpY2VAZXhhbXBsZS50ZXN0\nCONT\t2\tcHcx\n"
ANSWERS = (
    b"OK\t1\tuser=alice@example.test\n",
    b"CONT\t2\tVXNlcm5hbWU6\n",
    b"CONT\t2\tUGFzc3dvcmQ6\n",
    b"FAIL\t2\tuser=alice@example.test\n",
)
SAYS = [
    Offer(("PLAIN", "LOGIN")),
    Accepted("alice@example.test"),
    Challenge(b"Username:"),
    Challenge(b"Password:"),
    Rejected("", user="alice@example.test"),
]


class Postfix:
    """Says what Postfix said in the recorded dialogue, as far as the server has got."""

    def __init__(self) -> None:
        self.client = Client(2804)
        self.said = self.client.greeting
        self.heard: list[ServerEvent] = []

    def hear(self, data: bytes) -> None:
        self.client.feed(data)
        while (event := self.client.next_event()) is not None:
            self.heard.append(event)
            match event:
                case Offer():
                    self.said += self.client.auth("PLAIN", b"smtp", LOCAL, PLAIN)
                case Accepted():
                    self.said += self.client.auth("LOGIN", b"smtp", LOCAL)
                case Challenge(b"Username:"):
                    self.said += self.client.respond(b"alice@example.test")
                case Challenge():
                    self.said += self.client.respond(b"pw1")


SERVER = HELLO + b"".join(ANSWERS)


@pytest.mark.parametrize("cut", range(len(SERVER) + 1))
def test_the_recorded_dialogue_cut_at_every_point(cut: int) -> None:
    postfix = Postfix()
    postfix.hear(SERVER[:cut])
    postfix.hear(SERVER[cut:])
    assert (postfix.heard, postfix.said) == (SAYS, GREETING + PLAIN_LINE + LOGIN_LINES)


def test_the_recorded_dialogue_byte_by_byte() -> None:
    postfix = Postfix()
    for at in range(len(SERVER)):
        postfix.hear(SERVER[at : at + 1])
    assert (postfix.heard, postfix.said) == (SAYS, GREETING + PLAIN_LINE + LOGIN_LINES)


def greeted(rest: bytes = b"") -> Client:
    client = Client(1)
    client.feed(HELLO + rest)
    assert client.next_event() == Offer(("PLAIN", "LOGIN"))
    return client


def answered(line: bytes) -> ServerEvent | None:
    """What the one request's answer means."""
    client = greeted()
    client.auth("PLAIN", b"smtp", LOCAL, PLAIN)
    client.feed(line)
    return client.next_event()


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (b"OK\t1\tuser=a\tresp=dj1h\n", Accepted("a", b"v=a")),
        (b"OK\t1\tuser=a\tresp=\n", Accepted("a", b"")),
        (b"OK\t1\tanonymous\tuser=j\xfcrgen\r\n", Accepted("j\\xfcrgen")),
        (b"OK\t1\tuser=a\1tb\n", Accepted("a\tb")),
        (b"FAIL\t1\n", Rejected("")),
        (b"FAIL\t1\tuser=a\tcode=temp_fail\treason=later\n", Rejected("later", "temp_fail", "a")),
        (b"FAIL\t1\ttemp\n", Rejected("", "temp_fail")),
        (b"FAIL\t1\tuser=a\tauthz\n", Rejected("", "authz_fail", "a")),
        (b"FAIL\t1\tuser_disabled\n", Rejected("", "user_disabled")),
        (b"CONT\t1\t\n", Challenge(b"")),
        (b"CONT\t1\n", Challenge(b"")),
        (b"CONT\t1\tcj0x\n", Challenge(b"r=1")),
        (b"OK\t1\n", Fault.NO_USER),
        (b"OK\t1\tuser=\n", Fault.NO_USER),
        (b"OK\t1\tuser=a\tresp=*\n", Fault.BAD_MESSAGE),
        (b"CONT\t1\t#\n", Fault.BAD_MESSAGE),
        (b"x" * (MAX_LINE + 1), Fault.LINE_TOO_LONG),
        (b"x" * (MAX_LINE + 1) + b"\n", Fault.LINE_TOO_LONG),
        (b"x" * MAX_LINE, None),
        (b"OK\t2\tuser=another\n", None),  # as Postfix: an answer to nothing that is asked
        (b"OK\n", None),
        (b"\n", None),
        (b"NEWS\t1\tuser=a\n", None),
    ],
)
def test_what_an_answer_means(line: bytes, event: ServerEvent | None) -> None:
    assert answered(line) == event


@pytest.mark.parametrize(
    ("hello", "event"),
    [
        (b"VERSION\t1\t1\nMECH\tplain\tplaintext\nDONE\n", Offer(("PLAIN",))),
        (b"VERSION\t1\nNEWS\tx\nMECH\nMECH\tPLAIN\nDONE\tx\n", Offer(("PLAIN",))),  # as Postfix: unknown lines are passed over
        (b"VERSION\t1\t4\r\nMECH\tPLAIN\r\nDONE\r\n", Offer(("PLAIN",))),
        (b"VERSION\t2\t0\n", Fault.OTHER_MAJOR),
        (b"VERSION\n", Fault.OTHER_MAJOR),
        (b"VERSION\t1\t2\nSPID\t1\n", Fault.MASTER),
        (b"VERSION\t1\t2\nDONE\n", Fault.NO_MECHANISM),
        (b"MECH\tPLAIN\n", Fault.NO_VERSION),
        (b"220 mx.example.org ESMTP\r\n", Fault.NO_VERSION),
        (b"\n", Fault.NO_VERSION),
        (b"\0\2OK", None),
        (b"x" * (MAX_LINE + 1), Fault.LINE_TOO_LONG),
    ],
)
def test_what_a_hello_means(hello: bytes, event: ServerEvent | None) -> None:
    client = Client(1)
    client.feed(hello)
    assert client.next_event() == event


def test_nothing_follows_a_fault() -> None:
    client = Client(1)
    client.feed(b"VERSION\t1\t2\nSPID\t1\n" + HELLO)
    assert client.next_event() is Fault.MASTER
    assert client.next_event() is None
    with pytest.raises(OutOfTurn):
        client.auth("PLAIN", b"smtp", LOCAL)


def test_an_empty_initial_response_is_smtp_s() -> None:
    line = greeted().auth("EXTERNAL", b"smtp", MailClient(certified=True, certificate_user=b"alice"), b"")
    assert line == b"AUTH\t1\tEXTERNAL\tservice=smtp\tnologin\tlip=\trip=\tvalid-client-cert\tcert_username=alice\tresp==\n"


def test_only_what_is_asked_for_is_said() -> None:
    client = Client(1)
    with pytest.raises(OutOfTurn):
        client.auth("PLAIN", b"smtp", LOCAL)
    client = greeted()
    with pytest.raises(OutOfTurn):
        client.respond(b"x")
    client.auth("LOGIN", b"smtp", LOCAL)
    with pytest.raises(OutOfTurn):
        client.auth("LOGIN", b"smtp", LOCAL)
    with pytest.raises(OutOfTurn):
        client.respond(b"x")
    client.feed(b"CONT\t1\t\nFAIL\t1\n")
    assert client.next_event() == Challenge(b"")
    assert client.next_event() == Rejected("")
    with pytest.raises(OutOfTurn):
        client.respond(b"too late")
    assert client.auth("LOGIN", b"smtp", LOCAL).startswith(b"AUTH\t2\t")


def test_a_line_too_long_for_the_server_is_not_written_and_nothing_has_happened() -> None:
    client = greeted(b"CONT\t1\t\n")
    with pytest.raises(OverflowError):
        client.auth("PLAIN", b"smtp", LOCAL, b"x" * MAX_LINE)
    client.auth("PLAIN", b"smtp", LOCAL)
    assert client.next_event() == Challenge(b"")
    with pytest.raises(OverflowError):
        client.respond(b"x" * MAX_LINE)
    assert client.respond(b"x") == b"CONT\t1\teA==\n"


def test_no_message_is_shown() -> None:
    assert "secret" not in repr(Challenge(b"secret")) + repr(Accepted("a", b"secret"))


BYTES = st.binary(max_size=40)
NAMES = st.binary(min_size=1, max_size=40).filter(lambda name: b"\0" not in name)


class Told(NamedTuple):
    """What both say in turn, and in pieces of how many bytes the server's lines arrive."""

    service: bytes
    user: bytes
    initial: bytes
    challenge: bytes
    response: bytes
    secured: bool
    piece: int


def events(client: Client, data: bytes, piece: int) -> list[ServerEvent]:
    found = []
    for at in range(0, len(data), piece):
        client.feed(data[at : at + piece])
        while (event := client.next_event()) is not None:
            found.append(event)
    return found


@given(st.builds(Told, NAMES, NAMES, BYTES, BYTES, BYTES, st.booleans(), st.integers(1, 60)))
def test_our_server_hears_what_our_client_says(told: Told) -> None:
    server, client = Connection({"EXTERNAL"}), Client(4711)
    who = MailClient(ip_address("2001:db8::1"), told.secured, certified=True, certificate_user=told.user)
    server.feed(client.greeting)
    assert server.next_event() == Hello(0, b"4711")
    assert events(client, hello(["EXTERNAL"], 1, 1, b"c" * 16), told.piece) == [Offer(("EXTERNAL",))]
    server.feed(client.auth("EXTERNAL", told.service, who, told.initial))
    auth = server.next_event()
    assert isinstance(auth, Auth)
    assert (auth.service, auth.client, auth.initial) == (told.service, who, Secret(told.initial))
    assert events(client, server.challenge(auth.request, told.challenge), told.piece) == [Challenge(told.challenge)]
    server.feed(client.respond(told.response))
    heard = server.next_event()
    assert isinstance(heard, Response)
    assert heard.message == Secret(told.response)
    assert events(client, server.ok(auth.request, Identity("a"), b"final"), told.piece) == [Challenge(b"final")]
    server.feed(client.respond(b""))
    completed = server.next_event()
    assert isinstance(completed, Completed)
    assert events(client, completed.reply, told.piece) == [Accepted("a")]
    server.feed(client.auth("EXTERNAL", b"smtp", who))
    again = server.next_event()
    assert isinstance(again, Auth)
    assert again.initial is None
    failed = server.fail(again.request, Failure("no", Code.TEMP_FAIL), Identity("a"))
    assert events(client, failed, told.piece) == [Rejected("no", "temp_fail", "a")]


@given(st.lists(st.binary(max_size=30)))
def test_any_bytes_give_events_and_no_exception(pieces: list[bytes]) -> None:
    client = greeted()
    client.auth("LOGIN", b"smtp", LOCAL)
    for piece in pieces:
        client.feed(piece)
        while client.next_event() is not None:
            pass


WORDS = [b"VERSION", b"MECH", b"SPID", b"DONE", b"CONT", b"OK", b"FAIL", b"\t", b"\n", b"1", b"2", b"user=a", b"resp=", b"PLAIN", b"\1t"]


@given(st.lists(st.sampled_from(WORDS)), st.integers(1, 20))
def test_the_cuts_of_what_comes_do_not_matter(words: list[bytes], piece: int) -> None:
    data = b"".join(words)
    assert events(Client(1), data, piece) == events(Client(1), data, max(len(data), 1))
