"""What goes wrong with the store. Each text is one line for an admin: what, where, and what to do."""

from __future__ import annotations


def restoring(path: str) -> str:
    """What brings a store back that is lost or damaged; after "; " in a line (rule C6)."""
    return f"restore it from a backup: stop the daemon, move {path}, {path}-wal and {path}-shm away, saslauthd-py restore BACKUP, start it"


PUT_BACK = "put it back or restore it; for a first user: `saslauthd-py user add`"
"""What to do about a store that is not where it should be; after "; " in a line. To make a new one is not the first thing to do."""


class StoreError(Exception):
    """Any of the below."""


class NameExists(StoreError):
    """Another identity folds to the same key (rule B5). The text names the one that is there."""


class NoSuchUser(StoreError):
    """No identity has this key."""


class NoSuchStore(StoreError):
    """There is no database at the path, and it was not asked to be made."""


class StoreExists(StoreError):
    """Another process has made a store at the path while this one did."""


class UnsafeStore(StoreError):
    """Owner, permissions or a symbolic link by which somebody else could read or replace the store (rule A7)."""


class NewerStore(StoreError):
    """The schema is newer than this program: a daemon is to be restarted, a command upgraded (rule F4)."""


class BrokenStore(StoreError):
    """Not a database of ours, or a damaged one. The text says how to restore it."""


class NoBackup(StoreError):
    """A file that no store can be restored from."""


class BusyStore(StoreError):
    """Another process kept the store locked for longer than a command waits."""
