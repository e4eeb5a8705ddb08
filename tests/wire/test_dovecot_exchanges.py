"""Whole conversations with the clients that matter, Postfix's as it was recorded: in one piece, byte by byte, and cut at every point."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

import pytest

from saslauthd_py.identity import Identity, split
from saslauthd_py.secret import Secret
from saslauthd_py.wire.dovecot import (
    Auth,
    Cancel,
    Completed,
    Connection,
    Hello,
    MailClient,
    Refused,
    Request,
    Response,
    ok,
    span,
)

OFFERED = frozenset({"PLAIN", "LOGIN", "SCRAM-SHA-256"})
ACCOUNTS = {b"alice@example.test": b"pw1"}
SERVER_FIRST = b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096"
SERVER_FINAL = b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ="


class Server:
    """Answers each event at once: PLAIN and LOGIN from ACCOUNTS, SCRAM with the same two messages for everybody."""

    def __init__(self) -> None:
        self.connection = Connection(OFFERED)
        self.said = b""
        self._names: dict[Request, bytes] = {}
        self._steps: dict[Request, str] = {}

    def hear(self, data: bytes) -> None:
        self.connection.feed(data)
        while (event := self.connection.next_event()) is not None:
            match event:
                case Auth():
                    self._steps[event.request] = event.mechanism
                    self.said += self._begin(event)
                case Response(request, message):
                    self.said += self._go_on(request, message.reveal())
                case Refused() | Completed():
                    self.said += event.reply

    def _begin(self, auth: Auth) -> bytes:
        challenges = {"PLAIN": b"", "LOGIN": b"Username:", "SCRAM-SHA-256": b""}
        if auth.initial is None:
            return self.connection.challenge(auth.request, challenges[auth.mechanism])
        return self._go_on(auth.request, auth.initial.reveal())

    def _go_on(self, request: Request, message: bytes) -> bytes:
        match self._steps[request]:
            case "PLAIN":
                _, name, secret = message.split(b"\0") if message else (b"", b"nobody", b"")
                return self._decide(request, name, secret)
            case "LOGIN":
                self._names[request] = message
                self._steps[request] = "password"
                return self.connection.challenge(request, b"Password:")
            case "password":
                return self._decide(request, self._names.pop(request), message)
            case "SCRAM-SHA-256":
                self._steps[request] = "proof"
                return self.connection.challenge(request, SERVER_FIRST)
        return self.connection.ok(request, Identity("user"), SERVER_FINAL)

    def _decide(self, request: Request, name: bytes, secret: bytes) -> bytes:
        who = split(name.decode())
        if ACCOUNTS.get(name) == secret:
            return self.connection.ok(request, who)
        return self.connection.fail(request, user=who)


@dataclass(frozen=True)
class Dialogue:
    """What a client sends, line by line, and what it gets for each: a line as often as not is answered by nothing."""

    turns: tuple[tuple[bytes, bytes], ...]

    @property
    def heard(self) -> bytes:
        return b"".join(heard for heard, _ in self.turns)

    @property
    def said(self) -> bytes:
        return b"".join(said for _, said in self.turns)


NO = b"\treason=invalid user name or password\n"
POSTFIX_HELLO = (b"VERSION\t1\t0\nCPID\t2804\n", b"")
POSTFIX_ASKS = b"service=smtp\tnologin\tlip=127.0.0.1\trip=127.0.0.1\tsecured"

RECORDED = Dialogue(
    (
        POSTFIX_HELLO,
        (b"AUTH\t1\tPLAIN\t" + POSTFIX_ASKS + b"\tresp=AGFsaWNlQGV4YW1wbGUudGVzdABwdzE=\n", b"OK\t1\tuser=alice@example.test\n"),
        (b"AUTH\t2\tLOGIN\t" + POSTFIX_ASKS + b"\n", b"CONT\t2\tVXNlcm5hbWU6\n"),
        (b"CONT\t2\tYWxpY2VAZXhhbXBsZS50ZXN0\n", b"CONT\t2\tUGFzc3dvcmQ6\n"),
        (b"CONT\t2\tcHcx\n", b"OK\t2\tuser=alice@example.test\n"),
        (b"AUTH\t3\tPLAIN\t" + POSTFIX_ASKS + b"\tresp=AGFsaWNlQGV4YW1wbGUudGVzdABwdzF4\n", b"FAIL\t3\tuser=alice@example.test" + NO),
        (b"AUTH\t4\tLOGIN\t" + POSTFIX_ASKS + b"\n", b"CONT\t4\tVXNlcm5hbWU6\n"),
        (b"CONT\t4\tYWxpY2VAZXhhbXBsZS50ZXN0\n", b"CONT\t4\tUGFzc3dvcmQ6\n"),
        (b"CONT\t4\tcHcxeA==\n", b"FAIL\t4\tuser=alice@example.test" + NO),
        (b"AUTH\t5\tPLAIN\t" + POSTFIX_ASKS + b"\tresp=AG5vc3VjaEBleGFtcGxlLnRlc3QAcHcx\n", b"FAIL\t5\tuser=nosuch@example.test" + NO),
        (b"AUTH\t6\tPLAIN\t" + POSTFIX_ASKS + b"\tresp=AGFsaWNlQGV4YW1wbGUudGVzdABwdzE=\n", b"OK\t6\tuser=alice@example.test\n"),
    )
)
"""A real Postfix, and Dovecot's answers to it; ours have a reason in addition."""

