"""What a server sends, cut into responses: bytes in, values out, bounded in size."""

from __future__ import annotations

import re

from saslauthd_py.wire.imap.responses import ImapFault, Response, holds_data, parse

MAX_RESPONSE = 16384
"""Bytes of one response, its literals too."""

MAX_HEARD = 262144
"""Bytes of all that a server says up to the end of a login."""

_LITERAL = re.compile(rb"~?\{([0-9]{1,9})\+?\}$")
_TLS = b"\x15\x16"


class Stream:
    """The server's side of one connection: `feed` what was received, then take every `next_response`."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._heard = 0
        self._at = 0

    @property
    def pending(self) -> int:
        """Bytes that were fed and are in no response that was taken. Not 0 when STARTTLS is answered: somebody may stand between."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take received bytes. Raises ImapFault where that is more than a login can ever be worth."""
        self._heard += len(data)
        if self._heard > MAX_HEARD:
            raise ImapFault(f"says more than {MAX_HEARD} bytes for one login")
        self._buffer += data

    def next_response(self) -> Response | None:
        """The next whole response; None: more bytes are needed. Raises ImapFault."""
        buffer = self._buffer
        if not buffer:
            return None
        if buffer[0] in _TLS:
            raise ImapFault("speaks TLS on this port: its URI begins with imaps:, or the port is another")
        end = self._end()
        if (len(buffer) if end is None else end) > MAX_RESPONSE:
            raise ImapFault(f"says more than {MAX_RESPONSE} bytes at once")
        if end is None:
            return None
        line = bytes(buffer[:end])
        del buffer[:end]
        self._at = 0
        return parse(_without_end(line))

    def _end(self) -> int | None:
        """Where the first response ends; None: it is not whole yet. Where a literal says that it is too long, there it is.

        What was looked at stands before `_at`: a server that sends one byte at a time costs no more than one that does not.
        """
        while (found := self._buffer.find(b"\n", self._at)) >= 0:
            line = _without_end(bytes(self._buffer[self._at : found + 1]))
            literal = _LITERAL.search(line)
            if literal is None or (self._at == 0 and not holds_data(line)):
                return found + 1
            self._at = found + 1 + int(literal[1])
            if self._at > MAX_RESPONSE:
                return self._at
        return None


def _without_end(line: bytes) -> bytes:
    return line.removesuffix(b"\n").removesuffix(b"\r")
