"""The page that is asked: one POST a login, on connections that are used again."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx
import trio

from saslauthd_py import __version__
from saslauthd_py.config.settings.http_form import HttpFormSettings
from saslauthd_py.remote.certificates import client_context
from saslauthd_py.remote.failing import Failed, why

MAX_BODY = 65536
"""Bytes of an answer's body that are read, and thrown away, so that the connection can be used again."""

ASKED_AGAIN = 2
"""How often a login goes to another connection when the one it was on was closed while nobody used it."""

LONGEST_REST = 30.0
"""Seconds for which an unused connection is kept."""

_CONTENT_TYPES = {"form": "application/x-www-form-urlencoded", "json": "application/json"}


@dataclass(slots=True)
class _Seen:
    """How far a request came. `status`: of its answer; 0: there is none yet."""

    connected: bool = False
    sent: bool = False
    status: int = 0

    async def note(self, event: str, _: object) -> None:
        """What httpcore tells of an event."""
        self.connected |= event == "connection.connect_tcp.started"
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
    """Its connections are closed by `close`, or at the end of `keep`. No secret is ever in a text of it."""

    def __init__(self, settings: HttpFormSettings, manner: Manner) -> None:
        self._url = settings.url
        self._timeout = settings.timeout
        headers = {"User-Agent": f"saslauthd-py/{__version__}", "Accept-Encoding": "identity", **settings.headers}
        if settings.authorization is not None:
            headers[settings.authorization_header] = settings.authorization.reveal().decode("ascii")
        self._posted = {"Content-Type": _CONTENT_TYPES[settings.format]}
        self._client = httpx.AsyncClient(
            headers=headers,
            cookies=CookieJar(
                DefaultCookiePolicy(allowed_domains=[])
            ),  # none is kept: a session is one user's, and the next login another's
            verify=manner.context,
            timeout=None,  # noqa: S113 - `_asked` has one, for all that a request does
            follow_redirects=False,
            trust_env=False,  # no proxy, and no password file of the environment
            limits=httpx.Limits(max_connections=settings.parallel + 1, keepalive_expiry=LONGEST_REST),  # one for a probe
        )

    async def post(self, body: bytes) -> int:
        """The status of the answer. Raises Failed, within the timeout. Cancelled, it costs the connection."""
        return await self._asked("POST", body)

    async def probe(self) -> int:
        """The status of an answer without a login: whatever it is, somebody answers there. Raises Failed, within the timeout."""
        return await self._asked("HEAD", None)

    async def keep(self) -> None:
        """Until cancelled, when nobody asks any more."""
        try:
            await trio.sleep_forever()
        finally:
            await self.close()

    async def close(self) -> None:
        """End all connections, waiting for nobody."""
        with trio.CancelScope(shield=True):
            await self._client.aclose()

    async def _asked(self, method: str, body: bytes | None) -> int:
        seen = _Seen()
        with trio.move_on_after(self._timeout):
            for left in reversed(range(1 + ASKED_AGAIN)):
                seen.connected = False
                try:
                    await self._request(method, body, seen)
                except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
                    if seen.status:
                        break
                    if not left or seen.connected:
                        raise Failed(_told(error), sent=seen.sent) from None
                except httpx.HTTPError as error:
                    raise Failed(_told(error), sent=seen.sent) from None
                else:
                    break
        if not seen.status:
            raise Failed(f"no answer within {self._timeout:g} s", sent=seen.sent, silent=True)
        return seen.status

    async def _request(self, method: str, body: bytes | None, seen: _Seen) -> None:
        posted = self._posted if body is not None else None
        async with self._client.stream(method, self._url, content=body, headers=posted, extensions={"trace": seen.note}) as response:
            seen.status = response.status_code
            read = 0
            with trio.CancelScope() as reading:
                async for part in response.aiter_raw():
                    read += len(part)
                    if read > MAX_BODY:
                        reading.cancel()  # and not `break`, which leaves httpx's generators to the garbage collector


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