POSTFIX_ABORT = Dialogue(
    (
        POSTFIX_HELLO,
        (b"AUTH\t1\tlogin\t" + POSTFIX_ASKS + b"\n", b"CONT\t1\tVXNlcm5hbWU6\n"),
        (b"AUTH\t2\tplain\t" + POSTFIX_ASKS + b"\n", b"CONT\t2\t\n"),
        (b"CONT\t2\tAGFsaWNlQGV4YW1wbGUudGVzdABwdzE=\n", b"OK\t2\tuser=alice@example.test\n"),
        (b"AUTH\t3\tPLAIN\t" + POSTFIX_ASKS + b"\tresp==\n", b"FAIL\t3\tuser=nobody" + NO),
    )
)
"""The user sent `*` to the first challenge, which Postfix keeps to itself; then `AUTH PLAIN`, and `AUTH PLAIN =`."""

EXIM = Dialogue(
    (
        (b"VERSION\t1\t0\n", b""),
        (b"CPID\t77\nAUTH\t1\tPLAIN\tservice=smtp\tsecured\trip=192.0.2.1\tlip=192.0.2.9\tnologin\tresp=\n", b"CONT\t1\t\n"),
        (b"CONT\t1\tAGFsaWNlQGV4YW1wbGUudGVzdABwdzE=\n", b"OK\t1\tuser=alice@example.test\n"),
    )
)
SCRAM = (
    (b"AUTH\t1\tSCRAM-SHA-256\tservice=smtp\tresp=biws\n", b"CONT\t1\t" + base64.b64encode(SERVER_FIRST) + b"\n"),
    (b"CONT\t1\tYz1iaXdz\n", b"CONT\t1\t" + base64.b64encode(SERVER_FINAL) + b"\n"),
    (b"CONT\t1\t\n", b"OK\t1\tuser=user\n"),
)
SCRAM_OVER_POSTFIX = Dialogue((POSTFIX_HELLO, *SCRAM))
DOVEADM = Dialogue(
    (
        (b"VERSION\t1\t4\nCPID\t9\n", b""),
        (b"AUTH\t1\tSCRAM-SHA-256\tprotocol=smtp\tfinal-resp-ok\tsecured=tls\tsession=a+b\tresp=biws\n", SCRAM[0][1]),
        (b"CONT\t1\tYz1iaXdz\n", b"OK\t1\tuser=user\tresp=" + base64.b64encode(SERVER_FINAL) + b"\n"),
        (b"AUTH\t2\tPLAIN\tservice=imap\tresp=\n", b"FAIL\t2\tuser=nobody" + NO),
        (b"AUTH\t3\tLOGIN\tservice=imap\n", b"CONT\t3\tVXNlcm5hbWU6\n"),
        (b"CANCEL\t3\n", b""),
        (b"CANCEL\t3\n", b""),
        (b"CONT\t3\tcHcx\n", b"FAIL\t3\treason=authentication request timed out\n"),
    )
)
CHASQUID = Dialogue(
    (
        (b"VERSION\t1\t1\nCPID\t5\n", b""),
        (
            b"AUTH\t1\tPLAIN\tservice=smtp\tsecured\tno-penalty\tnologin\tresp=YWxpY2VAZXhhbXBsZS50ZXN0AGFsaWNlQGV4YW1wbGUudGVzdABwdzE=\n",
            b"OK\t1\tuser=alice@example.test\n",
        ),
    )
)
WITH_CR = Dialogue(
    (
        (b"VERSION\t1\t1\r\nCPID\t5\r\n", b""),
        (b"AUTH\t1\tPLAIN\tservice=smtp\tresp=AGFsaWNlQGV4YW1wbGUudGVzdABwdzE=\r\n", b"OK\t1\tuser=alice@example.test\n"),
    )
)
ONE_NUMBER_AGAIN_AND_AGAIN = Dialogue(
    (
        *CHASQUID.turns,
        *(CHASQUID.turns[1:] * 2),
        (b"AUTH\t1\tX\tservice=x\n", b"FAIL\t1\treason=unsupported authentication mechanism\n"),
    )
)
DIALOGUES = {
    "postfix-recorded": RECORDED,
    "postfix-abort": POSTFIX_ABORT,
    "exim": EXIM,
    "scram-over-postfix": SCRAM_OVER_POSTFIX,
    "doveadm": DOVEADM,
    "chasquid": CHASQUID,
    "carriage-returns": WITH_CR,
    "number-reused": ONE_NUMBER_AGAIN_AND_AGAIN,
}
every_dialogue = pytest.mark.parametrize("dialogue", DIALOGUES.values(), ids=DIALOGUES)


