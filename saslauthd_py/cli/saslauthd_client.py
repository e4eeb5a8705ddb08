"""A client of the saslauthd socket as libsasl is one."""

from __future__ import annotations

from saslauthd_py.cli import socket_client
from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.cli.socket_client import PATIENCE, Answer, Reply, Where, name_bytes
from saslauthd_py.secret import Secret
from saslauthd_py.wire import saslauthd


def as_libsasl(user: str, secret: Secret, service: str, realm: str, client: str) -> saslauthd.Request:
    """The request that libsasl would send: `user` split at its last @, whose realm then counts instead of `realm` (`checkpw.c`).

    `client` is an address, or empty.
    """
    name, at, own = user.rpartition("@")
    login, realm = (name, own) if at else (user, realm)
    fifth = f"{client};0" if client else ""  # libsasl sends `address;port`; no port is known here, and none is looked at
    return saslauthd.Request(name_bytes(login), secret, name_bytes(service), name_bytes(realm), name_bytes(fifth))


def ask(where: Where, request: saslauthd.Request, patience: float = PATIENCE) -> Reply:
    """Ask once. Raises CommandFailed as `socket_client.ask`, and for a request too large."""
    try:
        encoded = saslauthd.encode(request)
    except OverflowError:
        raise CommandFailed(Exit.BAD_INPUT, "a field over 65535 bytes: the protocol cannot carry it") from None
    return socket_client.ask(where, encoded, _judge, patience)


def _judge(data: bytes, ended: bool) -> Answer | None:
    text = saslauthd.parse_reply(data)
    if text is None:
        return Answer.CLOSED if ended else None
    return Answer.ACCEPTED if text.startswith(saslauthd.OK[2:]) else Answer.REJECTED
