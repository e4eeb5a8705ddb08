"""The cause of a broken connection, in an admin's words."""

from __future__ import annotations

import socket

import pytest

from saslauthd_py.remote.failing import why


def wrapped(*causes: Exception) -> OSError:
    error = OSError("all attempts to connect to a:1 failed")
    error.__cause__ = ExceptionGroup("several", causes) if len(causes) > 1 else causes[0]
    return error


REFUSED = ConnectionRefusedError(111, "Connection refused")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (REFUSED, "Connection refused"),
        (wrapped(REFUSED, OSError(113, "No route to host")), "Connection refused; No route to host"),
        (wrapped(REFUSED, REFUSED), "Connection refused"),
        (wrapped(socket.gaierror(-2, "Name or service not known")), "its name is not known: Name or service not known"),
        (ValueError("what was sent: hunter2"), "lost"),
    ],
)
def test_what_lies_below_is_told_once(error: Exception, words: str) -> None:
    assert why(error) == words
