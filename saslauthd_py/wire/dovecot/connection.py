"""One client's connection: bytes in, events out, and a reply for every request, once (rule E7)."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from saslauthd_py.identity import Identity
from saslauthd_py.secret import Secret
from saslauthd_py.wire.dovecot import parameters, replies
from saslauthd_py.wire.dovecot.events import Auth, Cancel, Completed, Event, Refused, Request, Response, Violation
from saslauthd_py.wire.dovecot.handshake import Greeting
from saslauthd_py.wire.dovecot.lines import MAX_BUFFERED, MAX_HELD, MAX_LINE, MAX_REQUESTS, decode, number_of, unescape
from saslauthd_py.wire.dovecot.replies import REJECTED, UNAVAILABLE, Code, Failure

_BAD_BASE64 = Failure("invalid base64 data in the response", Code.INVALID_BASE64)
_UNKNOWN_MECHANISM = Failure("unsupported authentication mechanism")
_UNEXPECTED = Failure("unexpected continuation")
_UNKNOWN_ID = Failure("authentication request timed out")
_MASTER = frozenset({b"USER", b"PASS", b"LIST", b"REQUEST"})
_EMPTY_INITIAL = b"="
_EMPTY_RESP_COUNTS = 2
"""The client's minor version from which an empty `resp=` is an initial response: Exim, at 0, always sends one."""


class OutOfTurn(RuntimeError):
    """A bug of the caller: it answers a request that is over, or that waits for its client, or a connection that is closed."""


@dataclass(slots=True, eq=False)
class _Open:
    request: Request
    held: int
    """Bytes of the line that waits for our answer; 0: we wait for the client's."""
    completion: bytes = b""
    """The OK for which the mechanism's last message is under way."""


