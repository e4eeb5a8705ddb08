"""shadow(5). What the dates there mean for a login is what they mean for backend `shadow` (`monitor.shadow_call`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from saslauthd_py import identity, passwords
from saslauthd_py.credential import UNRESTRICTED, Restrictions
from saslauthd_py.monitor.accounts import Shadow
from saslauthd_py.monitor.shadow_call import ends
from saslauthd_py.passwords import BrokenRecord
from saslauthd_py.transfer import formats
from saslauthd_py.transfer.formats import NO_PASSWORD, Block, Found, Passed, Piece, Source
from saslauthd_py.transfer.passwd_file import of_encoding

_FIELDS = 9
_FOR_EVER = 99999
"""What passwd(1) and login.defs(5) write for a password that does not run out."""

_ROOT = Passed("named root, whom backends pam and shadow let nobody be")
_LOCKED = "locked in the shadow file it was imported from"
_CHANGE_FORCED = "the shadow file it was imported from wants the password changed first"


class ShadowFile:
    """Accounts with a hash. One behind `!` is taken over locked; `*`, `!` and nothing are no hash; days count from 1970 (UTC)."""

    whole = False

    def __init__(self, realm: str) -> None:
        """`realm` for names without one: no name here has one."""
        self._realm = realm

    def open(self, path: str, stdin: BinaryIO) -> Source:
        """As `Format.open`."""
        return formats.lines_of(path, stdin)

    def pieces(self, block: Block) -> Iterator[Piece]:
        """As `Format.pieces`."""
        return formats.pieces(block)

    def read(self, piece: Piece) -> Found | Passed | None:
        """As `Format.read`. An end of account or password becomes the password's `expires`: the earlier of the two."""
        line = formats.text_of(piece)
        if not line or line.startswith("#"):
            return None
        fields = line.split(":")
        if len(fields) != _FIELDS:
            raise BrokenRecord(f"not the {_FIELDS} fields of a shadow line")
        if fields[0] == "root":
            return _ROOT
        name = formats.placed(identity.split(fields[0]), self._realm)
        text = fields[1].lstrip("!")
        if not text or text.startswith("*"):
            return NO_PASSWORD
        entry = Shadow(b"", *(_day(fields[place]) for place in (2, 4, 7)))
        expires = expiry(entry)
        locked = _LOCKED if text != fields[1] else _CHANGE_FORCED if entry.changed == 0 else None
        restrictions = UNRESTRICTED if expires is None else Restrictions(expires=expires)
        return of_encoding(name, passwords.recognise(text), restrictions, locked)


def expiry(entry: Shadow) -> float | None:
    """The Unix time from which the dates let nobody in; None: never."""
    entry = replace(entry, maximum=-1) if entry.maximum >= _FOR_EVER else entry
    ages = entry.changed > 0 and entry.maximum != -1
    return float(ends(entry)) if ages or entry.expires != -1 else None


def _day(field: str) -> int:
    if not field:
        return -1
    if not field.removeprefix("-").isdecimal() or not field.isascii() or len(field) > len("-99999999"):
        raise BrokenRecord("a day that is no number")
    return max(int(field), -1)
