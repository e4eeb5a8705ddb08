"""`export`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from typing import BinaryIO

from saslauthd_py.cli import output_file
from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.cli.report import Record, Stream, counted
from saslauthd_py.cli.user import place
from saslauthd_py.identity import Identity, key
from saslauthd_py.store import snapshot
from saslauthd_py.transfer import jsonl


def run(arguments: argparse.Namespace, environment: Environment) -> Record | Stream:
    """All accounts, or a realm's, as JSON lines. Raises StoreError, CommandFailed, OSError."""
    at = place.find(arguments, environment)
    if arguments.realm:
        key(Identity("x", arguments.realm))  # raises for what is no realm
    if arguments.output is None:
        return Stream(_lines(at, arguments.realm))
    path = at.store.path
    _refuse_other(arguments.output)

    def content(file: BinaryIO) -> int:
        lines = 0
        for line in jsonl.export(snapshot.accounts(path, arguments.realm)):
            file.write(f"{line}\n".encode())
            lines += 1
        return lines - 1  # the first is no account's

    accounts = output_file.write(arguments.output, path, content)
    fields = {"store": path, "file": arguments.output, "accounts": accounts}
    return Record(fields, (f"{arguments.output}: {counted(accounts, 'account')}",))


def _refuse_other(file: str) -> None:
    """A file that is there is an older export, or stays: it may be the store itself."""
    if os.path.isfile(file) and os.path.getsize(file):
        with open(file, "rb") as there:
            if not jsonl.is_export(there.readline(jsonl.HEAD)):
                raise CommandFailed(Exit.BAD_INPUT, f"{file}: this file is there and no export; name another, or remove it")


def _lines(at: place.Place, realm: str | None) -> Iterator[str]:
    yield from jsonl.export(snapshot.accounts(place.enter(at), realm))