class Connection:
    """The protocol from accept on; `mechanisms` are those that its `hello` has offered, in upper case.

    `feed` what was received, then take every `next_event`. A `Request` is answered by `challenge`, and at last by `ok` or `fail`: each
    returns the bytes to send, and raises OutOfTurn for a request that does not wait for us.
    """

    def __init__(self, mechanisms: AbstractSet[str]) -> None:
        self._mechanisms = mechanisms
        self._buffer = bytearray()
        self._searched = 0
        self._greeting = Greeting()
        self._closed = False
        self._open: dict[int, _Open] = {}
        self._held = 0

    @property
    def minor(self) -> int:
        """The client's minor version of 1; -1 before its VERSION."""
        return self._greeting.minor

    @property
    def missing(self) -> str:
        """The line that the client still owes for its handshake, for the log of one that is too slow; "": none."""
        return self._greeting.missing

    @property
    def closed(self) -> bool:
        """After a Violation or `close`."""
        return self._closed

    @property
    def at_line(self) -> bool:
        """Whether the next byte begins a line after the handshake, so that the loop may answer AUTH lines without this object."""
        return not (self._buffer or self._closed or self._greeting.missing)

    @property
    def room(self) -> int:
        """How many bytes may be fed before the next events are taken."""
        return MAX_BUFFERED - len(self._buffer)

    @property
    def owed(self) -> tuple[Request, ...]:
        """The requests that wait for our answer, oldest first."""
        return tuple(entry.request for entry in self._open.values() if entry.held)

    @property
    def awaited(self) -> tuple[Request, ...]:
        """The requests whose client has to answer a challenge, oldest AUTH first. Postfix never says that one was given up."""
        return tuple(entry.request for entry in self._open.values() if not entry.held)

    def is_open(self, request: Request) -> bool:
        """Whether the request still has no final reply: a task asks before it answers, as its client may have cancelled."""
        entry = self._open.get(request.number)
        return entry is not None and entry.request is request

    def is_free(self, number: bytes) -> bool:
        """Whether no open request has the number in an AUTH line, as `span` finds it."""
        return not self._open or int(number) not in self._open

    def feed(self, data: bytes) -> None:
        """Take received bytes, `room` at most (ValueError). After the connection is closed they are thrown away."""
        if self._closed:
            return
        if len(data) > self.room:
            raise ValueError(f"{len(data)} bytes for a connection with room for {self.room}")
        self._buffer += data

    def next_event(self) -> Event | None:
        """What the next whole line says; None: more bytes are needed, or the connection is closed. A Violation closes it."""
        while not self._closed:
            end = self._buffer.find(b"\n", self._searched)
            if end > MAX_LINE or (end < 0 and len(self._buffer) > MAX_LINE):
                return self._violated(Violation.LINE_TOO_LONG)
            if end < 0:
                self._searched = len(self._buffer)
                return None
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._searched = 0
            event = self._read(line)
            if isinstance(event, Violation):
                return self._violated(event)
            if event is not None:
                return event
        return None

    def challenge(self, request: Request, message: bytes) -> bytes:
        """The CONT with a mechanism's message, empty where it only asks for the initial response. The request waits for its client."""
        entry = self._owing(request)
        reply = replies.challenge(request.number, message)
        self._release(entry)
        return reply

    def ok(self, request: Request, user: Identity, final: bytes | None = None) -> bytes:
        """The OK for the identity that was confirmed. `final` is a mechanism's last message (SCRAM: the server's signature).

        For a client that cannot take it with OK, these bytes are a CONT with it, and OK follows in Completed, when that is answered.
        """
        entry = self._owing(request)
        if final is not None and not request.final_resp_ok:
            completion = replies.accepted(request.number, user)
            reply = replies.challenge(request.number, final)
            entry.completion = completion
            self._release(entry)
            return reply
        reply = replies.accepted(request.number, user, final)
        self._end(entry)
        return reply

    def fail(self, request: Request, failure: Failure = REJECTED, user: Identity | None = None) -> bytes:
        """The FAIL for a request; `user`: who it was that tried, where that is known."""
        entry = self._owing(request)
        reply = replies.failed(request.number, failure, user)
        self._end(entry)
        return reply

    def drop(self, request: Request) -> None:
        """Forget a request without a reply: its client has not answered a challenge in time (rule E8). OutOfTurn: it waits for us."""
        entry = self._entry(request)
        if entry.held:
            raise OutOfTurn(f"request {request.number} waits for our answer and cannot be dropped")
        self._end(entry)

    def close(self) -> None:
        """The connection is over, with all its requests and whatever it has received. Any number of times."""
        self._closed = True
        self._open.clear()
        self._buffer.clear()

    def _violated(self, violation: Violation) -> Violation:
        self.close()
        return violation

    def _read(self, line: bytes) -> Event | None:
        if b"\0" in line:
            return Violation.NUL
        line = line.removesuffix(b"\r")
        if not line:
            return Violation.EMPTY_LINE
        fields = [unescape(field) for field in line.split(b"\t")]
        if fields[0] in _MASTER:
            return Violation.MASTER
        if self._greeting.missing:
            return self._greeting.read(fields)
        match fields[0]:
            case b"AUTH":
                return self._auth(fields, line)
            case b"CONT":
                return self._cont(fields, len(line))
            case b"CANCEL":
                return self._cancel(fields)
            case b"VERSION":
                return Violation.SECOND_VERSION
        return Violation.UNKNOWN_COMMAND

    def _auth(self, fields: list[bytes], line: bytes) -> Event:
        number = number_of(fields[1]) if len(fields) > 1 else None
        if number is None:
            return Violation.BAD_ID
        if number in self._open:
            return Violation.DUPLICATE_ID
        if len(fields) < 3 or not fields[2]:
            return Violation.NO_MECHANISM
        asked = parameters.parse(fields[3:])
        if isinstance(asked, Violation):
            return asked
        if len(self._open) >= MAX_REQUESTS or self._held + len(line) > MAX_HELD:
            return _refused(number, UNAVAILABLE, "too many requests in flight")
        mechanism = fields[2].decode("ascii", "replace").upper()
        if mechanism not in self._mechanisms:
            return _refused(number, _UNKNOWN_MECHANISM)
        message = self._initial(asked.resp)
        initial = None if message is None else decode(message)
        if message is not None and initial is None:
            return _refused(number, _BAD_BASE64)
        request = Request(number, asked.final_resp_ok)
        self._open[number] = _Open(request, len(line))
        self._held += len(line)
        span = Secret(b"\t" + line.split(b"\t", 2)[2])
        return Auth(request, mechanism, asked.service, None if initial is None else Secret(initial), asked.client, span)

    def _initial(self, resp: Secret | None) -> bytes | None:
        """The base64 of an initial response; None: there is none, and the exchange begins with a challenge."""
        message = None if resp is None else resp.reveal()
        if message == b"" and self.minor < _EMPTY_RESP_COUNTS:
            return None
        return b"" if message == _EMPTY_INITIAL else message  # "=" is SMTP's empty one (RFC 4954 section 4), and Postfix hands it on

    def _cont(self, fields: list[bytes], size: int) -> Event:
        number = number_of(fields[1]) if len(fields) > 1 else None
        if number is None:
            return Violation.BAD_ID
        if len(fields) < 3:
            return Violation.NO_MESSAGE
        entry = self._open.get(number)
        if entry is None:
            return _refused(number, _UNKNOWN_ID)
        if entry.held:
            return self._refuse(entry, _UNEXPECTED)
        message = decode(fields[2]) if len(fields) == 3 else None  # a fourth field is 1.3's channel binding
        if message is None:
            return self._refuse(entry, _BAD_BASE64)
        if entry.completion:
            self._end(entry)
            return Completed(entry.request, entry.completion)
        if self._held + size > MAX_HELD:
            return self._refuse(entry, UNAVAILABLE, "too many requests in flight")
        entry.held = size
        self._held += size
        return Response(entry.request, Secret(message))

    def _cancel(self, fields: list[bytes]) -> Event | None:
        number = number_of(fields[1]) if len(fields) > 1 else None
        if number is None:
            return Violation.BAD_ID
        entry = self._open.get(number)
        if entry is None:  # our final reply was under way
            return None
        self._end(entry)
        return Cancel(entry.request)

    def _refuse(self, entry: _Open, failure: Failure, why: str = "") -> Refused:
        self._end(entry)
        return _refused(entry.request.number, failure, why, entry.request)

    def _entry(self, request: Request) -> _Open:
        entry = self._open.get(request.number)
        if entry is None or entry.request is not request:
            raise OutOfTurn(f"request {request.number} is over: answered, cancelled, dropped, or its connection is closed")
        return entry

    def _owing(self, request: Request) -> _Open:
        entry = self._entry(request)
        if not entry.held:
            raise OutOfTurn(f"request {request.number} waits for its client")
        return entry

    def _release(self, entry: _Open) -> None:
        self._held -= entry.held
        entry.held = 0

    def _end(self, entry: _Open) -> None:
        self._release(entry)
        del self._open[entry.request.number]


def _refused(number: int, failure: Failure, why: str = "", request: Request | None = None) -> Refused:
    return Refused(number, why or failure.reason, replies.failed(number, failure), request)
