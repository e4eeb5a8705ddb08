"""What a command reports that changed one account."""

from __future__ import annotations

from saslauthd_py.cli.report import Record
from saslauthd_py.store.model import Account


def changed(account: Account, done: str, path: str, *, made: bool = False) -> Record:
    """The identity as it is stored, what was done, in which store, and whether that was made for it."""
    lines = (f"{path}: made", f"{account.identity}: {done}") if made else (f"{account.identity}: {done}",)
    return Record({"identity": str(account.identity), "done": done, "store": path, "made": made}, lines)
