"""What a store says of itself and of one account, read without a trace: no side file is made, none is opened for writing."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass

from saslauthd_py import passwords
from saslauthd_py.credential import Credential, Kind
from saslauthd_py.doctor import reading_only
from saslauthd_py.identity import Key
from saslauthd_py.mta import forked
from saslauthd_py.mta.forked import Json
from saslauthd_py.passwords import BrokenRecord
from saslauthd_py.store import access, connection, counts, reader
from saslauthd_py.store.errors import StoreError
from saslauthd_py.store.model import Account

SECONDS = 5.0

_CLEAR = "SELECT count(*) FROM encoding WHERE scheme = 'plain'"
_SECRETS = "SELECT count(*) FROM secret"


@dataclass(frozen=True, slots=True)
class Look:
    """`secrets` in the store, how many of them are kept in `clear`, and the `profile` (passwords.cost) of most.

    Of the account: `known`, and why it cannot log in whatever its password, else empty.
    """

    secrets: int
    clear: int
    profile: str
    known: bool
    hindrance: str


class Unlooked(Exception):
    """The store cannot be looked at. Its text is a line."""


def fault(path: str) -> str:
    """Why the daemon cannot use this store's files, as its owner would find it; empty: it can. Raises forked.Hung, forked.Lost."""
    told = forked.ask(lambda: _checked(path), SECONDS)
    return told if isinstance(told, str) else "it cannot be looked at"


def look(path: str, key: Key | None) -> Look:
    """Raises Unlooked, forked.Hung, forked.Lost."""
    try:
        owner = os.stat(os.path.dirname(path)).st_uid
    except OSError as error:
        raise Unlooked(f"{path}: {(error.strerror or str(error)).lower()}") from None
    match reading_only.ask(lambda: _looked(path, key), owner, SECONDS):
        case [int(secrets), int(clear), str(profile), bool(known), str(hindrance)]:
            return Look(secrets, clear, profile, known, hindrance)
        case str(why):
            raise Unlooked(why)
    raise Unlooked(f"{path}: cannot be looked at")


def _checked(path: str) -> Json:
    try:
        access.become_owner(path)
        access.check(path)
    except StoreError as error:
        return str(error)
    return ""


def _looked(path: str, key: Key | None) -> Json:
    try:
        with connection.translated(path), closing(_opened(path)) as opened:
            connection.check_version(opened, path)
            [(secrets,)], [(clear,)] = opened.execute(_SECRETS).fetchall(), opened.execute(_CLEAR).fetchall()
            profile = counts.common_profile(opened) or ""
            try:
                account = reader.find(opened, key) if key is not None else None
            except BrokenRecord as error:
                return [secrets, clear, profile, True, f"its record is broken: {error}"]
            return [secrets, clear, profile, account is not None, _hindrance(account) if account is not None else ""]
    except StoreError as error:
        return str(error)


def _opened(path: str) -> sqlite3.Connection:
    """Beside a daemon, by the index that is there; without one there is nothing but the file itself."""
    how = "mode=ro&readonly_shm=1" if os.path.lexists(path + "-shm") else "mode=ro&immutable=1"
    return connection.connect(path, how, connection.COMMAND_WAIT)


def _expired(one: Credential) -> bool:
    return one.restrictions.expires is not None and one.restrictions.expires <= time.time()


def _hindrance(account: Account) -> str:
    if account.locked is not None:
        return f"it is locked ({account.locked})"
    if any(one.kind is not Kind.MAIN and not one.disabled and not _expired(one) for one in account.credentials):
        return ""  # an app password logs in, whatever has become of the main one
    main = next((one for one in account.credentials if one.kind is Kind.MAIN), None)
    if main is None:
        return "" if account.credentials else "it has no password"
    if main.disabled:
        return "its password is disabled"
    if _expired(main):
        return "its password has expired"
    try:
        passwords.cost(passwords.strongest(main.encodings))
    except BrokenRecord as error:
        return f"its record is broken: {error}"
    return ""
