"""A mail client that says what a test tells it to, line by line, where swaks has a mind of its own."""

from __future__ import annotations

import base64
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from tests.interop.waiting import PATIENCE


def plain(name: str, password: str) -> str:
    """The message of PLAIN, in base64."""
    return encoded(f"\0{name}\0{password}")


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class Conversation:
    """One SMTP session. `text` is all that the server has said."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = connection.makefile("r", encoding="ascii", newline="\r\n")
        self.text = ""

    def reply(self) -> str:
        """The next reply, its lines joined as they came; "" when the server has cut the line."""
        reply = ""
        while line := self._received.readline():
            reply += line
            self.text += line
            if line[3:4] != "-":
                return reply
        return reply

    def say(self, line: str) -> str:
        """Send a line; the reply to it."""
        self._connection.sendall(f"{line}\r\n".encode())
        return self.reply()

    def answer(self, *lines: str) -> str:
        """Say each line, every one but the last to be answered with a challenge; the reply to the last."""
        *first, last = lines
        for line in first:
            reply = self.say(line)
            assert reply.startswith("334 "), self.text
        return self.say(last)

    def close(self) -> None:
        self._received.close()
        self._connection.close()


@contextmanager
def connected(port: int) -> Iterator[Conversation]:
    """A session over TLS, as far as the EHLO after STARTTLS."""
    plaintext = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    conversation = Conversation(plaintext)
    try:
        assert conversation.reply().startswith("220 "), conversation.text
        assert conversation.say("EHLO client.test").startswith("250-"), conversation.text
        assert conversation.say("STARTTLS").startswith("220 "), conversation.text
        conversation = Conversation(_over_tls(plaintext))
        assert conversation.say("EHLO client.test").startswith("250-"), conversation.text
        yield conversation
    finally:
        conversation.close()
        plaintext.close()


def _over_tls(plaintext: socket.socket) -> socket.socket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the test's own certificate, made a moment ago
    return context.wrap_socket(plaintext)
