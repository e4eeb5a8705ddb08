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
        self._buffer = bytearray()
        self._faulted = False

    @property
    def pending(self) -> int:
        """Bytes that were fed and are in no message that was taken. Not 0 when StartTLS is answered: close the connection (rule G3)."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take received bytes."""
        if not self._faulted:
            self._buffer += data

    def next_message(self) -> Message | Fault | None:
        """The next whole message; None: more bytes are needed, or there was a Fault. A Fault comes once, as soon as it can be told."""
        buffer = self._buffer
        if not buffer:
            return None
        try:
            size = self._size()
            if size > len(buffer):
                return None
            if size == len(buffer):
                self._buffer = bytearray()
                return decode(bytes(buffer))
            whole = bytes(buffer[:size])
            del buffer[:size]
            return decode(whole)
        except ber.Malformed as malformed:
            self._faulted = True
            number = _number(bytes(buffer[:_MOST_HEAD])) if isinstance(malformed, _TooLong) else 0
            buffer.clear()
            return Fault(str(malformed), number)

    def _size(self) -> int:
        """How many bytes the first message has, or must at least have. Raises Malformed."""
        buffer = self._buffer
        if buffer[0] != ber.SEQUENCE:
            if buffer[0] in _TLS:
                raise ber.Malformed("the server speaks TLS on this port: its URI begins with ldaps:, or the port is another")
            raise ber.Malformed(f"no LDAP: a message begins with 0x{buffer[0]:02x}")
        if len(buffer) < _HEAD:
            return _HEAD
        if buffer[1] < _LONG:
            size = _HEAD + buffer[1]
        else:
            head = _HEAD + ber.octets_of_length(buffer[1])
            if len(buffer) < head:
                return head
            size = head + int.from_bytes(buffer[_HEAD:head], "big")
        if size > self._limit:
            raise _TooLong(f"an answer of {size} bytes, over the {self._limit} that one may have")
        return size


def _number(head: bytes) -> int:
    """Of the message that begins so; 0: that part of it has not come."""
    try:
        return ber.read_number(ber.INTEGER, head, _HEAD + ber.octets_of_length(head[1]), len(head))[0]
    except ber.Malformed:
        return 0
