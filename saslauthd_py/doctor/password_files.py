"""A password file as the daemon's user finds it: whether it opens at all, and which of its lines hold no hash."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from saslauthd_py import identity, passwords
from saslauthd_py.doctor import reading_only
from saslauthd_py.identity import Identity, InvalidIdentity
from saslauthd_py.mta import forked
from saslauthd_py.mta.forked import Json
from saslauthd_py.passwords import BrokenRecord
from saslauthd_py.privileges import Ids

SECONDS = 4.0

_LARGEST = 64 << 20
_MOST_FAULTS = 3
_LOCKED = ("!", "*")


@dataclass(frozen=True, slots=True)
class Look:
    """How many accounts the file has, the first lines that hold no hash (number, why), and how many these are in all.

    `known`: the account that was asked for is there; `locked`: by a mark in the place of its hash.
    """

    accounts: int
    faults: tuple[tuple[int, str], ...]
    faulty: int
    known: bool
    locked: bool


class Unlooked(Exception):
    """The file cannot be read by that user. Its text is a line."""


def look(path: str, ids: Ids | None, wanted: Identity | None) -> Look:
    """As user `ids`, None: as we are. Raises Unlooked, forked.Hung, forked.Lost."""
    match forked.ask(lambda: _looked(path, ids, wanted), SECONDS):
        case [int(accounts), list(faults), int(faulty), bool(known), bool(locked)]:
            return Look(accounts, tuple((int(line), str(why)) for line, why in faults), faulty, known, locked)
        case str(why):
            raise Unlooked(why)
    raise Unlooked(f"{path}: cannot be looked at")


def _looked(path: str, ids: Ids | None, wanted: Identity | None) -> Json:
    reading_only.become(ids)
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            text = file.read(_LARGEST)
    except OSError as error:
        return f"{path}: {(error.strerror or str(error)).lower()}"
    accounts, faults, mine = 0, [], None
    for number, name, field in _lines(text):
        accounts += 1
        if wanted is not None and mine is None and _same(name, wanted):
            mine = field
        if not _is_locked(field) and (why := _fault(field)):
            faults.append([number, why])
    return [accounts, faults[:_MOST_FAULTS], len(faults), mine is not None, mine is not None and _is_locked(mine)]


def _lines(text: str) -> Iterator[tuple[int, str, str]]:
    """Number, name and password field of each line that has an account."""
    for number, line in enumerate(text.split("\n"), 1):
        name, colon, rest = line.rstrip("\r").partition(":")
        if name.strip() and not name.lstrip().startswith("#"):
            yield number, name.strip(), rest.partition(":")[0] if colon else ""


def _same(name: str, wanted: Identity) -> bool:
    try:
        return identity.key(identity.split(name)) == identity.key(wanted)
    except InvalidIdentity:
        return False


def _is_locked(field: str) -> bool:
    return field.startswith(_LOCKED) or field in ("", "x")


def _fault(field: str) -> str:
    """Why no password can be right; never what is there."""
    if field.endswith("]") and field[-4:-3] == "[":  # libpam-pwdfile's mark behind the hash
        field = "{CRYPT}" + field[:-4]
    try:
        passwords.cost(passwords.recognise(field.strip()))
    except BrokenRecord as error:
        return str(error)
    return ""
