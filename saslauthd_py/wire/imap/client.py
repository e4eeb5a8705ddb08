"""A login's side of IMAP: what is sent, and what each answer means for what comes next. No byte is sent or received here."""

from __future__ import annotations

import base64
from collections.abc import Generator
from typing import TypeVar

from saslauthd_py.secret import Secret
from saslauthd_py.wire.imap.responses import CONTINUATION, UNTAGGED, ImapFault, Response, Status, shown

_T = TypeVar("_T")

Dialogue = Generator[bytes, Response, _T]
"""Yields what is to be sent, empty where nothing is, and takes the next response. Raises ImapFault."""

_LITERAL_MINUS = 4096
"""Bytes of the longest literal that need not wait under LITERAL- (RFC 7888 section 5)."""

_MANNERLESS = "answers what it was not asked"


def method(offered: frozenset[str]) -> str:
    """How a password is sent to a server that offers this: "AUTHENTICATE PLAIN", or else "LOGIN". Raises ImapFault: in neither way."""
    if "AUTH=PLAIN" in offered:
        return "AUTHENTICATE PLAIN"
    if "LOGINDISABLED" in offered:
        raise ImapFault("takes no password (LOGINDISABLED, and no AUTH=PLAIN): it may want TLS: use imaps://, or start_tls = true")
    return "LOGIN"


class Client:
    """One connection's dialogues, in the order of the methods here. `offered`: the capabilities, as far as they count now.

    `secret_sent`: what was yielded last, or before, had a secret in it.
    """

    def __init__(self) -> None:
        self.offered: frozenset[str] | None = None
        self.secret_sent = False
        self._number = 0

    def greeting(self) -> Dialogue[None]:
        """Listen first."""
        said = yield b""
        if said.tag != UNTAGGED or said.word not in {Status.OK, Status.BYE, Status.PREAUTH}:
            raise ImapFault(f"greets with something else than IMAP: {said.word} {shown(said.text)}")
        if said.word == Status.PREAUTH:
            raise ImapFault("says that whoever connects is logged in already (PREAUTH): no password can be tried there")
        self._note(said)

    def start_tls(self) -> Dialogue[None]:
        """Ask to begin TLS; afterwards it is begun, and nothing counts any more that was said before."""
        said = yield from self._command(b"STARTTLS")
        if said.word != Status.OK:
            raise ImapFault(f"refuses STARTTLS: {_words(said)}")
        self.offered = None

    def capabilities(self) -> Dialogue[frozenset[str]]:
        """What it offers. It is asked where it has not said so by itself."""
        if self.offered is None:
            said = yield from self._command(b"CAPABILITY")
            if said.word != Status.OK or self.offered is None:
                raise ImapFault(f"does not tell its capabilities: {_words(said)}")
        return self.offered

    def login(self, name: bytes, secret: Secret) -> Dialogue[Response]:
        """What became of the login. Neither `name` nor `secret` has a NUL in it; `capabilities` are known.

        An answer that comes before the secret was sent is no answer to it: ImapFault.
        """
        offered = self.offered or frozenset()
        if method(offered) == "LOGIN":
            return (yield from self._login(name, secret))
        return (yield from self._authenticate(base64.b64encode(b"\0" + name + b"\0" + secret.reveal()), at_once="SASL-IR" in offered))

    def logout(self) -> bytes:
        """What says good-bye."""
        return self._tag() + b" LOGOUT\r\n"

    def _authenticate(self, message: bytes, *, at_once: bool) -> Dialogue[Response]:
        """RFC 3501 section 6.2.2, RFC 4959."""
        tag, command = self._tag(), b" AUTHENTICATE PLAIN"
        if at_once:
            self.secret_sent = True
            said = yield from self._answer(tag, tag + command + b" " + message + b"\r\n")
        else:
            said = yield from self._answer(tag, tag + command + b"\r\n")
            _asked_on(said, "AUTHENTICATE PLAIN")
            self.secret_sent = True
            said = yield from self._answer(tag, message + b"\r\n")
        return _completed(said)

    def _login(self, name: bytes, secret: Secret) -> Dialogue[Response]:
        """RFC 3501 section 6.2.3, both arguments as literals: so every byte may stand in them."""
        tag = self._tag()
        sent = tag + b" LOGIN"
        said: Response | None = None
        for value in (name, secret.reveal()):
            waits = not self._takes_at_once(len(value))
            sent += b" {%d%s}\r\n" % (len(value), b"" if waits else b"+")
            if waits:
                said = yield from self._answer(tag, sent)
                _asked_on(said, "LOGIN")
                sent = b""
            sent += value
        self.secret_sent = True
        return _completed((yield from self._answer(tag, sent + b"\r\n")))

    def _takes_at_once(self, size: int) -> bool:
        offered = self.offered or frozenset()
        return "LITERAL+" in offered or ("LITERAL-" in offered and size <= _LITERAL_MINUS)

    def _command(self, command: bytes) -> Dialogue[Response]:
        tag = self._tag()
        return _completed((yield from self._answer(tag, tag + b" " + command + b"\r\n")))

    def _answer(self, tag: bytes, data: bytes) -> Dialogue[Response]:
        """What the server says to `data`, whatever untagged it says before."""
        said = yield data
        while said.tag == UNTAGGED:
            self._note(said)
            said = yield b""
        if said.tag not in {tag, CONTINUATION}:
            raise ImapFault(_MANNERLESS)
        self._note(said)
        return said

    def _note(self, said: Response) -> None:
        if said.tag == UNTAGGED and said.word == Status.BYE:
            told = "" if self.secret_sent else _words(said)
            raise ImapFault(f"ends the connection: {told or 'BYE'}")
        if said.tag == UNTAGGED and said.word == "CAPABILITY":
            self.offered = _atoms(said.text)
        elif said.code == "CAPABILITY" and said.word == Status.OK:
            self.offered = _atoms(said.argument)

    def _tag(self) -> bytes:
        self._number += 1
        return b"s%d" % self._number


def _completed(said: Response) -> Response:
    if said.tag == CONTINUATION:
        raise ImapFault(_MANNERLESS)
    return said


def _asked_on(said: Response, what: str) -> None:
    if said.tag != CONTINUATION:
        raise ImapFault(f"refuses {what} before a password was sent: {_words(said)}")


def _atoms(text: bytes) -> frozenset[str]:
    return frozenset(text.decode("ascii", "replace").upper().split())


def _words(said: Response) -> str:
    code = f"[{said.code}]" if said.code else ""
    return " ".join(filter(None, (str(said.word), code, shown(said.text))))
