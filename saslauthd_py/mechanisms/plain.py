"""The PLAIN mechanism's one message (RFC 4616 section 2): `[authzid] NUL authcid NUL passwd`."""

from __future__ import annotations

from dataclasses import dataclass

from saslauthd_py.mechanisms.exchange import Challenge, Failed, NeedPassword, Step
from saslauthd_py.secret import Secret


class MalformedPlain(ValueError):
    """A message that is not PLAIN's. Its text says why, and holds nothing of the message."""


@dataclass(frozen=True, slots=True)
class PlainMessage:
    """Who proves (`authcid`), and as whom they want to act (`authzid`; empty: as themselves)."""

    authzid: str
    authcid: str
    secret: Secret


def parse(message: bytes) -> PlainMessage:
    """The parts of a message, after base64. Raises MalformedPlain.

    The secret stays bytes: RFC 4616 asks for UTF-8, but old clients send Latin-1, and Cyrus and Dovecot leave it to the comparison.
    """
    parts = message.split(b"\0")
    if len(parts) != 3:
        raise MalformedPlain(f"not PLAIN: {len(parts) - 1} NUL in it, not the two of authzid NUL authcid NUL password")
    authzid, authcid, secret = parts
    if not authcid:
        raise MalformedPlain("PLAIN without an authcid: nothing stands between the two NULs")
    if not secret:
        raise MalformedPlain("PLAIN with an empty password: nothing stands after the second NUL")
    try:
        return PlainMessage(authzid.decode(), authcid.decode(), Secret(secret))
    except UnicodeDecodeError:
        raise MalformedPlain("PLAIN with a name that is not UTF-8") from None


def begin(initial: bytes | None) -> Step:
    """As `exchange.Begin`: without an initial response the client is asked for its message by an empty challenge (RFC 4616 section 2)."""
    return Challenge(b"", _presented) if initial is None else _presented(initial)


def _presented(message: bytes) -> Step:
    try:
        parsed = parse(message)
    except MalformedPlain as fault:
        return Failed(str(fault))
    return NeedPassword(parsed.authzid, parsed.authcid, parsed.secret)
