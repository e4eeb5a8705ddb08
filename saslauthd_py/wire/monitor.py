"""The frames between front, monitor and workers: one frame is one datagram of a SOCK_SEQPACKET socket, 16 KiB at most (rule A4).

Every frame carries its own size and a checksum over all of it: what was changed on its way is Malformed as a whole, and never
some other frame. Descriptors travel beside a frame (SCM_RIGHTS), never in it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import partial

from saslauthd_py.secret import Secret

MAX_FRAME = 16384
"""Bytes of one frame; what is longer is no frame."""

_VERSION = 1
_HEAD = struct.Struct("!BBHI")  # version, kind, size of the whole frame, checksum of all but these four bytes
_LISTENER = struct.Struct("!H")
_WORKER = struct.Struct("!HHI")
_CONFIGURATION = struct.Struct("!HI")
_NUMBERED = struct.Struct("!I")
_ENDED = struct.Struct("!HHI")
_SLOT = struct.Struct("!HI")
_CALL = struct.Struct("!IBHHHH")
_ANSWER = struct.Struct("!IBBBIIQ")
_NUMBER = 0xFFFFFFFF


class Malformed(ValueError):
    """Bytes that are no frame. The text says why, and holds none of them."""


class Stage(IntEnum):
    """How far a worker's call came, and so what the `code` of its Answer is."""

    REFUSED = 0
    """Refused by the worker itself: a Refusal. No module, no hash has seen the secret."""
    AUTHENTICATE = 1
    """PAM: the code that pam_authenticate(3) or pam_start(3) returned."""
    ACCOUNT = 2
    """PAM: the code that pam_acct_mgmt(3) returned, after pam_authenticate(3) had accepted."""
    SHADOW = 3
    """Shadow: a Standing."""


class Refusal(IntEnum):
    """Why a worker did not even ask."""

    SERVICE = 1
    """The service is not on the backend's list."""
    NO_SERVICE_FILE = 2
    """PAM has no file of that name, and would take its `other`."""
    DENIED = 3
    """A user that `deny` names or `min_uid` excludes."""
    SECRET = 4
    """A secret that cannot be given: longer than the system takes, or with a NUL."""
    NAME = 5
    """A login that no system has: with a NUL, say."""


class Standing(IntEnum):
    """What the shadow database says of an account and a secret."""

    RIGHT = 0
    WRONG = 1
    UNKNOWN = 2
    LOCKED = 3
    NO_PASSWORD = 4
    ACCOUNT_EXPIRED = 5
    PASSWORD_EXPIRED = 6
    CHANGE_FORCED = 7
    BROKEN = 8
    """A stored hash that cannot be verified."""
    UNREADABLE = 9
    """The database could not be asked."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """Monitor to front, with a descriptor of the text: the configuration that both go by, and the name of the file it was read from.

    `first_pool`: the number of its first backend with workers. `asked`: the Reload that it answers, 0 where nobody in the front asked.
    """

    path: bytes
    first_pool: int = 0
    asked: int = 0


@dataclass(frozen=True, slots=True)
class Listening:
    """Monitor to front, with a listening socket: the one for the `[[listen]]` at this place."""

    place: int


@dataclass(frozen=True, slots=True)
class Controlling:
    """Monitor to front, with a listening socket: the one for `[control]`."""


@dataclass(frozen=True, slots=True)
class Working:
    """Monitor to front, with the front's end of a worker: the one in `slot`, for the backend whose number is `pool`."""

    pool: int
    slot: int
    generation: int


@dataclass(frozen=True, slots=True)
class Begin:
    """Monitor to front: at the start, all has been handed over; later, all but the listeners, and the front is to open what it needs."""


@dataclass(frozen=True, slots=True)
class Serving:
    """Front to monitor: every listener answers. At a reload: and the configuration of before serves no new request."""


