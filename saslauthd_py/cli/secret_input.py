"""Where a command takes a secret from: a file, standard input or a person. Never argv: any user of the machine reads that."""

from __future__ import annotations

import argparse

from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.cli.prompt import ask_secret
from saslauthd_py.secret import Secret

MAX_SECRET = 16384
"""Bytes: more than any request of a client can carry (`wire.saslauthd.MAX_REQUEST`)."""

_INSTEAD = "--password-stdin or --password-file"


def given(arguments: argparse.Namespace, environment: Environment) -> Secret | None:
    """The secret of --password-file or --password-stdin, less one trailing LF or CR LF; None: neither was said, a person is to be asked.

    To be called while the process may still read what its caller may. Raises CommandFailed, OSError.
    """
    if arguments.password_file is not None:
        with open(arguments.password_file, "rb") as file:
            return _judged(_without_newline(file.read(MAX_SECRET + 3)))
    if arguments.password_stdin:
        if environment.stdin.isatty():
            line = "standard input is a terminal: leave out --password-stdin and be asked without an echo"
            raise CommandFailed(Exit.USAGE, line)
        return _judged(_without_newline(environment.stdin.read(MAX_SECRET + 3)))
    return None


def asked(environment: Environment, account: str = "") -> Secret:
    """A new secret, of `account` where it is somebody's, asked for twice."""
    first = _judged(ask_secret(environment.tty, _question("New password", account), _INSTEAD))
    again = Secret(ask_secret(environment.tty, "The same again: ", _INSTEAD))
    if first != again:
        raise CommandFailed(Exit.BAD_INPUT, "the two passwords differ; nothing was changed")
    return first


def asked_once(environment: Environment, account: str = "") -> Secret:
    """A secret that is there already, of `account` where it is somebody's."""
    return _judged(ask_secret(environment.tty, _question("Password", account), _INSTEAD))


def _question(what: str, account: str) -> str:
    return f"{what} of {account}: " if account else f"{what}: "


def _without_newline(text: bytes) -> bytes:
    return text.removesuffix(b"\n").removesuffix(b"\r") if text.endswith(b"\n") else text  # CR LF: a file from another system


def _judged(text: bytes) -> Secret:
    if not text:
        raise CommandFailed(Exit.BAD_INPUT, "empty password")
    if b"\0" in text:
        raise CommandFailed(Exit.BAD_INPUT, "a NUL in the password: no mail client could send it")
    if len(text) > MAX_SECRET:
        raise CommandFailed(Exit.BAD_INPUT, f"a password over {MAX_SECRET} bytes: no mail client could send it")
    return Secret(text)