def heard(pieces: Iterable[bytes]) -> Server:
    server = Server()
    for piece in pieces:
        server.hear(piece)
    return server


@every_dialogue
def test_dialogue_goes_turn_by_turn(dialogue: Dialogue) -> None:
    server = Server()
    for line, answer in dialogue.turns:
        before = len(server.said)
        server.hear(line)
        assert server.said[before:] == answer
    assert server.connection.at_line


@every_dialogue
def test_dialogue_in_one_piece(dialogue: Dialogue) -> None:
    assert heard([dialogue.heard]).said == dialogue.said


@every_dialogue
def test_dialogue_byte_by_byte(dialogue: Dialogue) -> None:
    assert heard(bytes([byte]) for byte in dialogue.heard).said == dialogue.said


@every_dialogue
def test_dialogue_cut_at_every_point(dialogue: Dialogue) -> None:
    for cut in range(len(dialogue.heard)):
        server = heard([dialogue.heard[:cut]])
        assert dialogue.said.startswith(server.said)
        assert server.connection.at_line is (_greeted(dialogue.heard[:cut]) and dialogue.heard[:cut].endswith(b"\n"))
        server.hear(dialogue.heard[cut:])
        assert server.said == dialogue.said


def _greeted(heard: bytes) -> bool:
    return b"\n" in heard.partition(b"\nCPID")[2]


@every_dialogue
def test_what_the_loop_answers_by_itself_is_what_the_connection_would_answer(dialogue: Dialogue) -> None:
    server, by_the_loop = Server(), 0
    known = {line.rstrip()[6:] for line, answer in dialogue.turns if answer.startswith(b"OK") and line.startswith(b"AUTH\t")}
    data, at = dialogue.heard, 0
    while at < len(data):
        first, end = span(data, at) if server.connection.at_line else (0, 0)
        number = data[at + 5 : first]
        if end and server.connection.is_free(number) and data[first:end] in known:
            server.said += ok(number, b"alice@example.test")
            by_the_loop += 1
        else:
            end = data.index(b"\n", at)
            server.hear(data[at : end + 1])
        at = end + 1
    assert server.said == dialogue.said
    assert bool(by_the_loop) is bool(known - {WITH_CR.turns[1][0].rstrip()[6:]})