@dataclass(frozen=True, slots=True)
class Reload:
    """Front to monitor: read the configuration again. `asked` numbers the requests, from 1."""

    asked: int


@dataclass(frozen=True, slots=True)
class Opened:
    """Front to monitor: the new configuration could be opened; its listeners may be bound."""


@dataclass(frozen=True, slots=True)
class Switch:
    """Monitor to front: the new listeners have been sent, and all others are kept."""


@dataclass(frozen=True, slots=True)
class Declined:
    """Front to monitor: the new configuration cannot be opened, for this reason; all stays as it is."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """Monitor to front: the new configuration cannot be used, for this reason; all stays as it is."""

    text: bytes
    asked: int = 0


@dataclass(frozen=True, slots=True)
class Retired:
    """Front to monitor: the last request of the configuration whose workers begin at this pool is answered."""

    first_pool: int


@dataclass(frozen=True, slots=True)
class End:
    """Front to monitor: the worker that was in `slot` as `generation` is of no more use; put another one in its place."""

    slot: int
    generation: int


@dataclass(frozen=True, slots=True)
class Ended:
    """Monitor to front: the worker that was in `slot` of the backend whose number is `pool` ended by itself; `status` as of wait(2)."""

    pool: int
    slot: int
    status: int


@dataclass(frozen=True, slots=True)
class Call:
    """Front to worker. `urgent`: run at full priority. `address` is the mail client's as text, empty: nobody knows."""

    id: int
    service: bytes
    login: bytes
    secret: Secret
    address: bytes = b""
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """Worker to front: how the call `id` went.

    `delay`: microseconds that a module wants a failure to be held back. `took`: microseconds of the call itself. `expires`: Unix
    time from which on the account is no longer good, 0: never. `last`: this worker takes no more calls. `account`: the login that
    the system confirmed.
    """

    id: int
    stage: Stage
    code: int
    delay: int = 0
    took: int = 0
    expires: int = 0
    last: bool = False
    account: bytes = b""


Frame = (
    Configuration
    | Listening
    | Working
    | Begin
    | Serving
    | End
    | Ended
    | Call
    | Answer
    | Reload
    | Opened
    | Switch
    | Declined
    | Failed
    | Retired
    | Controlling
)

_KINDS: dict[type[Frame], int] = {
    Listening: 1,
    Working: 2,
    Begin: 3,
    Serving: 4,
    End: 5,
    Call: 6,
    Answer: 7,
    Configuration: 8,
    Ended: 9,
    Reload: 10,
    Opened: 11,
    Switch: 12,
    Declined: 13,
    Failed: 14,
    Retired: 15,
    Controlling: 16,
}
_LAST, _URGENT = 1, 1


def encode(frame: Frame) -> bytes:
    """The bytes of a frame. Raises Malformed where it has over MAX_FRAME of them, or a number that its place cannot hold."""
    try:
        body = _body(frame)
    except struct.error:
        raise Malformed("a number out of range") from None
    size = _HEAD.size + len(body)
    if size > MAX_FRAME:
        raise Malformed(f"{size} bytes, over {MAX_FRAME}")
    start = struct.pack("!BBH", _VERSION, _KINDS[type(frame)], size)
    return start + struct.pack("!I", zlib.crc32(body, zlib.crc32(start))) + body


def decode(data: bytes) -> Frame:
    """The frame in one datagram. Raises Malformed."""
    if len(data) < _HEAD.size:
        raise Malformed("shorter than any frame")
    version, kind, size, checksum = _HEAD.unpack_from(data)
    if version != _VERSION or size != len(data) or size > MAX_FRAME:
        raise Malformed("not the size or version of a frame")
    body = data[_HEAD.size :]
    if zlib.crc32(body, zlib.crc32(data[:4])) != checksum:
        raise Malformed("changed on its way")
    try:
        return _parse(kind, body)
    except (struct.error, ValueError) as error:
        raise Malformed(str(error)) from None


