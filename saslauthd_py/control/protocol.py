"""The control socket's protocol as bytes: one request, any number of steps, one end; each a JSON object on a line of its own.

Of one version with the daemon: nothing else speaks it. Names come as clients send them, in any bytes, so they travel as base64.
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

from saslauthd_py.secret import Secret
from saslauthd_py.trace import Facts
from saslauthd_py.wire.saslauthd import Request as Login

MAX_REQUEST = 1 << 16
"""Bytes of a request, its line end included: a login of 16 KiB as base64, and room."""

MAX_ANSWER = 1 << 22
"""Bytes of one line of an answer: a status names every listener and backend."""

_MAX_TEXT = 1024
_END = b"\n"


class Malformed(Exception):
    """What came is nothing of this protocol. Its text is one line, and shows nothing of what came."""


class Cause(StrEnum):
    """Why something was not done; each has an exit code of its own."""

    CONFIGURATION = "configuration"
    DENIED = "denied"
    REQUEST = "request"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class AskStatus:
    """How is the daemon?"""


@dataclass(frozen=True, slots=True)
class Reload:
    """Serve with the configuration as it is now."""


@dataclass(frozen=True, slots=True)
class Flush:
    """Forget what was proved of a user as an admin names one; None: of all."""

    user: str | None = None


@dataclass(frozen=True, slots=True)
class Unblock:
    """Forget the failed logins of a user as an admin names one, or of an address."""

    what: str


@dataclass(frozen=True, slots=True)
class Sasl:
    """What a login over Dovecot's protocol says, and the others have no words for: `authzid` is empty where it acts as itself.

    `secured`: the mail client came over TLS. EXTERNAL: it came with a certificate in the login's name.
    """

    mechanism: str = "PLAIN"
    authzid: bytes = b""
    secured: bool = True


PLAIN = Sasl()


@dataclass(frozen=True, slots=True)
class Trace:
    """Decide a login as if it had come to this listener, and tell each step. Over pwcheck only name and secret count."""

    listener: str
    login: Login
    sasl: Sasl = PLAIN


Request = AskStatus | Reload | Flush | Unblock | Trace


@dataclass(frozen=True, slots=True)
class Told:
    """A step on the way: more answers follow."""

    name: str
    seconds: float
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Done:
    """The end: it was done, and this is what came of it."""

    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    """The end: it was not done. `text` is a line, or one for each fault of a configuration."""

    cause: Cause
    text: str


Answer = Told | Done | Failed


class Lines:
    """Cuts what comes into lines of `most` bytes at most."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._data = bytearray()

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        self._data += data

    def line(self) -> bytes | None:
        """The next line, without its end; None: it is not whole. Raises Malformed as soon as it is too long."""
        end = self._data.find(_END, 0, self._most)
        if end < 0:
            if len(self._data) >= self._most:
                raise Malformed(f"a line over {self._most} bytes")
            return None
        line = bytes(self._data[:end])
        del self._data[: end + 1]
        return line


def encode_request(request: Request) -> bytes:
    """A request as the command sends it."""
    match request:
        case AskStatus():
            return _line({"do": "status"})
        case Reload():
            return _line({"do": "reload"})
        case Flush(user):
            return _line({"do": "flush", "user": user})
        case Unblock(what):
            return _line({"do": "unblock", "what": what})
        case Trace(listener, login, sasl):
            fields = {name: b64encode(value).decode() for name, value in _fields(login).items()}
            more = {"mechanism": sasl.mechanism, "authzid": b64encode(sasl.authzid).decode(), "secured": sasl.secured}
            return _line({"do": "trace", "listener": listener, "login": fields, "sasl": more})
    assert_never(request)


def parse_request(line: bytes) -> Request:
    """The request on a line. Raises Malformed."""
    match _object(line):
        case {"do": "status", **rest} if not rest:
            return AskStatus()
        case {"do": "reload", **rest} if not rest:
            return Reload()
        case {"do": "flush", "user": str() | None as user, **rest} if not rest:
            return Flush(None if user is None else _name(user))
        case {"do": "unblock", "what": str(what), **rest} if not rest:
            return Unblock(_name(what))
        case {"do": "trace", "listener": str(listener), "login": dict(fields), "sasl": dict(more), **rest} if not rest:
            return Trace(_name(listener), _login(fields), _sasl(more))
    raise Malformed("no request that this daemon knows: is the command of another version?")


def encode_answer(answer: Answer) -> bytes:
    """An answer as the daemon sends it."""
    match answer:
        case Told(name, seconds, facts):
            return _line({"step": name, "seconds": seconds, "facts": facts})
        case Done(facts):
            return _line({"done": facts})
        case Failed(cause, text):
            return _line({"failed": cause, "text": text})
    assert_never(answer)


def parse_answer(line: bytes) -> Answer:
    """The answer on a line. Raises Malformed."""
    match _object(line):
        case {"step": str(name), "seconds": int() | float() as seconds, "facts": dict(facts)}:
            return Told(name, float(seconds), facts)
        case {"done": dict(facts)}:
            return Done(facts)
        case {"failed": str(cause), "text": str(text)} if cause in set(Cause):
            return Failed(Cause(cause), text)
    raise Malformed("no answer that this command knows: is the daemon of another version?")


def _line(value: Mapping[str, object]) -> bytes:
    return json.dumps(value).encode() + _END


def _object(line: bytes) -> object:
    try:
        return json.loads(line, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Malformed("no JSON") from None


def _no_number(_: str) -> float:
    raise ValueError("not a number")


def _name(text: str) -> str:
    if not text or len(text) > _MAX_TEXT:
        raise Malformed(f"a name of 1 to {_MAX_TEXT} characters is wanted")
    return text


def _fields(login: Login) -> dict[str, bytes]:
    return {
        "login": login.login,
        "secret": login.secret.reveal(),
        "service": login.service,
        "realm": login.realm,
        "client": login.client,
    }


def _login(fields: Mapping[str, object]) -> Login:
    match fields:
        case {"login": str(login), "secret": str(secret), "service": str(service), "realm": str(realm), "client": str(client), **rest} if (
            not rest
        ):
            return Login(_bytes(login), Secret(_bytes(secret)), _bytes(service), _bytes(realm), _bytes(client))
    raise Malformed("no login that this daemon knows: is the command of another version?")


def _sasl(fields: Mapping[str, object]) -> Sasl:
    match fields:
        case {"mechanism": str(mechanism), "authzid": str(authzid), "secured": bool(secured), **rest} if not rest:
            return Sasl(_name(mechanism), _bytes(authzid), secured)
    raise Malformed("no SASL that this daemon knows: is the command of another version?")


def _bytes(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("a field is no base64") from None
