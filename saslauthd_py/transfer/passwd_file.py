"""Dovecot's passwd-file, and htpasswd: read as backend `passwd_file` reads them, but that a lock does not hide the hash behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from saslauthd_py import password_lines, passwords
from saslauthd_py.credential import Encoding, Restrictions
from saslauthd_py.identity import Identity
from saslauthd_py.password_lines import Record
from saslauthd_py.store.incoming import Incoming, IncomingSecret
from saslauthd_py.transfer import formats
from saslauthd_py.transfer.formats import NO_PASSWORD, Block, Found, Passed, Piece, Source
from saslauthd_py.verdict import Reason

_FIELDS = 2
_LOCK = re.compile(r"(\{CRYPT\})?(?:\*LK\*|\*LOCKED\*|!+)", re.IGNORECASE)

_WHY = {
    Reason.LOCKED: "locked in the file it was imported from",
    Reason.DISABLED: "nologin in the file it was imported from",
    Reason.NETWORK: "allow_nets let nobody in",
}


class PasswdFile:
    """A line is `name:password`, and may have passwd's further fields and Dovecot's extra ones behind them; "htpasswd" has none."""

    whole = False

    def __init__(self, realm: str, form: str = "auto") -> None:
        """`realm` for names without one; `form` as `password_lines.read` knows it."""
        self._realm = realm
        self._form = form

    def open(self, path: str, stdin: BinaryIO) -> Source:
        """As `Format.open`."""
        return formats.lines_of(path, stdin)

    def pieces(self, block: Block) -> Iterator[Piece]:
        """As `Format.pieces`."""
        return formats.pieces(block)

    def read(self, piece: Piece) -> Found | Passed | None:
        """As `Format.read`."""
        line = formats.text_of(piece)
        if not password_lines.name(line):
            return None
        record = password_lines.read(line, self._form)
        reason = record.stored if isinstance(record.stored, Reason) else None
        if reason in _WHY:
            record = record._replace(stored=_behind(line, self._form).stored)
        if isinstance(record.stored, Reason):
            return NO_PASSWORD
        return _found(record, formats.placed(record.identity, self._realm), _WHY[reason] if reason else None)


def of_encoding(identity: Identity, encoding: Encoding, restrictions: Restrictions, locked: str | None = None) -> Found:
    """An account with one secret, stored by one encoding: one in clear is told apart."""
    clear = passwords.clear_text((encoding,))
    if clear is not None:
        return Found(Incoming(identity, (IncomingSecret((), restrictions=restrictions),), locked), {0: clear})
    return Found(Incoming(identity, (IncomingSecret((encoding,), restrictions=restrictions),), locked))


def _found(record: Record, identity: Identity, locked: str | None) -> Found:
    assert isinstance(record.stored, Encoding)  # noqa: S101 - for the type; `read` has looked
    return of_encoding(identity, record.stored, record.restrictions, locked)


def _behind(line: str, form: str) -> Record:
    """The line without what forbids the login."""
    name, password = line.split(":")[:_FIELDS]
    return password_lines.read(
        f"{name}:{_LOCK.sub(lambda lock: lock[1] or '', password.strip(), count=1)}", form if form == "htpasswd" else "auto"
    )
