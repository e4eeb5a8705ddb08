"""The lines of Dovecot's auth protocol: handshake, escapes, replies, and the offsets by which the loop answers from the cache."""

from __future__ import annotations

import base64
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.identity import Identity
from saslauthd_py.secret import Secret
from saslauthd_py.wire import dovecot as wire
from saslauthd_py.wire.dovecot import lines, replies

COOKIE = bytes(range(16))
ALICE = Identity("alice", "example.test")
POSTFIX = b"AUTH\t7\tPLAIN\tservice=smtp\tnologin\tlip=127.0.0.1\trip=192.0.2.1\tsecured\tresp=AGFsaWNlAHB3MQ==\n"


def test_hello_is_whole_and_in_the_order_that_clients_need() -> None:
    said = wire.hello(["PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-1", "EXTERNAL"], 4711, 3, COOKIE)
    assert said == (
        b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nMECH\tSCRAM-SHA-256\tmutual-auth\nMECH\tSCRAM-SHA-1\tmutual-auth\n"
        b"MECH\tEXTERNAL\nSPID\t4711\nCUID\t3\nCOOKIE\t000102030405060708090a0b0c0d0e0f\nDONE\n"
    )


@pytest.mark.parametrize("minor", [0, 1, 2])
def test_hello_with_everything_at_its_longest_fits_one_recv_of_radicale(minor: int) -> None:
    said = wire.hello(wire.FLAGS, 2**32 - 1, 2**63, b"\xff" * 16, minor)
    assert len(said) <= wire.MAX_HELLO == 1024
    assert said.startswith(b"VERSION\t1\t%d\nMECH\t" % minor)
    assert said.endswith(b"\nDONE\n")


@pytest.mark.parametrize(
    ("mechanisms", "pid", "number", "cookie", "minor"),
    [
        ([], 1, 1, COOKIE, 2),
        (["GSSAPI"], 1, 1, COOKIE, 2),
        (["plain"], 1, 1, COOKIE, 2),
        (["PLAIN"], 0, 1, COOKIE, 2),
        (["PLAIN"], 1, 0, COOKIE, 2),
        (["PLAIN"], 1, 1, COOKIE[1:], 2),
        (["PLAIN"], 1, 1, COOKIE, 3),
        (["PLAIN"], 1, 1, COOKIE, -1),
        (["SCRAM-SHA-256"] * 40, 1, 1, COOKIE, 2),
    ],
)
def test_hello_that_a_client_would_choke_on_is_never_said(mechanisms: list[str], pid: int, number: int, cookie: bytes, minor: int) -> None:
    with pytest.raises(ValueError, match=r"handshake|no such mechanism"):
        wire.hello(mechanisms, pid, number, cookie, minor)


def test_plaintext_mechanisms_are_those_that_postfix_filters_as_such() -> None:
    assert sorted(wire.PLAINTEXT) == ["LOGIN", "PLAIN"]


@pytest.mark.parametrize(
    ("field", "meant"),
    [
        (b"", b""),
        (b"plain", b"plain"),
        (b"\x010", b"\0"),
        (b"\x011", b"\x01"),
        (b"\x01t", b"\t"),
        (b"\x01r", b"\r"),
        (b"\x01n", b"\n"),
        (b"\x01l", b"l"),
        (b"\x01\n", b"\n"),
        (b"\x01\xff", b"\xff"),
        (b"lone\x01", b"lone"),
        (b"\x01\x01t", b"\x01t"),
        (b"a\x01tb\x011t", b"a\tb\x01t"),
    ],
)
def test_escapes_are_read_as_dovecot_reads_them(field: bytes, meant: bytes) -> None:
    assert wire.unescape(field) == meant


@given(st.binary(max_size=40))
def test_escaping_is_undone_whatever_the_bytes(value: bytes) -> None:
    letters = {0: b"\x010", 1: b"\x011", 9: b"\x01t", 13: b"\x01r", 10: b"\x01n"}
    assert wire.unescape(b"".join(letters.get(byte, bytes([byte])) for byte in value)) == value


@pytest.mark.parametrize(
    "message", [b"=", b"====", b"AAAA=", b"AA", b"AA=", b"AA===", b"A", b"AAAA\r", b"AA A", b"AA==AAAA", b"=AAA", b"#", b"AA-_"]
)
def test_what_is_not_base64_decodes_to_nothing(message: bytes) -> None:
    assert lines.decode(message) is None


@given(st.binary(max_size=60))
def test_base64_survives(message: bytes) -> None:
    assert lines.decode(lines.encode(message)) == message
    assert lines.encode(message) == base64.b64encode(message)


@given(st.binary(max_size=12) | st.text("AQZagz09+/=", max_size=12).map(str.encode))
def test_base64_is_of_its_alphabet_and_its_length(message: bytes) -> None:
    decoded = lines.decode(message)
    if decoded is not None:
        assert re.fullmatch(rb"[A-Za-z0-9+/]*={0,2}", message)
        assert len(lines.encode(decoded)) == len(message)


