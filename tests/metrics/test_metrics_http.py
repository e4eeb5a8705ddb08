"""The little that is understood of HTTP: one request for one page, and nothing that is not plainly that."""

from __future__ import annotations

from http import HTTPStatus
from http.client import HTTPResponse
from io import BytesIO
from typing import cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from saslauthd_py.metrics import http

GOOD = b"GET /metrics HTTP/1.1\r\nHost: localhost:9477\r\nUser-Agent: Prometheus/2.42.0\r\nAccept: text/plain;q=0.5,*/*;q=0.1\r\n\r\n"


@pytest.mark.parametrize(
    ("request_head", "code"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /metrics HTTP/1.0\r\n\r\n", 200),
        (b"GET /metrics?name=a&b HTTP/1.1\r\nhOST:\r\nX:\ty\xff \r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET /metrics/ HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET /metrics%2e HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"get /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"GET /metrics HTTP/1.1\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: x\nX: y\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: x\ry\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: x\0\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\nHost: x\r\n\r\n", 400),
        (b"GET  /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET metrics HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET http://x/metrics HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /met\xffrics HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /metrics HTTP/2.0\r\nHost: x\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.2\r\nHost: x\r\n\r\n", 400),
        (b"GET /metrics\r\n\r\n", 400),
        (b"\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ],
)
def test_every_request_gets_what_it_deserves(request_head: bytes, code: int) -> None:
    assert http.status(request_head) == code


@given(st.integers(0, len(GOOD) - 1))
def test_as_long_as_it_is_not_whole_nothing_is_said(cut: int) -> None:
    assert http.status(GOOD[:cut]) is None


@given(st.binary())
def test_what_follows_the_head_changes_nothing(rest: bytes) -> None:
    assert http.status(GOOD + rest) is HTTPStatus.OK


@given(st.binary(max_size=200))
@example(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
def test_garbage_is_bad_once_it_is_whole(data: bytes) -> None:
    assert http.status(data) in (None, HTTPStatus.BAD_REQUEST)
    assert http.status(data + b"\r\n\r\n") is HTTPStatus.BAD_REQUEST


@given(st.integers(0, len(GOOD) - 5), st.sampled_from([0, 7, 10, 13, 127]))
def test_a_control_byte_anywhere_makes_it_bad(place: int, byte: int) -> None:
    assert http.status(GOOD[:place] + bytes([byte]) + GOOD[place:]) is HTTPStatus.BAD_REQUEST


def test_a_head_of_8_kib_is_taken_and_one_byte_more_is_not() -> None:
    def head(size: int) -> bytes:
        beginning = b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: "
        return beginning + b"a" * (size - len(beginning) - 4) + b"\r\n\r\n"

    assert len(head(http.MAX_HEAD)) == http.MAX_HEAD == 8192
    assert http.status(head(http.MAX_HEAD)) is HTTPStatus.OK
    assert http.status(head(http.MAX_HEAD + 1)) is HTTPStatus.BAD_REQUEST
    assert http.status(b"a" * (http.MAX_HEAD - 4)) is None
    assert http.status(b"a" * (http.MAX_HEAD - 3)) is HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("code", [HTTPStatus.OK, HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED])
@pytest.mark.parametrize("body", [b"", b"some\r\n\r\ntext\n"])
def test_a_response_is_one_that_a_client_understands(code: HTTPStatus, body: bytes) -> None:
    data = http.response(code, body, "text/plain; charset=utf-8")
    read = HTTPResponse(cast("None", _Wire(data)))  # type: ignore[arg-type] # it takes whatever has makefile
    read.begin()
    assert (read.status, read.reason, read.version) == (code.value, code.phrase, 11)
    assert read.read() == body
    assert read.headers["Content-Length"] == str(len(body))
    assert read.headers["Connection"] == "close"
    assert read.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert read.headers["Allow"] == ("GET" if code is HTTPStatus.METHOD_NOT_ALLOWED else None)
    assert read.headers["Date"].endswith(" GMT")


class _Wire:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> BytesIO:
        return BytesIO(self._data)
