"""From a piece of a file to rows of the store, with what that takes of hashing; and what is said of pieces that it is not done with."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from saslauthd_py import identity, keying, passwords
from saslauthd_py.credential import Credential, Encoding
from saslauthd_py.identity import InvalidIdentity
from saslauthd_py.keying import Salts
from saslauthd_py.mechanisms.scram.keys import Unusable
from saslauthd_py.passwords import BrokenRecord, SecretTooLong, UnknownScheme
from saslauthd_py.secret import Secret
from saslauthd_py.store.incoming import Incoming, Row, row_list
from saslauthd_py.transfer.formats import LONGEST, Block, Format, Found, Passed, Piece

_SLICE = 0.25
"""Seconds after which what is done of a task is handed back: so progress is seen, and Ctrl-C waits for one hash at most."""

_MOST_SECRET = 16384
"""Bytes: more than any request of a client can carry."""


class Complaint(NamedTuple):
    """What there is to say of an account. `lost`: it was not taken over."""

    line: int
    text: str
    lost: bool = True


class Task(NamedTuple):
    """The pieces of a block from one on, counted from 0, and before another; None: to its end."""

    block: Block
    start: int = 0
    stop: int | None = None


class Converted(NamedTuple):
    """Of the first `taken` pieces of a task: their rows, what there is to say, how many were passed over and why.

    `size`: their bytes; `left`: how many pieces of the task are still to be done.
    """

    taken: int
    size: int
    left: int
    rows: list[Row]
    complaints: list[Complaint]
    passed: Counter[str]


@dataclass(frozen=True, slots=True)
class Converter:
    """How pieces become rows. `scheme` is for what comes in clear; `salts` None: no SCRAM keys are made of it; `dry`: nothing is hashed."""

    format: Format
    scheme: str
    salts: Salts | None = None
    dry: bool = False

    def convert(self, task: Task) -> Converted:
        """As many of its pieces as a quarter of a second allows, one at least."""
        until = time.monotonic() + _SLICE
        found = Converted(0, 0, 0, [], [], Counter())
        taken = size = left = 0
        for piece in islice(self.format.pieces(task.block), task.start, task.stop):
            if left or (taken and time.monotonic() > until):
                left += 1
                continue
            taken += 1
            size += len(piece.text or b"") + 1
            self._take(piece, found)
        return found._replace(taken=taken, size=size, left=left)

    def _take(self, piece: Piece, into: Converted) -> None:
        try:
            if piece.text is None:
                raise BrokenRecord(f"over {LONGEST} bytes")
            found = self.format.read(piece)
            if isinstance(found, Passed):
                into.passed[found.why] += 1
            elif found is not None:
                account, notes = self._stored(found)
                into.rows.extend(row_list(piece.line, account))
                for note in notes:
                    into.complaints.append(Complaint(piece.line, note, lost=False))
        except (BrokenRecord, InvalidIdentity, SecretTooLong, UnknownScheme) as fault:
            into.complaints.append(Complaint(piece.line, str(fault)))

    def _stored(self, found: Found) -> tuple[Incoming, tuple[str, ...]]:
        """The account without a secret in clear, and what there is to say of it."""
        if not found.clear:
            return found.account, found.notes
        notes = found.notes
        secrets = list(found.account.secrets)
        for number, secret in found.clear.items():
            _refuse_unusable(secret)
            passwords.check_fits(self.scheme, secret)
            if self.dry:
                continue
            encodings: tuple[Encoding, ...] = (passwords.make(self.scheme, secret),)
            if self.salts is not None:
                try:
                    encodings += self._keys(found.account._replace(secrets=tuple(secrets)), secret, self.salts)
                except Unusable as fault:
                    notes = (*notes, f"no SCRAM keys: {fault}")
            secrets[number] = secrets[number]._replace(encodings=encodings)
        return found.account._replace(secrets=tuple(secrets)), notes

    @staticmethod
    def _keys(account: Incoming, secret: Secret, salts: Salts) -> tuple[Encoding, ...]:
        others = [Credential(0, one.kind, one.label, one.encodings) for one in account.secrets if one.encodings]
        return keying.make(identity.account(account.identity), secret, others, salts)


def _refuse_unusable(secret: Secret) -> None:
    """As for a password that a command is given."""
    if not len(secret):
        raise BrokenRecord("empty password")
    if b"\0" in secret.reveal():
        raise BrokenRecord("a NUL in the password: no mail client could send it")
    if len(secret) > _MOST_SECRET:
        raise BrokenRecord(f"a password over {_MOST_SECRET} bytes: no mail client could send it")
