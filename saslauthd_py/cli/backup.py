"""`backup`."""

from __future__ import annotations

import argparse
import os
from contextlib import suppress
from functools import partial

from saslauthd_py.cli import output_file
from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.cli.report import Record, counted
from saslauthd_py.cli.user import place
from saslauthd_py.store import copies


def run(arguments: argparse.Namespace, environment: Environment) -> Record:
    """A copy of the store under a name of the caller's. Raises StoreError, CommandFailed, OSError."""
    at = place.find(arguments, environment)
    file, path = arguments.file, at.store.path
    with suppress(FileNotFoundError):
        _refuse_other(file, path)
    accounts = output_file.write(file, path, partial(copies.write_backup, path))
    return Record({"store": path, "file": file, "accounts": accounts}, (f"{file}: {counted(accounts, 'account')} of {path}",))


def _refuse_other(file: str, path: str) -> None:
    """A file that is there is an older backup, or stays."""
    if os.path.isfile(file):
        with open(file, "rb") as there:
            ours = copies.is_backup(there.read(copies.HEAD))
        if not ours:
            raise CommandFailed(Exit.BAD_INPUT, f"{file}: this file is there and no backup; name another, or remove it")
        if os.path.lexists(f"{file}-wal") or (os.path.exists(path) and os.path.samefile(file, path)):
            raise CommandFailed(Exit.BAD_INPUT, f"{file}: a store in use; name another file")
