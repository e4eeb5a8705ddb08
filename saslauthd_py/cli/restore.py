"""`restore`."""

from __future__ import annotations

import argparse
import os

from saslauthd_py.cli.as_daemon import become_daemon
from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.report import Record, counted
from saslauthd_py.cli.user import place
from saslauthd_py.store import copies


def run(arguments: argparse.Namespace, environment: Environment) -> Record:
    """What is in a backup in the place of what is in the store. Raises StoreError, OSError."""
    at = place.find(arguments, environment)
    file, path, dry = arguments.file, at.store.path, arguments.dry_run
    with copies.open_backup(file, path) as backup:
        lost = not os.path.lexists(path)
        if dry and lost:
            become_daemon(at.settings)  # whose the store would be
        else:
            place.enter(at, create=not dry)
        done = copies.restore(path, backup, file, dry=dry)
    accounts = counted(done.accounts, "account")
    fields = {"store": path, "file": file, "dry_run": dry, "made": lost and not dry, "accounts": done.accounts, "before": done.before}
    if dry:
        return Record(fields, (f"{file}: a good backup, {accounts}; nothing was changed",))
    if lost:
        restart = f"{path} was not there: a daemon that runs has to be restarted"
        return Record({**fields, "warnings": (restart,)}, (f"{path}: made from {file}: {accounts}",), warnings=(restart,))
    before = f"{path}: restored from {file}: {accounts}", f"what was there, {counted(done.had or 0, 'account')}, is kept: {done.before}"
    return Record(fields, before)
