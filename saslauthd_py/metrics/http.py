"""As much of HTTP/1.1 as one page needs (RFC 9112): the head of a request comes in, a whole response goes out. Pure."""

from __future__ import annotations

import re
from email.utils import formatdate
from http import HTTPStatus

MAX_HEAD = 8192
"""Bytes of a request's first line and headers."""

PATH = "/metrics"

_REQUEST = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (/[!-~]*) HTTP/1\.([01])")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t -~\x80-\xff]*")
_BODY = {b"content-length", b"transfer-encoding"}


def status(data: bytes) -> HTTPStatus | None:
    """What the request in `data` deserves; None: it is not whole. Strict: whatever is not plainly a request is BAD_REQUEST.

    OK is a GET of the page. What follows the head is not looked at, and a request that announces a body is bad.
    """
    head, end, _ = data.partition(b"\r\n\r\n")
    if len(head) > MAX_HEAD - len(b"\r\n\r\n"):
        return HTTPStatus.BAD_REQUEST
    return _judge(head.split(b"\r\n")) if end else None


def response(code: HTTPStatus, body: bytes, content_type: str) -> bytes:
    """The whole of it, after which the connection ends."""
    allow = "Allow: GET\r\n" if code is HTTPStatus.METHOD_NOT_ALLOWED else ""
    head = (
        f"HTTP/1.1 {code.value} {code.phrase}\r\n"
        f"Date: {formatdate(usegmt=True)}\r\n"
        f"Content-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"X-Content-Type-Options: nosniff\r\n"
        f"{allow}Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + body


def _judge(lines: list[bytes]) -> HTTPStatus:
    request = _REQUEST.fullmatch(lines[0])
    headers = [_HEADER.fullmatch(line) for line in lines[1:]]
    names = [header[1].lower() for header in headers if header]
    if request is None or len(names) < len(headers) or not _BODY.isdisjoint(names):
        return HTTPStatus.BAD_REQUEST
    method, target, minor = request.groups()
    if names.count(b"host") > 1 or (minor == b"1" and b"host" not in names):  # RFC 9112 section 3.2
        return HTTPStatus.BAD_REQUEST
    if target.partition(b"?")[0] != PATH.encode():
        return HTTPStatus.NOT_FOUND
    return HTTPStatus.OK if method == b"GET" else HTTPStatus.METHOD_NOT_ALLOWED
