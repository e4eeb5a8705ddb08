"""A server's bytes, cut into responses: literals only where they may stand, and no more than there may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.wire.imap import MAX_HEARD, MAX_RESPONSE, ImapFault, Response, Status, Stream, shown
from saslauthd_py.wire.imap import stream as stream_module


def one(data: bytes) -> Response:
    stream = Stream()
    stream.feed(data)
    response = stream.next_response()
    assert response is not None
    assert stream.next_response() is None
    assert stream.pending == 0
    return response


@pytest.mark.parametrize(
    ("line", "response"),
    [
        (b"* OK ready\r\n", Response(b"*", Status.OK, b"ready")),
        (b"* ok ready\n", Response(b"*", Status.OK, b"ready")),
        (b"a1 NO [AUTHENTICATIONFAILED] wrong\r\n", Response(b"a1", Status.NO, b"wrong", "AUTHENTICATIONFAILED")),
        (b"a1 NO [unavailable]\r\n", Response(b"a1", Status.NO, b"", "UNAVAILABLE")),
        (b"a1 NO [REFERRAL imap://a/] there\r\n", Response(b"a1", Status.NO, b"there", "REFERRAL", b"imap://a/")),
        (b"a1 NO [4.7.0_x] later\r\n", Response(b"a1", Status.NO, b"later", "4.7.0_X")),
        (b"a1 NO [not a code\r\n", Response(b"a1", Status.NO, b"[not a code")),
        (b"a1 NO\r\n", Response(b"a1", Status.NO)),
        (b"a1 NO wrong {3}\r\n", Response(b"a1", Status.NO, b"wrong {3}")),
        (b"+ {5}\r\n", Response(b"+", "", b"{5}")),
        (b"+\r\n", Response(b"+", "")),
        (b"* 3 EXISTS\r\n", Response(b"*", "3", b"EXISTS")),
        (b"* X {4}\r\na\r\nb {2+}\r\nOK\r\n", Response(b"*", "X", b"{4}\r\na\r\nb {2+}\r\nOK")),
        (b"* X {0}\r\n\r\n", Response(b"*", "X", b"{0}\r\n")),
    ],
)
def test_line_is_taken_apart(line: bytes, response: Response) -> None:
    assert one(line) == response


@pytest.mark.parametrize("line", [b"\r\n", b"x\r\n", b"* \r\n", b"a1 BYE\r\n", b"a1 PREAUTH\r\n", b"a1 FETCH\r\n", b" OK\r\n"])
def test_what_is_no_response_is_a_fault(line: bytes) -> None:
    with pytest.raises(ImapFault, match="no IMAP"):
        one(line)


@given(st.integers(1, 12))
def test_response_comes_when_its_last_byte_has(cut: int) -> None:
    whole = b"* X {4}\r\na\r\nb y\r\n"
    stream = Stream()
    stream.feed(whole[:-cut])
    assert stream.next_response() is None
    stream.feed(whole[-cut:])
    assert stream.next_response() == Response(b"*", "X", b"{4}\r\na\r\nb y")


def test_what_was_looked_at_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = 0

    def counted(line: bytes) -> bytes:
        nonlocal looked_at
        looked_at += len(line)
        return line.removesuffix(b"\r\n")

    monkeypatch.setattr(stream_module, "_without_end", counted)
    whole = b"* X" + b" {0}\r\n" * 300 + b"\r\n"
    stream = Stream()
    for byte in whole[:-1]:
        stream.feed(bytes([byte]))
        assert stream.next_response() is None
    assert looked_at < 2 * len(whole)
    stream.feed(whole[-1:])
    assert stream.next_response() is not None


@pytest.mark.parametrize("endless", [b"* " + b"x" * MAX_RESPONSE, b"* X {999999999}\r\n", b"* X {%d}\r\n" % MAX_RESPONSE])
def test_one_response_is_bounded_before_it_ends(endless: bytes) -> None:
    stream = Stream()
    stream.feed(endless)
    with pytest.raises(ImapFault, match=f"more than {MAX_RESPONSE} bytes at once"):
        stream.next_response()


def test_all_responses_are_bounded() -> None:
    stream = Stream()
    line = b"* OK still here\r\n"
    for _ in range(MAX_HEARD // len(line)):
        stream.feed(line)
        assert stream.next_response() is not None
    with pytest.raises(ImapFault, match=f"more than {MAX_HEARD} bytes"):
        stream.feed(line)


@given(st.binary())
def test_words_that_are_shown_are_one_short_line(words: bytes) -> None:
    assert shown(words).isprintable()
    assert len(shown(words)) <= 200 * 4
