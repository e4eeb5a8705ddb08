"""The saslauthd request and reply: whole, byte by byte, cut at every point, and whatever hypothesis thinks of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.secret import Secret
from saslauthd_py.wire import saslauthd as wire
from saslauthd_py.wire.saslauthd import COMPAT_LIMITS, LIMITS, BadRequest, Request

ALICE = Request(b"alice", Secret(b"pw1"), b"smtp", b"example.test")
RECORDED = bytes.fromhex("0005616c69636500037077310004736d7470000c6578616d706c652e74657374")
"""What a real Postfix 3.7 sent for alice@example.test."""

field = st.binary(max_size=40).filter(lambda value: b"\0" not in value)
filled = field.filter(bool)
requests = st.builds(Request, filled, st.builds(Secret, filled), field, field, field)


def test_recorded_request_is_parsed() -> None:
    assert wire.parse(RECORDED) == ALICE
    assert wire.encode(ALICE) == RECORDED
    assert wire.span(RECORDED) == len(RECORDED)


@given(requests)
def test_request_survives_encoding(request: Request) -> None:
    data = wire.encode(request)
    assert wire.parse(data) == request
    assert wire.parse(data + b"trailing bytes that nobody asked for")
    assert wire.span(data) == len(wire.encode(Request(request.login, request.secret, request.service, request.realm)))


@given(requests)
def test_request_cut_anywhere_is_incomplete_or_lacks_only_its_fifth_field(request: Request) -> None:
    data = wire.encode(request)
    four = Request(request.login, request.secret, request.service, request.realm)
    end = wire.span(data)
    for cut in range(len(data)):
        parsed = wire.parse(data[:cut])
        assert parsed == (None if cut < end else four)
        assert wire.span(data[:cut]) == (0 if cut < end else end)


def test_fifth_field_is_taken_when_whole_and_never_waited_for() -> None:
    data = wire.encode(Request(b"alice", Secret(b"pw1"), b"smtp", b"", b"192.0.2.7;1234"))
    for cut in range(wire.span(data), len(data)):
        parsed = wire.parse(data[:cut])
        assert isinstance(parsed, Request)
        assert parsed.client == b""
    whole = wire.parse(data)
    assert isinstance(whole, Request)
    assert whole.client == b"192.0.2.7;1234"


@given(st.binary(max_size=300))
def test_no_bytes_raise_and_every_request_is_of_its_own_bytes(data: bytes) -> None:
    for limits in (LIMITS, COMPAT_LIMITS):
        parsed = wire.parse(data, limits)
        if isinstance(parsed, Request):
            again = wire.encode(Request(parsed.login, parsed.secret, parsed.service, parsed.realm))
            assert data.startswith(again)
            assert parsed.login
            assert len(parsed.secret)
            assert wire.span(data) == len(again)


@pytest.mark.parametrize(
    ("fields", "bad"),
    [
        ((b"", b"pw", b"smtp", b""), BadRequest.EMPTY_LOGIN),
        ((b"alice", b"", b"smtp", b""), BadRequest.EMPTY_PASSWORD),
        ((b"al\0ice", b"pw", b"smtp", b""), BadRequest.NUL),
        ((b"alice", b"good\0x", b"smtp", b""), BadRequest.NUL),
        ((b"alice", b"pw", b"smtp\0", b""), BadRequest.NUL),
        ((b"alice", b"pw", b"smtp", b"\0"), BadRequest.NUL),
    ],
)
def test_bad_field_is_told_as_soon_as_it_is_whole(fields: tuple[bytes, bytes, bytes, bytes], bad: BadRequest) -> None:
    login, secret, service, realm = fields
    data = wire.encode(Request(login, Secret(secret), service, realm))
    assert wire.parse(data) is bad
    answers = [wire.parse(data[:cut]) for cut in range(len(data))]
    assert set(answers) <= {None, bad}


def test_field_of_the_original_s_limit_passes_and_one_more_byte_does_not() -> None:
    for position in range(4):
        parts = [b"alice", b"pw", b"smtp", b"example.test"]
        parts[position] = b"x" * 256
        assert isinstance(wire.parse(_join(parts), COMPAT_LIMITS), Request)
        parts[position] = b"x" * 257
        assert wire.parse(_join(parts), COMPAT_LIMITS) is BadRequest.FIELD_TOO_LONG
        assert isinstance(wire.parse(_join(parts)), Request)


def test_too_long_a_field_is_refused_by_its_count_alone() -> None:
    assert wire.parse(b"\x01\x01", COMPAT_LIMITS) is BadRequest.FIELD_TOO_LONG
    assert wire.parse(b"\xff\xff") is BadRequest.FIELD_TOO_LONG


def test_request_up_to_the_limit_passes_and_one_more_byte_does_not() -> None:
    rest = len(wire.encode(Request(b"a", Secret(b""), b"smtp", b"")))
    assert isinstance(wire.parse(_join([b"a", b"x" * (wire.MAX_REQUEST - rest), b"smtp", b""])), Request)
    assert wire.parse(_join([b"a", b"x" * (wire.MAX_REQUEST - rest + 1), b"smtp", b""])) is BadRequest.REQUEST_TOO_LONG


def test_secret_of_eight_kilobytes_passes() -> None:
    parsed = wire.parse(_join([b"alice", b"t" * 8000, b"smtp", b""]))
    assert isinstance(parsed, Request)
    assert len(parsed.secret) == 8000


def test_replies_are_what_libsasl_reads() -> None:
    assert wire.parse_reply(wire.OK) == b"OK"
    assert wire.parse_reply(wire.NO) == b"NO"
    assert wire.parse_reply(b"\0\3NO ") == b"NO "


@given(st.binary(max_size=40))
def test_reply_cut_anywhere_is_incomplete(data: bytes) -> None:
    reply = len(data).to_bytes(2, "big") + data
    assert wire.parse_reply(reply + b"more") == data
    assert all(wire.parse_reply(reply[:cut]) is None for cut in range(len(reply)))


def test_request_hides_its_secret() -> None:
    assert "pw1" not in repr(ALICE)


def _join(fields: list[bytes]) -> bytes:
    return b"".join(len(field).to_bytes(2, "big") + field for field in fields)