@pytest.mark.parametrize(
    "field", [b"", b"0", b"00", b"-1", b"+1", b" 1", b"1 ", b"1_0", b"0x1", b"4294967296", b"99999999999", "\u0661".encode()]
)
def test_number_that_is_no_32_bit_number_is_none(field: bytes) -> None:
    assert lines.number_of(field) is None
    assert lines.number_of(b"4294967295") == 4294967295


def test_span_says_where_number_and_line_end() -> None:
    first, end = wire.span(POSTFIX)
    assert POSTFIX[5:first] == b"7"
    assert POSTFIX[first:end] == POSTFIX[6:-1]
    twice = POSTFIX + POSTFIX.replace(b"\t7\t", b"\t123456789\t")
    first, end = wire.span(twice, len(POSTFIX))
    assert twice[len(POSTFIX) + 5 : first] == b"123456789"
    assert end == len(twice) - 1
    assert twice[first:end] == POSTFIX[6:-1], "the same question under another number"


def test_span_of_a_cut_line_is_none() -> None:
    for cut in range(len(POSTFIX)):
        assert wire.span(POSTFIX[:cut]) == (0, 0)


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"CONT\t1\tAAAA\n",
        b"AUTH\n",
        b"AUTH\t1\n",
        b"AUTH\t1\nx\t",
        b"AUTH\t\tPLAIN\n",
        b"AUTH\t0\tPLAIN\n",
        b"AUTH\t01\tPLAIN\n",
        b"AUTH\t-1\tPLAIN\n",
        b"AUTH\t1_0\tPLAIN\n",
        b"AUTH\t4294967295\tPLAIN\n",
        b"auth\t1\tPLAIN\n",
    ],
)
def test_span_leaves_to_the_connection_what_it_cannot_vouch_for(line: bytes) -> None:
    assert wire.span(line) == (0, 0)


@given(st.lists(st.sampled_from([b"AUTH", b"\t", b"1", b"0", b"\n", b"\0", b"PLAIN", b"x"]), max_size=12).map(b"".join), st.integers(0, 8))
def test_span_is_one_whole_line_of_that_kind(data: bytes, at: int) -> None:
    first, end = wire.span(data, at)
    if end:
        assert re.fullmatch(rb"AUTH\t[1-9][0-9]{0,8}\t[^\n]*\n", data[at : end + 1])
        assert data[first : first + 1] == b"\t"


def test_ok_of_the_loop_is_the_ok_of_a_connection() -> None:
    assert wire.ok(b"7", b"alice@example.test") == replies.accepted(7, ALICE) == b"OK\t7\tuser=alice@example.test\n"


def test_replies_are_lines_of_keys_and_values() -> None:
    assert replies.accepted(1, ALICE, b"v=x") == b"OK\t1\tuser=alice@example.test\tresp=dj14\n"
    assert replies.challenge(5, b"") == b"CONT\t5\t\n"
    assert replies.challenge(5, b"Password:") == b"CONT\t5\tUGFzc3dvcmQ6\n"
    assert replies.failed(9, wire.REJECTED) == b"FAIL\t9\treason=invalid user name or password\n"
    assert replies.failed(9, wire.UNAVAILABLE, ALICE) == (
        b"FAIL\t9\tuser=alice@example.test\tcode=temp_fail\treason=temporary authentication failure, try again later\n"
    )


def test_name_in_any_letters_goes_out_as_utf_8() -> None:
    assert replies.accepted(1, Identity("jörg", "example.test")) == "OK\t1\tuser=jörg@example.test\n".encode()


@pytest.mark.parametrize("reason", ["", "two\nlines", "a\ttab", "für", "x" * 201, "\x7f"])
def test_reason_that_a_client_would_garble_is_refused(reason: str) -> None:
    with pytest.raises(ValueError, match="printable"):
        wire.Failure(reason)


def test_no_reply_is_longer_than_exim_reads() -> None:
    most = (wire.MAX_REPLY - len(b"CONT\t1\t\n")) // 4 * 3
    assert len(replies.challenge(1, b"x" * most)) <= wire.MAX_REPLY < 8192
    with pytest.raises(ValueError, match="8191"):
        replies.challenge(1, b"x" * (most + 1))
    longest = Identity("a" * 255, "b" * 255)
    assert len(replies.failed(2**32 - 1, wire.Failure("x" * 200, wire.Code.TEMP_FAIL), longest)) < wire.MAX_REPLY


def test_texts_for_the_log_are_one_line_each_and_differ() -> None:
    texts = sorted(violation.value for violation in wire.Violation)
    assert all(text.isascii() and text.isprintable() and text for text in texts)
    assert all(one != other for one, other in pairwise(texts))


def test_events_hide_their_secrets() -> None:
    request = wire.Request(1)
    auth = wire.Auth(request, "PLAIN", b"smtp", Secret(b"\0alice\0pw1"), wire.MailClient(), Secret(POSTFIX[6:-1]))
    shown = repr(auth) + repr(wire.Response(request, Secret(b"pw1")))
    assert "pw1" not in shown
    assert "AGFsaWNl" not in shown