def _body(frame: Frame) -> bytes:  # noqa: C901 - one short line for each kind
    match frame:
        case Listening(place):
            return _LISTENER.pack(place)
        case Working(pool, slot, generation):
            return _WORKER.pack(pool, slot, generation)
        case End(slot, generation):
            return _SLOT.pack(slot, generation)
        case Call():
            return _call_body(frame)
        case Answer():
            numbers = (frame.id, _LAST * frame.last, frame.stage, frame.code, min(frame.delay, _NUMBER), min(frame.took, _NUMBER))
            return _ANSWER.pack(*numbers, frame.expires) + frame.account
        case Begin() | Serving() | Opened() | Switch() | Controlling():
            return b""
        case Configuration(path, first_pool, asked):
            return _CONFIGURATION.pack(first_pool, asked) + path
        case Reload(asked):
            return _NUMBERED.pack(asked)
        case Declined(text):
            return text
        case Failed(text, asked):
            return _NUMBERED.pack(asked) + text
        case Retired(first_pool):
            return _LISTENER.pack(first_pool)
        case Ended(pool, slot, status):
            return _ENDED.pack(pool, slot, status)


def _call_body(call: Call) -> bytes:
    fields = (call.service, call.login, call.secret.reveal(), call.address)
    return _CALL.pack(call.id, _URGENT * call.urgent, *map(len, fields)) + b"".join(fields)


def _parse(kind: int, body: bytes) -> Frame:
    parse = _PARSERS.get(kind)
    if parse is None:
        raise ValueError("no kind of frame")
    return parse(body)


def _parse_answer(body: bytes) -> Answer:
    number, flags, stage, code, delay, took, expires = _ANSWER.unpack_from(body)
    return Answer(number, Stage(stage), code, delay, took, expires, _flag(flags), body[_ANSWER.size :])


def _parse_mark(mark: type[Begin | Serving | Opened | Switch | Controlling], body: bytes) -> Frame:
    if body:
        raise ValueError("bytes where there are none")
    return mark()


def _parse_call(body: bytes) -> Call:
    number, flags, *sizes = _CALL.unpack_from(body)
    if _CALL.size + sum(sizes) != len(body):
        raise ValueError("fields of another size")
    fields, at = [], _CALL.size
    for size in sizes:
        fields.append(body[at : at + size])
        at += size
    service, login, secret, address = fields
    return Call(number, service, login, Secret(secret), address, _flag(flags))


def _flag(flags: int) -> bool:
    if flags > 1:
        raise ValueError("an unknown flag")
    return bool(flags)


_PARSERS: dict[int, Callable[[bytes], Frame]] = {
    _KINDS[Configuration]: lambda body: Configuration(body[_CONFIGURATION.size :], *_CONFIGURATION.unpack_from(body)),
    _KINDS[Reload]: lambda body: Reload(*_NUMBERED.unpack(body)),
    _KINDS[Opened]: partial(_parse_mark, Opened),
    _KINDS[Switch]: partial(_parse_mark, Switch),
    _KINDS[Controlling]: partial(_parse_mark, Controlling),
    _KINDS[Declined]: Declined,
    _KINDS[Failed]: lambda body: Failed(body[_NUMBERED.size :], *_NUMBERED.unpack_from(body)),
    _KINDS[Retired]: lambda body: Retired(*_LISTENER.unpack(body)),
    _KINDS[Listening]: lambda body: Listening(*_LISTENER.unpack(body)),
    _KINDS[Working]: lambda body: Working(*_WORKER.unpack(body)),
    _KINDS[Begin]: partial(_parse_mark, Begin),
    _KINDS[Serving]: partial(_parse_mark, Serving),
    _KINDS[End]: lambda body: End(*_SLOT.unpack(body)),
    _KINDS[Ended]: lambda body: Ended(*_ENDED.unpack(body)),
    _KINDS[Call]: _parse_call,
    _KINDS[Answer]: _parse_answer,
}
