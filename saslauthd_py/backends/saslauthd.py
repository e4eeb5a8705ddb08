"""Another daemon as a backend, asked over its socket as libsasl asks (Cyrus SASL, `lib/checkpw.c`): a connection for each login."""

from __future__ import annotations

import socket
from contextlib import suppress

import trio

from saslauthd_py import identity
from saslauthd_py.backend import Attempt
from saslauthd_py.config.settings import SaslauthdSettings
from saslauthd_py.identity import InvalidIdentity
from saslauthd_py.remote.refusals import Refusals
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict
from saslauthd_py.wire import saslauthd as wire

_CROWDED = 0.01
"""Seconds until the next try where as many connections wait as the other daemon lets: nothing tells when it has taken one."""


class SaslauthdBackend:
    """Implements `Backend`."""

    def __init__(self, settings: SaslauthdSettings) -> None:
        self._path = settings.path
        self._login = settings.login
        self._timeout = settings.timeout
        self._refusals = Refusals()

    async def verify_password(self, attempt: Attempt) -> Verdict:
        """As `Backend.verify_password`; within `timeout`. Cancelled, it closes the connection: what the other daemon does with it is its.

        A daemon that says no does not say whether it knows the name. A yes confirms the name that was asked (rule B1).
        """
        try:
            login = identity.render(self._login, attempt.identity)
        except InvalidIdentity:
            return UnknownUser()
        client = f"{attempt.address};0".encode() if attempt.address else b""  # `address;port`; the port is not known here
        request = wire.Request(login.local.encode(), attempt.secret, attempt.service.encode(), login.realm.encode(), client)
        began, sent = trio.current_time(), False
        with trio.move_on_after(self._timeout):
            try:
                async with await _connected(self._path) as stream:
                    sent = True
                    text = await _asked(stream, wire.encode(request))
            except OSError as error:
                return Unavailable(f"{self._path}: {_advised(error)}")
            except trio.BrokenResourceError:
                text = b""
            verdict = _read(text, self._path)
            if verdict is None:
                return Accepted(login)
            if isinstance(verdict, Rejected):
                self._refusals.note(trio.current_time() - began)
                self._refusals.judged(attempt.secret)
            return verdict
        return Unavailable(f"{self._path}: no answer within {self._timeout:g} s", judged=sent)

    async def pretend(self, secret: Secret) -> None:
        """As `Backend.pretend`. Nothing for a login that the other daemon has judged."""
        await self._refusals.pretend(secret)


async def _connected(path: str) -> trio.SocketStream:
    """Raises OSError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        while True:
            try:
                connection.connect(path)
            except BlockingIOError:  # a full backlog is no state that the kernel tells the end of (unix(7)); trio would take it for a yes
                await trio.sleep(_CROWDED)
            else:
                return trio.SocketStream(trio.socket.from_stdlib_socket(connection))
    except BaseException:
        connection.close()
        raise


async def _asked(stream: trio.SocketStream, request: bytes) -> bytes:
    """The text of the reply; empty: the connection ended before it was whole. Raises BrokenResourceError."""
    with suppress(trio.BrokenResourceError):  # the original refuses a field that is too long before it has read the rest
        await stream.send_all(request)
    received = b""
    while (text := wire.parse_reply(received)) is None:
        data = await stream.receive_some()
        if not data:
            return b""
        received += data
    return text


def _read(text: bytes, path: str) -> Verdict | None:
    """What keeps the login out; None: the first two bytes say OK, and libsasl reads no further."""
    if text.startswith(wire.OK[2:]):
        return None
    if text.startswith(wire.NO[2:]):
        return Rejected(Reason.WRONG_SECRET)
    if not text:
        return Unavailable(f"{path}: closed without an answer: look into the log of the daemon there")
    return Unavailable(f"{path}: answered neither OK nor NO: is it a saslauthd's socket?", judged=True)


def _advised(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "is not there: does the other daemon run, and has path its last part (mux)?"
        case ConnectionRefusedError():
            return "nobody answers: does the other daemon run?"
        case PermissionError():
            return (
                "the daemon's user may not open it: put that user into the group of the socket and its directory, or, "
                "where root starts `serve`, name that group in [server] group, for it keeps no other"
            )
    return error.strerror or "cannot be connected to"
