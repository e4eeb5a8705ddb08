"""The server's signature in a Dovecot dialogue, made wrong: what somebody in the middle sends who does not have the account's keys."""

from __future__ import annotations

import base64


def forged(line: bytes) -> bytes:
    """A line of the daemon: a CONT with `v=` gets another signature of the same length; any other stays."""
    match line.rstrip(b"\n").split(b"\t"):
        case [b"CONT", number, message] if (said := base64.b64decode(message)).startswith(b"v="):
            signature = base64.b64decode(said[2:])
            other = b"v=" + base64.b64encode(bytes([signature[0] ^ 1]) + signature[1:])
            return b"CONT\t%b\t%b\n" % (number, base64.b64encode(other))
    return line
