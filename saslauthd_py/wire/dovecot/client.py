"""The client's side, as Postfix is one (`xsasl_dovecot_server.c`): it announces 1.0, and has one request at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from saslauthd_py.wire.dovecot.connection import OutOfTurn
from saslauthd_py.wire.dovecot.events import MailClient
from saslauthd_py.wire.dovecot.lines import MAX_LINE, decode, encode, unescape

TEMPORARY = "temp_fail"
"""The `code` of an outage; Postfix and Exim do not look at it."""

_BEFORE_2_3 = {b"temp": TEMPORARY, b"authz": "authz_fail", b"user_disabled": "user_disabled", b"pass_expired": "pass_expired"}
"""What a FAIL of old said without `code=`, by itself."""

_EMPTY_INITIAL = b"="
_ESCAPES = ((b"\1", b"\0011"), (b"\0", b"\0010"), (b"\t", b"\1t"), (b"\r", b"\1r"), (b"\n", b"\1n"))


@dataclass(frozen=True, slots=True)
class Offer:
    """The server's handshake is over: the mechanisms that it offers, in upper case and its order."""

    mechanisms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Challenge:
    """To be answered by `respond`."""

    message: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Accepted:
    """OK: who is logged in. `final` is the mechanism's last message; None: there is none, or a challenge was it."""

    user: str
    final: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Rejected:
    """FAIL: why, in the server's words, its `code`, and who it was that tried; each empty where it does not say."""

    reason: str
    code: str = ""
    user: str = ""


class Fault(Enum):
    """The server does not speak this protocol: the connection is over. The value is its one line."""

    NO_VERSION = "its first line is not VERSION: no socket of Dovecot's auth protocol"
    OTHER_MAJOR = "its protocol is not version 1"
    MASTER = "SPID before any MECH: this is an auth-master/userdb socket, a mail server needs an auth-client socket"
    NO_MECHANISM = "it offers no mechanism"
    LINE_TOO_LONG = "a line of more than 16384 bytes"
    NO_USER = "OK without user=, which Postfix and Exim take for a failure"
    BAD_MESSAGE = "a message that is not base64"


ServerEvent = Offer | Challenge | Accepted | Rejected | Fault


class Client:
    """One connection. Send `greeting` once it is there, `feed` what comes, take every `next_event`; after Offer, `auth`."""

    def __init__(self, pid: int) -> None:
        self.greeting = b"VERSION\t1\t0\nCPID\t%d\n" % pid
        self._buffer = bytearray()
        self._greeted = self._over = False
        self._offered: list[str] = []
        self._offer: Offer | None = None
        self._number = 0
        self._asking = self._challenged = False

    def feed(self, data: bytes) -> None:
        """Take what was received."""
        self._buffer += data

    def next_event(self) -> ServerEvent | None:
        """What the next line says that matters, None: more bytes are needed. Lines that Postfix does not know are passed over, as by it."""
        while not self._over and (line := self._next_line()) is not None:
            event: ServerEvent | None = Fault.LINE_TOO_LONG
            if len(line) <= MAX_LINE:
                fields = [unescape(part) for part in line.removesuffix(b"\r").split(b"\t")]
                event = self._greeting(fields) if self._offer is None else self._reply(fields)
            self._over = isinstance(event, Fault)
            if event is not None:
                return event
        return None

    def auth(self, mechanism: str, service: bytes, client: MailClient, initial: bytes | None = None) -> bytes:
        """The AUTH line that begins an exchange; `initial` None: without an initial response. OverflowError: no line can carry it.

        OutOfTurn: before Offer, or while another exchange goes on.
        """
        if self._offer is None or self._asking or self._over:
            raise OutOfTurn("AUTH before the handshake is over, or while an exchange goes on")
        address = str(client.address or "").encode()
        fields = [b"service=" + service, b"nologin", b"lip=", b"rip=" + address]
        fields += [b"secured"] if client.secured else []
        fields += [b"valid-client-cert", b"cert_username=" + client.certificate_user] if client.certified else []
        fields += [] if initial is None else [b"resp=" + (encode(initial) or _EMPTY_INITIAL)]
        line = _written(b"AUTH", b"%d" % (self._number + 1), mechanism.encode(), *fields)
        self._number += 1
        self._asking = True
        return line

    def respond(self, message: bytes) -> bytes:
        """The CONT line with the answer to a challenge. OverflowError as `auth`; OutOfTurn: there is none to be answered."""
        if not self._challenged or self._over:
            raise OutOfTurn("CONT without a challenge")
        line = _written(b"CONT", b"%d" % self._number, encode(message))
        self._challenged = False
        return line

    def _next_line(self) -> bytes | None:
        line, end, rest = self._buffer.partition(b"\n")
        if not end and len(line) <= MAX_LINE:
            return None
        self._buffer = rest
        return bytes(line)

    def _greeting(self, fields: list[bytes]) -> ServerEvent | None:
        match fields:
            case [b"VERSION", b"1", *_]:
                self._greeted = True
            case [b"VERSION", *_]:
                return Fault.OTHER_MAJOR
            case _ if not self._greeted:
                return Fault.NO_VERSION
            case [b"MECH", name, *_]:
                self._offered.append(_text(name).upper())
            case [b"SPID", *_] if not self._offered:
                return Fault.MASTER
            case [b"DONE", *_]:
                self._offer = Offer(tuple(self._offered))
                return self._offer if self._offered else Fault.NO_MECHANISM
        return None

    def _reply(self, fields: list[bytes]) -> ServerEvent | None:
        if not self._asking or len(fields) < 2 or fields[1] != b"%d" % self._number:
            return None  # a late reply to a request that is over
        named = dict(part.partition(b"=")[::2] for part in fields[2:])
        match fields[0]:
            case b"CONT":
                message = decode(fields[2]) if len(fields) > 2 else b""
                self._challenged = message is not None
                return Fault.BAD_MESSAGE if message is None else Challenge(message)
            case b"OK":
                self._asking = self._challenged = False
                return _accepted(named)
            case b"FAIL":
                self._asking = self._challenged = False
                old = next((code for word, code in _BEFORE_2_3.items() if word in named), "")
                return Rejected(_text(named.get(b"reason", b"")), _text(named.get(b"code", b"")) or old, _text(named.get(b"user", b"")))
        return None


def _accepted(named: dict[bytes, bytes]) -> Accepted | Fault:
    final = decode(named[b"resp"]) if b"resp" in named else None
    if not named.get(b"user"):
        return Fault.NO_USER
    if b"resp" in named and final is None:
        return Fault.BAD_MESSAGE
    return Accepted(_text(named[b"user"]), final)


def _written(*fields: bytes) -> bytes:
    line = b"\t".join(map(_escaped, fields))
    if len(line) > MAX_LINE:
        raise OverflowError(f"a line of {len(line)} bytes, over {MAX_LINE}")
    return line + b"\n"


def _escaped(part: bytes) -> bytes:
    for raw, escaped in _ESCAPES:
        part = part.replace(raw, escaped)
    return part


def _text(name: bytes) -> str:
    return name.decode(errors="backslashreplace")
