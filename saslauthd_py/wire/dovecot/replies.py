"""The three lines of a server after its handshake. Only `key=value` behind the number: go-dovecot-sasl breaks at anything else."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from saslauthd_py.identity import Identity
from saslauthd_py.wire.dovecot.lines import MAX_REPLY, encode

MAX_REASON = 200


class Code(StrEnum):
    """Why it failed, where the client may know. Postfix and Exim take no notice: to them an outage is a connection that closes."""

    TEMP_FAIL = "temp_fail"
    INVALID_BASE64 = "invalid_base64"


@dataclass(frozen=True, slots=True)
class Failure:
    """What FAIL says. `reason` is shown to whoever tries to log in, and stands in Postfix's log: printable ASCII, MAX_REASON at most."""

    reason: str
    code: Code | None = None

    def __post_init__(self) -> None:
        if not 0 < len(self.reason) <= MAX_REASON or not self.reason.isascii() or not self.reason.isprintable():
            raise ValueError(f"a reason is one line of printable ASCII, 1 to {MAX_REASON} characters")


REJECTED = Failure("invalid user name or password")
"""One text for every cause (rule D6)."""

UNAVAILABLE = Failure("temporary authentication failure, try again later", Code.TEMP_FAIL)


def challenge(number: int, message: bytes) -> bytes:
    """CONT. An empty message is an empty field. ValueError: too long for Exim."""
    return _bounded(b"CONT\t%d\t%b\n" % (number, encode(message)))


def accepted(number: int, user: Identity, final: bytes | None = None) -> bytes:
    """OK, with a mechanism's last message where there is one. Clients need `user=` and do not unescape it: an Identity has no controls."""
    resp = b"" if final is None else b"\tresp=" + encode(final)
    return _bounded(b"OK\t%d\tuser=%b%b\n" % (number, str(user).encode(), resp))


def failed(number: int, failure: Failure, user: Identity | None = None) -> bytes:
    """FAIL. Without a reason some Postfix logs the last challenge in its place; with a name its log has one for fail2ban."""
    name = f"\tuser={user}" if user else ""
    code = f"\tcode={failure.code}" if failure.code else ""
    return _bounded(f"FAIL\t{number}{name}{code}\treason={failure.reason}\n".encode())


def _bounded(line: bytes) -> bytes:
    if len(line) > MAX_REPLY:
        raise ValueError(f"a reply of {len(line)} bytes, over {MAX_REPLY}")
    return line
