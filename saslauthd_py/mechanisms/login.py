"""The LOGIN mechanism's two messages (draft-murchison-sasl-login-00): the name, then the password, each as it is."""

from __future__ import annotations

from saslauthd_py.secret import Secret


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


def _refuse(message: bytes, what: str) -> None:
    if not message:
        raise MalformedLogin(f"LOGIN with an empty {what}")
    if b"\0" in message:  # Cyrus cuts there, Dovecot refuses: cutting would accept "good\0x" for "good"
        raise MalformedLogin(f"LOGIN with a NUL in its {what}")
