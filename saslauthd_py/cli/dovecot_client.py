"""A client of Dovecot's auth protocol as Postfix is one, with the mail client behind it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from saslauthd_py.cli import socket_client
from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.cli.socket_client import PATIENCE, Answer, Line, Reply, Where
from saslauthd_py.mechanisms import client as sasl
from saslauthd_py.mechanisms.client import Credentials, Said
from saslauthd_py.mechanisms.scram.client import Untrusted
from saslauthd_py.mechanisms.scram.keys import Unusable
from saslauthd_py.wire.dovecot.client import TEMPORARY, Accepted, Challenge, Client, Fault, Offer, Rejected
from saslauthd_py.wire.dovecot.events import MailClient

_OVER_TLS = MailClient(secured=True)


@dataclass(frozen=True, slots=True)
class Login:
    """One login: what the mail client says, and what the mail server says of it."""

    mechanism: str
    credentials: Credentials
    service: bytes = b"smtp"
    client: MailClient = _OVER_TLS


def ask(where: Where, login: Login, patience: float = PATIENCE) -> Reply:
    """Log in once. Raises CommandFailed as `socket_client.ask`.

    It is BAD_INPUT for a server that does not speak the protocol, does not offer the mechanism, or does not prove that it knows the
    password, for neither a later try nor another password would change that; and for what the protocol or the mechanism cannot carry.
    """
    try:
        said = sasl.begin(login.mechanism, login.credentials)
        return socket_client.converse(where, lambda line: _Conversation(line, login, said).held(), patience)
    except _Unfit as fault:
        raise CommandFailed(Exit.BAD_INPUT, f"{where}: {fault}") from None
    except Untrusted as fault:
        raise CommandFailed(Exit.BAD_INPUT, f"{where}: the server is not to be trusted: {fault}") from None
    except (Unusable, OverflowError) as fault:
        raise CommandFailed(Exit.BAD_INPUT, f"this login cannot be sent: {fault}") from None


class _Unfit(Exception):
    """A server of which nothing can be asked. Its text says why."""


class _Conversation:
    def __init__(self, line: Line, login: Login, said: Said) -> None:
        self._line = line
        self._login = login
        self._wire = Client(os.getpid())
        self._said = said

    def held(self) -> tuple[Answer, Mapping[str, str]]:
        """From the greeting to the verdict."""
        self._line.send(self._wire.greeting)
        while True:
            match self._wire.next_event():
                case None:
                    data = self._line.receive()
                    if not data:
                        return Answer.CLOSED, {}
                    self._wire.feed(data)
                case Offer(mechanisms):
                    self._begin(mechanisms)
                case Challenge(message):
                    self._said = self._said.hear(message)
                    self._line.send(self._wire.respond(self._said.message or b""))
                case Accepted(user, final):
                    self._said.believe(final)
                    return Answer.ACCEPTED, {"user": user}
                case Rejected(reason, code, _):
                    said = {name: text for name, text in (("reason", reason), ("code", code)) if text}
                    return Answer.TEMPORARY if code == TEMPORARY else Answer.REJECTED, said
                case Fault() as fault:
                    raise _Unfit(fault.value)

    def _begin(self, offered: tuple[str, ...]) -> None:
        login = self._login
        if login.mechanism not in offered:
            raise _Unfit(f"{login.mechanism} is not offered, only {', '.join(offered)}")
        self._line.send(self._wire.auth(login.mechanism, login.service, login.client, self._said.message))
