"""Questions to a person, at the terminal itself: standard input and output may be pipes."""

from __future__ import annotations

import os
import termios
from collections.abc import Iterator
from contextlib import contextmanager

from saslauthd_py.cli.exits import CommandFailed, Exit

_MAX_LINE = 4096
"""Bytes of a line that a terminal gives (N_TTY); a longer secret comes from a file."""


def ask(tty: str, question: str, instead: str) -> str:
    """One line, shown as it is typed. CommandFailed: no terminal, where `instead` names what answers without one, or no line."""
    with _open(tty, instead) as terminal:
        return _ask(terminal, question).decode(errors="replace")


def ask_secret(tty: str, question: str, instead: str) -> bytes:
    """As `ask`, not shown. The echo comes back however this ends, by Ctrl-C too."""
    with _open(tty, instead) as terminal:
        before = termios.tcgetattr(terminal)
        hidden = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
        try:
            termios.tcsetattr(terminal, termios.TCSAFLUSH, hidden)
            return _ask(terminal, question)
        finally:
            termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
            os.write(terminal, b"\n")


@contextmanager
def _open(tty: str, instead: str) -> Iterator[int]:
    try:
        terminal = os.open(tty, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        raise CommandFailed(Exit.USAGE, f"there is no terminal to ask at: use {instead}") from None
    try:
        yield terminal
    finally:
        os.close(terminal)


def _ask(terminal: int, question: str) -> bytes:
    os.write(terminal, question.encode(errors="backslashreplace"))
    line = os.read(terminal, _MAX_LINE)
    if not line.endswith(b"\n"):
        raise CommandFailed(Exit.USAGE, "no answer at the terminal")
    return line[:-1]
