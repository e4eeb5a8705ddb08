"""When secrets were last used, for `list` and `show`: good to know, and no reason to fail (rule F5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TextIO

from saslauthd_py.cli.render import complain
from saslauthd_py.store import usage
from saslauthd_py.store.errors import StoreError
from saslauthd_py.store.model import Account


class LastLogins:
    """Of the store at `path`. Where they cannot be read, that is told once on `stderr`, and none is known from then on."""

    def __init__(self, path: str, stderr: TextIO) -> None:
        self._path = path
        self._stderr = stderr
        self._readable = True

    def of(self, accounts: Iterable[Account]) -> Mapping[int, float]:
        """Unix time of the last use of each of their secrets, by its id; those of which nothing is known are left out."""
        if not self._readable:
            return {}
        try:
            return usage.read(self._path, [credential.id for account in accounts for credential in account.credentials])
        except StoreError as error:
            self._readable = False
            complain(self._stderr, [f"warning: last logins are unknown: {error}"])
            return {}
