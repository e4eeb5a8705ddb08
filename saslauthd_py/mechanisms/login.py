"""The LOGIN mechanism's two messages (draft-murchison-sasl-login-00): the name, then the password, each as it is."""

from __future__ import annotations

from functools import partial

from saslauthd_py.mechanisms.exchange import Challenge, Failed, NeedPassword, Step
from saslauthd_py.secret import Secret

NAME_PROMPT, PASSWORD_PROMPT = b"Username:", b"Password:"
"""What clients expect; the draft's own `User Name` and `Password`, each with a NUL, are in nobody's use."""


class MalformedLogin(ValueError):
    """A message that is not LOGIN's. Its text says why, and holds nothing of the message."""


def name(message: bytes) -> str:
    """The authcid in the first message, after base64. Raises MalformedLogin. LOGIN has no authzid."""
    _refuse(message, "name")
    try:
        return message.decode()
    except UnicodeDecodeError:
        raise MalformedLogin("LOGIN with a name that is not UTF-8") from None


def secret(message: bytes) -> Secret:
    """The secret in the second message, after base64. Raises MalformedLogin."""
    _refuse(message, "password")
    return Secret(message)


def begin(initial: bytes | None) -> Step:
    """As `exchange.Begin`. An initial response is the name, which Outlook sends so; an empty one is none."""
    return _named(initial) if initial else Challenge(NAME_PROMPT, _named)


def _named(message: bytes) -> Step:
    try:
        return Challenge(PASSWORD_PROMPT, partial(_presented, name(message)))
    except MalformedLogin as fault:
        return Failed(str(fault))


def _presented(authcid: str, message: bytes) -> Step:
    try:
        return NeedPassword("", authcid, secret(message))
    except MalformedLogin as fault:
        return Failed(str(fault))


def _refuse(message: bytes, what: str) -> None:
    if not message:
        raise MalformedLogin(f"LOGIN with an empty {what}")
    if b"\0" in message:  # Cyrus cuts there, Dovecot refuses: cutting would accept "good\0x" for "good"
        raise MalformedLogin(f"LOGIN with a NUL in its {what}")
