"""Accounts of a store, many at once: written by a child process that has become the store's owner, as every command does (rule A7)."""

from __future__ import annotations

import multiprocessing
import os
import pwd
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from saslauthd_py.credential import Encoding, Restrictions
from saslauthd_py.identity import Identity
from saslauthd_py.store.access import become_owner
from saslauthd_py.store.model import NewSecret
from saslauthd_py.store.store import Store
from tests.bench.failures import BenchError

_WRITERS = 8
"""Threads. A write returns 5 ms after its commit (rule C6), and other writes may use that time."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account to make. `encoding` None: without a secret; `locked`: why, empty for an open one; `expires`: the secret, in Unix time."""

    identity: Identity
    encoding: Encoding | None = None
    locked: str = ""
    expires: float | None = None


def fill(path: str, accounts: Sequence[Account], owner: pwd.struct_passwd) -> None:
    """A new store at `path`, in a directory that is made for `owner`. BenchError: it cannot be made."""
    child = multiprocessing.get_context("fork").Process(target=_fill_as_owner, args=(path, accounts, owner))
    child.start()
    child.join()
    if child.exitcode:
        raise BenchError(f"{path}: the store cannot be made, see above")


def _fill_as_owner(path: str, accounts: Sequence[Account], owner: pwd.struct_passwd) -> None:
    os.umask(0o077)
    become_owner(path, (owner.pw_uid, owner.pw_gid))
    Store.open(path, create=True).close()
    with ThreadPoolExecutor(_WRITERS) as pool:
        list(pool.map(_add, [path] * _WRITERS, [accounts[part::_WRITERS] for part in range(_WRITERS)]))


def _add(path: str, accounts: Sequence[Account]) -> None:
    with Store.open(path) as store:
        for account in accounts:
            new = NewSecret(account.encoding, Restrictions(expires=account.expires)) if account.encoding else None
            store.add(account.identity, new)
            if account.locked:
                store.lock(account.identity, account.locked)
