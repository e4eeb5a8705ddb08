"""A login of IMAP from the client's side: what is sent to which server, and what no server may make of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.secret import Secret
from saslauthd_py.wire.imap import Client, ImapFault, Response, Stream
from tests.wire.imap_peers import MESSAGE, NAME, SECRET, CutOff, Script, Talk, fault, login, script

OK = b"s1 OK Logged in\r\n"
PASSWORD = SECRET.reveal()


def greets(capabilities: bytes) -> tuple[bytes, bytes]:
    return b"", b"* OK [CAPABILITY IMAP4rev1 " + capabilities + b"] ready\r\n"


SCRIPTS = {
    "PLAIN at once": script(greets(b"SASL-IR AUTH=PLAIN"), (b"s1 AUTHENTICATE PLAIN " + MESSAGE + b"\r\n", OK)),
    "PLAIN after a challenge": script(
        greets(b"AUTH=PLAIN"), (b"s1 AUTHENTICATE PLAIN\r\n", b"+ \r\n"), (MESSAGE + b"\r\n", b"* CAPABILITY IMAP4rev1\r\n" + OK)
    ),
    "LOGIN, LITERAL+": script(greets(b"LITERAL+"), (b"s1 LOGIN {17+}\r\n" + NAME + b" {12+}\r\n" + PASSWORD + b"\r\n", OK)),
    "LOGIN, LITERAL-": script(greets(b"LITERAL-"), (b"s1 LOGIN {17+}\r\n" + NAME + b" {12+}\r\n" + PASSWORD + b"\r\n", OK)),
    "LOGIN, waiting": script(
        greets(b"ID"),
        (b"s1 LOGIN {17}\r\n", b"* 3 EXISTS\r\n+ go on\r\n"),
        (NAME + b" {12}\r\n", b"+\r\n"),
        (PASSWORD + b"\r\n", b"* OK [ALERT] the disk is nearly full\r\n" + OK),
    ),
    "capabilities that are asked for": script(
        (b"", b"* OK ready\r\n"),
        (b"s1 CAPABILITY\r\n", b"* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\ns1 OK done\r\n"),
        (b"s2 AUTHENTICATE PLAIN " + MESSAGE + b"\r\n", b"* LIST () {2}\r\na\n x\r\ns2 OK in\r\n"),
    ),
}
RIGHT = st.sampled_from(list(SCRIPTS.values()))


@pytest.mark.parametrize("way", SCRIPTS)
def test_login_is_sent_as_the_server_takes_it(way: str) -> None:
    assert login(SCRIPTS[way]).word == "OK"


@pytest.mark.parametrize("way", SCRIPTS)
def test_d9_it_is_known_whether_a_secret_was_sent(way: str) -> None:
    talk, turns = Talk(SCRIPTS[way]), iter(SCRIPTS[way].turns)
    talk.run(turns, talk.client.greeting())
    talk.run(turns, talk.client.capabilities())
    sending = talk.client.login(NAME, SECRET)
    sent = b""
    for answer in (None, *[Response(b"+", "")] * 2):
        sent += next(sending) if answer is None else sending.send(answer)
        shown = PASSWORD in sent or MESSAGE in sent
        assert talk.client.secret_sent is shown
        if shown:
            return
    raise AssertionError("it was never sent")


@given(RIGHT, st.integers(1, 7))
def test_pieces_in_which_a_server_s_words_come_are_no_matter(whole: Script, piece: int) -> None:
    assert login(whole, piece=piece) == login(whole)


@pytest.mark.parametrize("way", SCRIPTS)
def test_d8_server_that_is_cut_off_at_any_byte_has_said_nothing(way: str) -> None:
    for whole in range(SCRIPTS[way].said):
        with pytest.raises(CutOff):
            login(SCRIPTS[way], whole=whole)


def test_long_secret_waits_where_only_short_literals_need_not() -> None:
    long = b"x" * 4097
    way = script(
        greets(b"LITERAL-"),
        (b"s1 LOGIN {17+}\r\n" + NAME + b" {4097}\r\n", b"+ ok\r\n"),
        (long + b"\r\n", OK),
    )
    assert login(way, secret=Secret(long)).word == "OK"


@pytest.mark.parametrize(
    ("turns", "why"),
    [
        ([(b"", b"* BYE too many connections\r\n")], "ends the connection: BYE too many connections"),
        ([(b"", b"* PREAUTH welcome back\r\n")], "logged in already (PREAUTH)"),
        ([(b"", b"220 mail.example.org ESMTP\r\n")], "no IMAP: a command is answered with neither"),
        ([(b"", b"HTTP/1.1 400 Bad Request\r\n")], "no IMAP"),
        ([(b"", b"\x15\x03\x01\x00\x02\x02\x28")], "speaks TLS on this port"),
        ([(b"", b"\r\n")], "no IMAP"),
        ([(b"", b"* NO not now\r\n")], "greets with something else"),
        ([(b"", b"+ ready\r\n")], "greets with something else"),
        ([greets(b"LOGINDISABLED STARTTLS")], "takes no password (LOGINDISABLED, and no AUTH=PLAIN): it may want TLS"),
        ([(b"", b"* OK hi\r\n"), (b"s1 CAPABILITY\r\n", b"s1 NO [UNAVAILABLE] later\r\n")], "its capabilities: NO [UNAVAILABLE] later"),
        ([(b"", b"* OK hi\r\n"), (b"s1 CAPABILITY\r\n", b"s1 OK\r\n")], "does not tell its capabilities"),
        ([(b"", b"* OK hi\r\n"), (b"s1 CAPABILITY\r\n", b"* CAPABILITY IMAP4rev1\r\ns1 NO\r\n")], "does not tell its capabilities"),
        ([greets(b"AUTH=PLAIN"), (b"s1 AUTHENTICATE PLAIN\r\n", b"s1 NO no such mechanism\r\n")], "before a password was sent: NO no such"),
        ([greets(b"ID"), (b"s1 LOGIN {17}\r\n", b"s1 NO\r\n")], "refuses LOGIN before a password was sent"),
        ([greets(b"ID"), (b"s1 LOGIN {17}\r\n", b"+\r\n"), (NAME + b" {12}\r\n", b"s1 BAD\r\n")], "refuses LOGIN before"),
        ([SCRIPTS["PLAIN at once"].turns[0], (SCRIPTS["PLAIN at once"].turns[1][0], b"+ and now?\r\n")], "what it was not asked"),
        ([SCRIPTS["PLAIN at once"].turns[0], (SCRIPTS["PLAIN at once"].turns[1][0], b"s2 NO\r\n")], "what it was not asked"),
        ([SCRIPTS["PLAIN at once"].turns[0], (SCRIPTS["PLAIN at once"].turns[1][0], b"* BYE p w\r\n")], "ends the connection: BYE"),
    ],
)  # fmt: skip
def test_d8_what_is_no_answer_to_a_login_is_no_no(turns: list[tuple[bytes, bytes]], why: str) -> None:
    assert why in fault(script(*turns))


def test_server_s_words_are_not_told_once_a_secret_was_sent() -> None:
    turns = SCRIPTS["PLAIN at once"].turns
    assert fault(script(turns[0], (turns[1][0], b"* BYE you said " + MESSAGE + b"\r\n"))) == "ends the connection: BYE"


def test_what_was_said_before_tls_counts_no_more() -> None:
    way = script(greets(b"AUTH=PLAIN SASL-IR STARTTLS"), (b"s1 STARTTLS\r\n", b"s1 OK begin\r\n* CAPABILITY IMAP4rev1\r\n"))
    talk, turns = Talk(way), iter(way.turns)
    talk.run(turns, talk.client.greeting())
    before = talk.client.offered
    talk.run(turns, talk.client.start_tls())
    assert (before, talk.client.offered) == (frozenset({"IMAP4REV1", "AUTH=PLAIN", "SASL-IR", "STARTTLS"}), None)
    assert talk.stream.pending


def test_start_tls_that_is_refused_ends_it() -> None:
    way = script(greets(b"AUTH=PLAIN"), (b"s1 STARTTLS\r\n", b"s1 BAD what?\r\n"))
    talk, turns = Talk(way), iter(way.turns)
    talk.run(turns, talk.client.greeting())
    with pytest.raises(ImapFault, match="refuses STARTTLS: BAD what"):
        talk.run(turns, talk.client.start_tls())


def test_logout_has_a_tag_of_its_own() -> None:
    client = Client()
    assert (client.logout(), client.logout()) == (b"s1 LOGOUT\r\n", b"s2 LOGOUT\r\n")


@given(
    st.lists(st.sampled_from([b"* ", b"s1 ", b"+ ", b"OK ", b"NO ", b"BYE", b"[A] ", b"{1}", b"\r\n", b"\n", b"\xff", b" "]) | st.binary())
)
def test_whatever_a_server_says_is_a_response_or_a_fault(said: list[bytes]) -> None:
    client, stream = Client(), Stream()
    client.offered = frozenset({"AUTH=PLAIN", "SASL-IR"})
    dialogue = client.login(NAME, SECRET)
    next(dialogue)
    answer: Response | None = None
    told = ""
    try:
        for piece in said:
            stream.feed(piece)
            while (response := stream.next_response()) is not None:
                dialogue.send(response)
    except ImapFault as error:
        told = str(error)
    except StopIteration as over:
        answer = over.value
    assert PASSWORD not in told.encode()
    assert answer is None or (answer.tag == b"s1" and answer.word in {"OK", "NO", "BAD"})
