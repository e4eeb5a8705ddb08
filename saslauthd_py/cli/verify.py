"""`verify`: whether a password is the one in a stored password of any program."""

from __future__ import annotations

import argparse
from typing import BinaryIO

from saslauthd_py import passwords
from saslauthd_py.cli import secret_input
from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.cli.report import Fields, Record
from saslauthd_py.passwords import BrokenRecord

MAX_HASH = 32768
"""Bytes of the line that is read: twice what the longest password takes in clear."""


def run(arguments: argparse.Namespace, environment: Environment) -> Record:
    """Raises CommandFailed for what cannot be verified: as far as it can be told, before anybody is asked for a password."""
    if arguments.hash == "-" and arguments.password_stdin:
        raise CommandFailed(Exit.USAGE, "standard input cannot hold both hash and password: use --password-file, or be asked")
    text = _line(environment.stdin) if arguments.hash == "-" else arguments.hash
    try:
        encoding = passwords.recognise(text)
        cost = passwords.cost(encoding)
        secret = secret_input.given(arguments, environment) or secret_input.asked_once(environment)
        right = passwords.verify(encoding, secret)
    except BrokenRecord as fault:
        raise CommandFailed(Exit.BAD_INPUT, f"the hash cannot be verified: {fault}") from None
    fields: Fields = {"right": right, "scheme": encoding.scheme, "profile": cost.profile}
    shown = (f"{'right' if right else 'wrong'}  {cost.profile}",)
    return Record(fields, shown, Exit.DONE if right else Exit.DENIED)


def _line(stdin: BinaryIO) -> str:
    line = stdin.readline(MAX_HASH + 1)
    if len(line) > MAX_HASH:
        raise CommandFailed(Exit.BAD_INPUT, f"a line over {MAX_HASH} bytes at standard input: no hash is")
    return line.decode(errors="surrogateescape").rstrip("\r\n")