def test_auth_says_all_that_its_line_says() -> None:
    line = (
        b"AUTH\t9\tplain\tprotocol=imap\tsecured=tls\trip=2001:db8::1\trport=4711\tlip=::1\tsession=s\x01t1\tvalid-client-cert\t"
        b"cert_username=alice\tno-penalty\tfuture=x\tfinal-resp-ok\tresp=AGEAYg=="
    )
    connection = greeted(1)
    connection.feed(line + b"\n")
    auth = connection.next_event()
    assert isinstance(auth, Auth)
    assert (auth.request.number, auth.request.final_resp_ok) == (9, True)
    assert (auth.mechanism, auth.service, auth.initial) == ("PLAIN", b"imap", Secret(b"\0a\0b"))
    assert auth.client == MailClient(ip_address("2001:db8::1"), True, True, b"alice", b"s\t1")
    first, end = span(line + b"\n")
    assert auth.span == Secret(line[first:end]), "what the loop looks up is what was remembered"
    assert connection.owed == (auth.request,)


def test_auth_says_nothing_that_its_line_does_not_say() -> None:
    auth = asked(b"AUTH\t9\tLOGIN\tservice=smtp\trip=\tlip=\tresp\tsecure\n")
    assert (auth.service, auth.initial, auth.client, auth.request.final_resp_ok) == (b"smtp", None, MailClient(), False)


@pytest.mark.parametrize("address", [b"", b"unknown", b"192.0.2", b"fe80::1%eth0", b"192.0.2.1;25", "\u0661.1.1.1".encode(), b"\x010"])
def test_d10_address_that_is_none_is_absent(address: bytes) -> None:
    assert asked(b"AUTH\t9\tLOGIN\tservice=smtp\trip=" + address + b"\n").client.address is None


def test_span_of_an_escaped_command_begins_behind_the_number_too() -> None:
    assert asked(b"A\x01UTH\t\x015\tLOGIN\tservice=smtp\n").span == Secret(b"\tLOGIN\tservice=smtp")


@pytest.mark.parametrize(
    ("minor", "resp", "initial"),
    [
        (0, b"", None),
        (1, b"", None),
        (0, b"\tresp=", None),
        (1, b"\tresp=", None),
        (2, b"", None),
        (2, b"\tresp=", b""),
        (9, b"\tresp=", b""),
        (0, b"\tresp==", b""),
        (1, b"\tresp==", b""),
        (2, b"\tresp==", b""),
        (0, b"\tresp=AA==", b"\0"),
        (2, b"\tresp=AA==", b"\0"),
    ],
)
def test_empty_resp_is_an_initial_response_from_1_2_on_only(minor: int, resp: bytes, initial: bytes | None) -> None:
    connection = greeted(minor)
    connection.feed(b"AUTH\t1\tPLAIN\tservice=smtp" + resp + b"\n")
    auth = connection.next_event()
    assert isinstance(auth, Auth)
    assert auth.initial == (None if initial is None else Secret(initial))


def test_hello_names_version_and_process() -> None:
    connection = Connection(OFFERED)
    assert (connection.minor, connection.missing) == (-1, "VERSION")
    connection.feed(b"VERSION\t1\t1\n")
    assert connection.next_event() is None
    assert (connection.minor, connection.missing, connection.at_line) == (1, "CPID", False)
    connection.feed(b"CPID\tsome text\n")
    assert connection.next_event() == Hello(1, b"some text")
    assert (connection.missing, connection.at_line) == ("", True)


def test_cancel_ends_a_request_that_waits_for_us_or_for_its_client() -> None:
    connection = greeted(1)
    connection.feed(b"AUTH\t1\tLOGIN\tservice=x\nAUTH\t2\tLOGIN\tservice=x\nCANCEL\t1\nCANCEL\t2\n")
    one, two = connection.next_event(), connection.next_event()
    assert isinstance(one, Auth)
    assert isinstance(two, Auth)
    connection.challenge(two.request, b"Username:")
    assert [connection.next_event(), connection.next_event()] == [Cancel(one.request), Cancel(two.request)]
    assert connection.owed == connection.awaited == ()


def greeted(minor: int) -> Connection:
    connection = Connection(OFFERED)
    connection.feed(b"VERSION\t1\t%d\nCPID\t1\n" % minor)
    assert connection.next_event() == Hello(minor, b"1")
    return connection


def asked(line: bytes) -> Auth:
    connection = greeted(2)
    connection.feed(line)
    auth = connection.next_event()
    assert isinstance(auth, Auth)
    return auth
