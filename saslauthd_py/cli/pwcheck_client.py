"""A client of the pwcheck socket as libsasl is one."""

from __future__ import annotations

from saslauthd_py.cli import socket_client
from saslauthd_py.cli.socket_client import PATIENCE, Answer, Reply, Where, name_bytes
from saslauthd_py.secret import Secret
from saslauthd_py.wire import pwcheck


def as_libsasl(user: str, secret: Secret) -> pwcheck.Request:
    """The request that libsasl would send: `user` whole (`checkpw.c`)."""
    return pwcheck.Request(name_bytes(user), secret)


def ask(where: Where, request: pwcheck.Request, patience: float = PATIENCE) -> Reply:
    """Ask once. Raises CommandFailed as `socket_client.ask`."""
    return socket_client.ask(where, pwcheck.encode(request), _judge, patience)


def _judge(data: bytes, ended: bool) -> Answer | None:
    if not ended and len(data) < pwcheck.MAX_REPLY:
        return None
    if not data:
        return Answer.CLOSED
    return Answer.ACCEPTED if pwcheck.accepts(data) else Answer.REJECTED
