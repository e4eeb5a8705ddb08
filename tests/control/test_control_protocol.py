"""The control protocol as bytes: what is sent is what is read, and nothing else raises anything but Malformed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.control.protocol import (
    MAX_REQUEST,
    Answer,
    AskStatus,
    Cause,
    Done,
    Failed,
    Flush,
    Lines,
    Malformed,
    Reload,
    Request,
    Sasl,
    Told,
    Trace,
    Unblock,
    encode_answer,
    encode_request,
    parse_answer,
    parse_request,
)
from saslauthd_py.secret import Secret
from saslauthd_py.wire.saslauthd import MAX_REQUEST as LARGEST_LOGIN
from saslauthd_py.wire.saslauthd import Request as Login

NAMES = st.text(min_size=1, max_size=1024)
BYTES = st.binary(max_size=300)
LOGINS = st.builds(Login, BYTES, st.builds(Secret, BYTES), BYTES, BYTES, BYTES)
REQUESTS = st.one_of(
    st.just(AskStatus()),
    st.just(Reload()),
    st.builds(Flush, st.none() | NAMES),
    st.builds(Unblock, NAMES),
    st.builds(Trace, NAMES, LOGINS, st.builds(Sasl, NAMES, BYTES, st.booleans())),
)
FACT = st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.lists(st.text(max_size=5))
FACTS = st.dictionaries(st.text(max_size=9), FACT)
ANSWERS = st.one_of(
    st.builds(Told, st.text(), st.floats(allow_nan=False, allow_infinity=False), FACTS),
    st.builds(Done, FACTS),
    st.builds(Failed, st.sampled_from(Cause), st.text()),
)


_TRACE = b"""{"do": "trace", "listener": "/x", "login": {"login": "%s", "secret": "", "service": "", "realm": "", "client": ""},
"sasl": {"mechanism": "%s", "authzid": "", "secured": %s}}"""


def line_of(data: bytes, most: int = 1 << 22) -> bytes:
    lines = Lines(most)
    lines.feed(data)
    line = lines.line()
    assert line is not None
    assert lines.line() is None
    return line


@given(REQUESTS)
def test_a_request_is_read_as_it_was_sent(request: Request) -> None:
    assert parse_request(line_of(encode_request(request))) == request


@given(ANSWERS)
def test_an_answer_is_read_as_it_was_sent(answer: Answer) -> None:
    assert parse_answer(line_of(encode_answer(answer))) == answer


@given(st.binary(max_size=200))
def test_other_bytes_are_malformed(data: bytes) -> None:
    for parse in (parse_request, parse_answer):
        with pytest.raises(Malformed):
            parse(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["do", "user", "what", "login", "listener", "x"]), inner),
    max_leaves=12,
)


@given(JSON)
def test_other_json_is_a_request_or_malformed(value: object) -> None:
    try:
        request = parse_request(json.dumps(value).encode())
    except Malformed:
        return
    assert parse_request(line_of(encode_request(request))) == request


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[" * 20_000,
        b'{"do": "status", "more": 1}',
        b'{"do": "flush"}',
        b'{"do": "flush", "user": ""}',
        b'{"do": "flush", "user": 7}',
        b'{"do": "unblock", "what": "%s"}' % (b"x" * 1025),
        b'{"do": "trace", "listener": "/x", "login": {"login": "", "secret": "", "service": "", "realm": "", "client": ""}}',
        b'{"do": "trace", "listener": "/x", "login": {}, "sasl": {"mechanism": "PLAIN", "authzid": "", "secured": true}}',
        _TRACE % (b"!", b"PLAIN", b"true"),
        _TRACE % (b"", b"", b"true"),
        _TRACE % (b"", b"PLAIN", b"1"),
        _TRACE % (b"", b"PLAIN", b'true, "more": 1'),
        b'{"do": NaN}',
        b'{"do": %s}' % (b"9" * 5000),
    ],
)
def test_requests_that_are_none(line: bytes) -> None:
    with pytest.raises(Malformed):
        parse_request(line)


def test_request_of_which_those_are_a_part() -> None:
    assert parse_request(_TRACE % (b"", b"PLAIN", b"true")) == Trace("/x", Login(b"", Secret(b""), b"", b""))


def test_what_is_malformed_is_not_repeated() -> None:
    with pytest.raises(Malformed) as error:
        parse_request(b'{"do": "trace", "listener": "/x", "login": {"secret": "geheim"}, "sasl": {}}')
    assert "geheim" not in str(error.value)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=20))
def test_lines_are_the_same_however_they_are_cut(pieces: list[bytes]) -> None:
    whole, cut, found = Lines(10_000), Lines(10_000), list[bytes]()
    for piece in pieces:
        whole.feed(piece)
        cut.feed(piece)
        while (line := cut.line()) is not None:
            found.append(line)
    expected = b"".join(pieces).split(b"\n")[:-1]
    assert found == expected
    assert [whole.line() for _ in expected] == expected


@pytest.mark.parametrize("size", [99, 100, 101, 5000])
def test_a_line_is_bounded_with_its_end(size: int) -> None:
    lines = Lines(100)
    lines.feed(b"x" * (size - 1) + b"\n")
    if size <= 100:
        assert lines.line() == b"x" * (size - 1)
    else:
        with pytest.raises(Malformed, match="over 100 bytes"):
            lines.line()


def test_the_largest_login_fits() -> None:
    login = Login(b"", Secret(b"\xff" * LARGEST_LOGIN), b"", b"", b"")
    assert len(encode_request(Trace("/" * 107, login))) <= MAX_REQUEST
