"""The pwcheck request and reply: whole, byte by byte, cut at every point, and whatever hypothesis thinks of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.secret import Secret
from saslauthd_py.wire import pwcheck as wire
from saslauthd_py.wire.pwcheck import COMPAT_MAX_REQUEST, MAX_REQUEST, BadRequest, Request

ALICE = Request(b"alice@example.test", Secret(b"pw1"))
SENT = b"alice@example.test\0pw1\0"
"""What libsasl's writev of two strings, each with its NUL, puts on the wire."""

string = st.binary(min_size=1, max_size=40).filter(lambda value: b"\0" not in value)
requests = st.builds(Request, string, st.builds(Secret, string))


def test_request_is_two_strings_that_end_in_nul() -> None:
    assert wire.encode(ALICE) == SENT
    assert wire.parse(SENT) == ALICE
    assert wire.span(SENT) == len(SENT)


@given(requests)
def test_request_survives_encoding(request: Request) -> None:
    data = wire.encode(request)
    assert wire.parse(data) == request
    assert wire.span(data) == len(data)


@given(requests)
def test_request_without_both_nuls_is_incomplete(request: Request) -> None:
    data = wire.encode(request)
    for cut in range(len(data)):
        assert wire.parse(data[:cut]) is None, "one NUL alone is enough for the original, which then reads the password from old bytes"
        assert wire.span(data[:cut]) == 0


@given(requests, st.binary(min_size=1, max_size=20))
def test_bytes_after_the_second_nul_are_refused(request: Request, more: bytes) -> None:
    data = wire.encode(request) + more
    assert wire.parse(data) is BadRequest.MORE
    assert wire.span(data) == 0


@given(st.lists(st.sampled_from([b"\0", b"a", b"pw1", b"@", b"\xff"]), max_size=12).map(b"".join) | st.binary(max_size=60))
def test_no_bytes_raise_and_every_request_is_all_of_its_bytes(data: bytes) -> None:
    parsed = wire.parse(data)
    if isinstance(parsed, Request):
        assert wire.encode(parsed) == data
        assert parsed.userid
        assert len(parsed.secret)
        assert wire.span(data) == len(data)
    if wire.span(data):
        assert parsed in (Request(*_strings(data)), BadRequest.EMPTY_USERID, BadRequest.EMPTY_PASSWORD)


@given(st.lists(st.sampled_from([b"\0", b"a", b"b"]), max_size=12).map(b"".join))
def test_what_was_refused_stays_refused_whatever_follows(data: bytes) -> None:
    answers = [wire.parse(data[:cut], limit=6) for cut in range(len(data) + 1)]
    first = next((at for at, answer in enumerate(answers) if isinstance(answer, BadRequest)), len(answers))
    assert all(isinstance(answer, BadRequest) for answer in answers[first:])


@pytest.mark.parametrize(
    ("data", "bad"),
    [
        (b"\0", BadRequest.EMPTY_USERID),
        (b"\0pw\0", BadRequest.EMPTY_USERID),
        (b"alice\0\0", BadRequest.EMPTY_PASSWORD),
        (b"alice\0good\0x", BadRequest.MORE),
        (b"alice\0good\0x\0", BadRequest.MORE),
        (b"alice\0good\0\0", BadRequest.MORE),
    ],
)
def test_bad_request_is_told_as_soon_as_it_can_be(data: bytes, bad: BadRequest) -> None:
    assert wire.parse(data) is bad


@pytest.mark.parametrize("limit", [MAX_REQUEST, COMPAT_MAX_REQUEST])
def test_request_up_to_the_limit_passes_and_one_more_byte_does_not(limit: int) -> None:
    longest = b"alice\0" + b"x" * (limit - 7) + b"\0"
    assert len(longest) == limit
    assert isinstance(wire.parse(longest, limit), Request)
    assert all(wire.parse(longest[:cut], limit) is None for cut in (limit - 1, limit - 2, 7))
    assert wire.parse(longest + b"x", limit) is BadRequest.MORE
    too_long = longest[:-1] + b"x\0"
    assert wire.parse(too_long, limit) is BadRequest.TOO_LONG
    assert wire.parse(too_long[:-1], limit) is BadRequest.TOO_LONG, "no NUL can come in time"
    assert wire.parse(b"x" * limit, limit) is BadRequest.TOO_LONG


def test_compat_limit_is_what_fills_the_original_s_buffer_less_one() -> None:
    assert COMPAT_MAX_REQUEST == 1024 - 1 - 1  # it reads 1023 bytes at most, and refuses when it has them


@pytest.mark.parametrize("strings", [(b"al\0ice", b"pw"), (b"alice", b"p\0w")])
def test_nul_within_a_string_is_never_sent(strings: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match="NUL"):
        wire.encode(Request(strings[0], Secret(strings[1])))


@pytest.mark.parametrize(
    ("reply", "yes"),
    [
        (wire.OK, True),
        (b"OK with words", True),
        (wire.NO, False),
        (b"O", False),
        (b"", False),
        (b"ok", False),
        (b" OK", False),
        (b"\0\2OK", False),
    ],
)
def test_reply_says_yes_where_its_first_two_bytes_do(reply: bytes, yes: bool) -> None:
    assert wire.accepts(reply) is yes


def test_no_is_a_text_that_fits_its_reader() -> None:
    assert wire.NO.isascii()
    assert wire.NO.decode().isprintable()
    assert len(wire.NO) <= wire.MAX_REPLY


def test_request_hides_its_secret() -> None:
    assert "pw1" not in repr(ALICE)


def _strings(data: bytes) -> tuple[bytes, Secret]:
    userid, password, _ = data.split(b"\0")
    return userid, Secret(password)
