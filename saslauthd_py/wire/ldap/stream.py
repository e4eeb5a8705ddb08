"""What a server sends, cut into messages: bytes in, answers out, bounded in size (rule G3)."""

from __future__ import annotations

from dataclasses import dataclass

from saslauthd_py.wire.ldap import ber
from saslauthd_py.wire.ldap.answers import Message, decode

MAX_MESSAGE = 1 << 20
"""Bytes of a whole message, where nothing else is said."""

_HEAD = 2
_LONG = 0x80
_MOST_HEAD = 12
"""Bytes in which a message has its length and its number."""

_TLS = b"\x15\x16"


@dataclass(frozen=True, slots=True)
class Fault:
    """The server does not speak LDAP, or says too much at once: the connection is over. `text` is its one line for the log.

    `number`: of the request whose answer alone was too much; 0: nobody's, or it cannot be told.
    """

    text: str
    number: int = 0


class _TooLong(ber.Malformed):
    """A message over the limit."""


class Stream:
    """The server's side of one connection: `feed` what was received, then take every `next_message`.

    `limit`: bytes that a whole message may have. As long as all messages are taken before more is fed, no more is ever held than that
    and what was fed last. What follows a Fault is thrown away.
    """

    def __init__(self, limit: int = MAX_MESSAGE) -> None:
        self._limit = limit
        self._fed = b""
        self._at = 0  # where in `_fed` the next message begins
        self._begun = bytearray()  # one that was not whole when all before it were taken; then nothing else is held
        self._needed = 0  # how many bytes of it must be there before more can be told
        self._faulted = False

    @property
    def pending(self) -> int:
        """Bytes that were fed and are in no message that was taken. Not 0 when StartTLS is answered: close the connection (rule G3)."""
        return len(self._fed) - self._at + len(self._begun)

    def feed(self, data: bytes) -> None:
        """Take received bytes."""
        if self._faulted:
            return
        if self._begun:
            self._begun += data
            if len(self._begun) >= self._needed:
                self._fed = bytes(self._begun)
                self._begun.clear()
        elif self._fed:
            self._fed = self._fed[self._at :] + data
            self._at = 0
        else:
            self._fed = data

    def next_message(self) -> Message | Fault | None:
        """The next whole message; None: more bytes are needed, or there was a Fault. A Fault comes once, as soon as it can be told."""
        data, at = self._fed, self._at
        if not data:
            return None
        try:
            begin = at + _HEAD
            if begin <= len(data) and data[at] == ber.SEQUENCE and (size := data[at + 1]) < _LONG:  # nearly every one
                end = begin + size
            else:
                begin, end = _bounds(data, at)
            if end - at > self._limit:
                raise _TooLong(f"an answer of {end - at} bytes, over the {self._limit} that one may have")
            if end < len(data):
                self._at = end
            else:
                self._fed, self._at = b"", 0
                if end > len(data):
                    self._begun += data[at:]
                    self._needed = end - at
                    return None
            number, answer = decode(data, begin, end)
        except ber.Malformed as malformed:
            self._faulted = True
            self._fed, self._at = b"", 0
            return Fault(str(malformed), _number(data[at : at + _MOST_HEAD]) if isinstance(malformed, _TooLong) else 0)
        return Message(number, answer, end - at)


def _bounds(data: bytes, at: int) -> tuple[int, int]:
    """Where the contents of the message at `at` begin and end, or must at least begin and end. Raises Malformed."""
    if data[at] != ber.SEQUENCE:
        if data[at] in _TLS:
            raise ber.Malformed("the server speaks TLS on this port: its URI begins with ldaps:, or the port is another")
        raise ber.Malformed(f"no LDAP: a message begins with 0x{data[at]:02x}")
    begin = at + _HEAD
    if begin > len(data):
        return begin, begin
    size = data[at + 1]
    if size >= _LONG:
        begin += ber.octets_of_length(size)
        size = int.from_bytes(data[at + _HEAD : begin], "big") if begin <= len(data) else 0
    return begin, begin + size


def _number(head: bytes) -> int:
    """Of the message that begins so; 0: that part of it has not come."""
    try:
        return ber.read_number(ber.INTEGER, head, _HEAD + ber.octets_of_length(head[1]), len(head))[0]
    except ber.Malformed:
        return 0
