"""What a command reports that changed one account."""

from __future__ import annotations

from saslauthd_py.cli.report import Fields, Record
from saslauthd_py.cli.user.account import Hindrance
from saslauthd_py.store.model import Account


def changed(
    account: Account, done: str, path: str, *, made: bool = False, but: tuple[Hindrance, ...] = (), warnings: tuple[str, ...] = ()
) -> Record:
    """The identity as it is stored, what was done, in which store, whether that was made for it, and what keeps logins out all the same.

    `warnings`: what else there is to say.
    """
    hindered = f", but {' and '.join(one.what for one in but)}" if but else ""
    lines = (f"{account.identity}: {done}{hindered}",)
    warnings = (*(f"{account.identity}: {done}, but {one.what}: {one.advice}" for one in but), *warnings)
    fields: Fields = {"identity": str(account.identity), "done": done, "store": path, "made": made, "warnings": warnings}
    return Record(fields, (f"{path}: made", *lines) if made else lines, warnings=warnings)
