"""An external system that could not be asked, or has not answered."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator


class Failed(Exception):
    """No answer. Its text is one line, without the system's name and without anything secret.

    `sent`: a secret was on its way by then, so it may have been judged (rule D9). `silent`: nothing was heard within the time.
    """

    def __init__(self, text: str, *, sent: bool = False, silent: bool = False) -> None:
        super().__init__(text)
        self.sent = sent
        self.silent = silent


def why(error: BaseException) -> str:
    """What lies under an error of a connection, as an admin says it: certificate, TLS, name, or the system's own words."""
    roots = list(dict.fromkeys(_told(root) for root in _roots(error)))
    return "; ".join(filter(None, roots)) or "lost"


def _roots(error: BaseException) -> Iterator[BaseException]:
    """The errors that began it."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _roots(one)
        return
    below = error.__cause__ or error.__context__
    if below is None or isinstance(error, ssl.SSLError):
        yield error
    else:
        yield from _roots(below)


def _told(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error.strerror}"
    if isinstance(error, socket.gaierror):
        return f"its name is not known: {error.strerror}"
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else ""  # its own text may be trio's
