"""A login over IMAP as a mail program makes it, against this machine: STARTTLS where it is offered, and the time of each step."""

from __future__ import annotations

import imaplib
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from saslauthd_py.mta.smtp import Tried
from saslauthd_py.secret import Secret

_SECONDS = 7.0
"""Cyrus keeps a refusal back for 3 s (failedloginpause), and we ours for up to 2 s before that."""

_OK, _NO, _LATER = 235, 535, 454
"""In SMTP's words, so that a login's answer is one kind of thing."""

_OUTAGES = ("command error: bad", "unavailable", "temporar", "generic failure", "no mechanism available")
"""What the words of a NO have in them that refuses nobody: Cyrus imapd gives no codes, but libsasl's own words."""


def login(host: str, port: int, user: str, secret: Secret, *, tls_at_once: bool = False) -> Tried:
    """Log in and leave; each step within 7 s. A refusal, an outage and silence are what it returns: it raises nothing."""
    seconds: dict[str, float] = {}
    step = "connect"
    began = time.monotonic()
    try:
        with _connected(host, port, tls_at_once) as server:
            seconds[step], began = time.monotonic() - began, time.monotonic()
            if not tls_at_once and "STARTTLS" in server.capabilities:
                step = "STARTTLS"
                server.starttls(_unchecked())
                seconds[step], began = time.monotonic() - began, time.monotonic()
            step = "AUTH"
            answer = _authenticated(server, user, secret)
            seconds[step] = time.monotonic() - began
    except imaplib.IMAP4.abort:
        return Tried(step, 0, "it ended the connection", seconds)
    except imaplib.IMAP4.error as error:
        seconds[step] = time.monotonic() - began
        return Tried(step, _code(str(error)) if step == "AUTH" else 0, str(error).removeprefix("b'").removesuffix("'"), seconds)
    except OSError as error:
        return Tried(step, 0, (error.strerror or str(error)).lower(), seconds)
    return Tried("AUTH", _OK, answer, seconds)


@contextmanager
def _connected(host: str, port: int, tls_at_once: bool) -> Iterator[imaplib.IMAP4]:
    """What comes of leaving is no matter."""
    server = (
        imaplib.IMAP4_SSL(host, port, ssl_context=_unchecked(), timeout=_SECONDS) if tls_at_once else imaplib.IMAP4(host, port, _SECONDS)
    )
    try:
        yield server
    finally:
        with suppress(imaplib.IMAP4.error, OSError):
            server.logout()
        with suppress(OSError):
            server.shutdown()


def _authenticated(server: imaplib.IMAP4, user: str, secret: Secret) -> str:
    name = user.encode(errors="surrogateescape")
    _, answer = server.authenticate("PLAIN", lambda _: b"\0" + name + b"\0" + secret.reveal())
    return str(answer[-1])


def _code(words: str) -> int:
    """Of what followed NO, or of imaplib's own words for BAD: a refusal, or an outage (rule D8)."""
    return _LATER if any(sign in words.lower() for sign in _OUTAGES) else _NO


def _unchecked() -> ssl.SSLContext:
    """Whether clients would trust the certificate is another question."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
