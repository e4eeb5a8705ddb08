"""How both sides begin. Ours goes out all at once: Exim before 4.99 and Radicale say nothing until they have DONE."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from saslauthd_py.wire.dovecot.events import Hello, Violation

MAX_HELLO = 1024
"""Bytes: Radicale reads a handshake with one recv of that size."""

MAX_MINOR = 2
"""Of version 1. From 1.3 on, clients expect channel binding, and a patched Radicale another line."""

FLAGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "PLAIN": ("plaintext",),
        "LOGIN": ("plaintext",),
        "SCRAM-SHA-1": ("mutual-auth",),
        "SCRAM-SHA-256": ("mutual-auth",),
        "EXTERNAL": (),
    }
)
"""By mechanism, what MECH says of it, in Dovecot's words. Postfix chooses by them (`smtpd_sasl_security_options`)."""

PLAINTEXT = frozenset(mechanism for mechanism, flags in FLAGS.items() if "plaintext" in flags)
"""Mechanisms that send the secret as it is: refused without TLS where `require_tls` says so."""

_COOKIE = 16
_DIGITS = 10


def hello(mechanisms: Iterable[str], pid: int, number: int, cookie: bytes, minor: int = MAX_MINOR) -> bytes:
    """The whole handshake of a server, for one write at accept: `mechanisms` as they are to be offered, `pid` ours.

    `number` is that of the connection in this process, `cookie` 16 random bytes. ValueError: no mechanism, an unknown one, more than
    MAX_HELLO bytes, or a value that the protocol cannot say.
    """
    offered = list(mechanisms)
    if unknown := [mechanism for mechanism in offered if mechanism not in FLAGS]:
        raise ValueError(f"no such mechanism: {', '.join(unknown)}")
    if not offered or pid < 1 or number < 1 or len(cookie) != _COOKIE or not 0 <= minor <= MAX_MINOR:
        raise ValueError("a handshake has a mechanism, numbers from 1 on, a cookie of 16 bytes and a minor version from 0 to 2")
    lines = [
        f"VERSION\t1\t{minor}",
        *("\t".join(("MECH", mechanism, *FLAGS[mechanism])) for mechanism in offered),  # before SPID: Postfix and Exim insist
        f"SPID\t{pid}",
        f"CUID\t{number}",
        f"COOKIE\t{cookie.hex()}",
        "DONE\n",
    ]
    whole = "\n".join(lines).encode()
    if len(whole) > MAX_HELLO:
        raise ValueError(f"a handshake of {len(whole)} bytes, over {MAX_HELLO}")
    return whole


class Greeting:
    """The client's side: VERSION, then CPID. `minor` is its minor version of 1, -1 before that; `missing` the line it still owes."""

    def __init__(self) -> None:
        self.minor = -1
        self.missing = "VERSION"

    def read(self, fields: list[bytes]) -> Hello | Violation | None:
        """What its next line means, unescaped; None: it is one of the two, and CPID is to follow."""
        match self.missing, fields:
            case "VERSION", [b"VERSION", *numbers]:
                return self._version(numbers)
            case "VERSION", _:
                return Violation.NO_VERSION
            case _, [b"VERSION", *_]:
                return Violation.SECOND_VERSION
            case _, [b"CPID", pid, *_] if pid:
                self.missing = ""
                return Hello(self.minor, pid)
            case _, [b"CPID", *_]:
                return Violation.EMPTY_CPID
        return Violation.NO_CPID

    def _version(self, numbers: list[bytes]) -> Violation | None:
        if len(numbers) != 2 or not all(number.isdigit() and len(number) <= _DIGITS for number in numbers):
            return Violation.BAD_VERSION
        if int(numbers[0]) != 1:
            return Violation.OTHER_MAJOR
        self.minor = int(numbers[1])
        self.missing = "CPID"
        return None
