"""The page that is asked: one POST a login, on a connection of its own."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from http import HTTPStatus

import httpx
import trio

from saslauthd_py import __version__
from saslauthd_py.config.settings.http_form import HttpFormSettings
from saslauthd_py.remote.certificates import client_context
from saslauthd_py.remote.failing import Failed, why

MAX_BODY = 65536
"""Bytes of an answer's body that are read, and thrown away: many pages stop in the middle of their work when nobody listens."""

_LEAST = 64
"""Bytes that a piece of a body counts for at least, however small it is."""

_CONTENT_TYPES = {"form": "application/x-www-form-urlencoded", "json": "application/json"}


@dataclass(slots=True)
class _Seen:
    """How far a request came. `status`: of its answer; 0: there is none yet."""

    sent: bool = False
    status: int = 0

    async def note(self, event: str, _: object) -> None:
        """What httpcore tells of an event."""
        self.sent |= event.endswith(".send_request_body.started")


@dataclass(frozen=True, slots=True)
class Manner:
    """How connections are opened."""

    context: ssl.SSLContext

    @classmethod
    def of(cls, settings: HttpFormSettings) -> Manner:
        """As the settings say. Reads the certificates; OSError for those that cannot be, as `client_context`."""
        if not settings.tls:
            return cls(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))  # which trusts nobody, and is not used
        return cls(client_context(settings.ca_file, verify=settings.verify))


class Page:
    """Each question has a client of its own, with one connection that ends with it.

    On a connection that is used again, whatever stands behind one login's answer is taken for the next one's (RFC 9112 section 6.3
    forbids that), and a pool of httpcore's loses places to logins that are cancelled. No secret is ever in a text of it.
    """

    def __init__(self, settings: HttpFormSettings, manner: Manner) -> None:
        self._settings = settings
        self._context = manner.context
        self._posted = {"Content-Type": _CONTENT_TYPES[settings.format]}
        self._client()  # the first of all makes httpx import the rest of what it needs (rule A2)

    async def post(self, body: bytes) -> int:
        """The status of the answer. Raises Failed, within the timeout. Cancelled, it costs the connection."""
        return await self._asked("POST", body)

    async def probe(self) -> int:
        """The status of an answer without a login: whatever it is, somebody answers there. Raises Failed, within the timeout."""
        return await self._asked("HEAD", None)

    async def _asked(self, method: str, body: bytes | None) -> int:
        seen = _Seen()
        with trio.move_on_after(self._settings.timeout):
            try:
                await self._request(method, body, seen)
            except httpx.HTTPError as error:
                if not seen.status:
                    raise Failed(_told(error), sent=seen.sent) from None
        if not seen.status:
            raise Failed(f"no answer within {self._settings.timeout:g} s", sent=seen.sent, silent=True)
        return seen.status

    async def _request(self, method: str, body: bytes | None, seen: _Seen) -> None:
        posted = self._posted if body is not None else None
        async with (
            self._client() as client,
            client.stream(method, self._settings.url, content=body, headers=posted, extensions={"trace": seen.note}) as response,
        ):
            seen.status = response.status_code
            read = 0
            with trio.CancelScope() as reading:
                async for part in response.aiter_raw():
                    read += max(len(part), _LEAST)
                    await trio.lowlevel.cancel_shielded_checkpoint()  # thousands of pieces may have come at once
                    if read > MAX_BODY:
                        reading.cancel()  # and not `break`, which leaves httpx's generators to the garbage collector

    def _client(self) -> httpx.AsyncClient:
        settings = self._settings
        headers = {"User-Agent": f"saslauthd-py/{__version__}", "Accept-Encoding": "identity", "Connection": "close", **settings.headers}
        if settings.authorization is not None:
            headers[settings.authorization_header] = settings.authorization.reveal().decode("ascii")
        return httpx.AsyncClient(
            headers=headers,
            verify=self._context,
            timeout=None,  # noqa: S113 - `_asked` has one, for all that a request does
            follow_redirects=False,
            trust_env=False,  # no proxy, and no password file of the environment
        )


def named(status: int) -> str:
    """As an admin knows it: "302 Found"."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _told(error: httpx.HTTPError) -> str:
    """In our words: httpx's own may hold what was sent."""
    if isinstance(error, httpx.RemoteProtocolError):
        return "answers something else than HTTP, or ends the connection"
    met = why(error)
    if "WRONG_VERSION_NUMBER" in met:
        return f"speaks no TLS on this port ({met})"
    return met
