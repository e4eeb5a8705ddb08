"""Cyrus SASL's sasldb2: a password in clear for each user, realm always there; what else saslpasswd2 keeps is passed over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import BinaryIO

from saslauthd_py import sasldb
from saslauthd_py.identity import Identity, InvalidIdentity
from saslauthd_py.sasldb import PASSWORD, SasldbError
from saslauthd_py.secret import Secret
from saslauthd_py.store.incoming import Incoming, IncomingSecret
from saslauthd_py.transfer import formats
from saslauthd_py.transfer.formats import BadFile, Block, Found, Passed, Piece, Source

_NUL = b"\0"
"""Between name, realm and password in a piece: the file's keys have it there too, so no name holds one."""

_SIZE = 4
"""Bytes before a record in a block, that tell how long it is."""

_AT_ONCE = 100


class Sasldb:
    """A record's number stands for its line. A name that holds an `@` keeps it, where it has a realm beside it."""

    whole = False

    def __init__(self, realm: str) -> None:
        """`realm` for names without one."""
        self._realm = realm

    def open(self, path: str, stdin: BinaryIO) -> Source:  # noqa: ARG002 - as below
        """As `Format.open`: read at once. A file that changes while it is read is waited for, so standard input will not do."""
        if path == formats.STDIN:
            raise BadFile("sasldb: a file is wanted, not standard input")
        try:
            found = [_NUL.join((entry.authid, entry.realm, entry.value)) for entry in sasldb.entries(path) if entry.property == PASSWORD]
        except SasldbError as error:
            raise BadFile(str(error)) from error
        return Source(BytesIO(), _blocks(found), sum(map(len, found)))

    def pieces(self, block: Block) -> Iterator[Piece]:
        """As `Format.pieces`."""
        rest, number = BytesIO(block.text), block.line
        while size := rest.read(_SIZE):
            yield Piece(number, rest.read(int.from_bytes(size, "big")))
            number += 1

    def read(self, piece: Piece) -> Found | Passed | None:
        """As `Format.read`."""
        name, realm, password = (piece.text or b"").split(_NUL, 2)
        try:
            identity = formats.placed(Identity(name.decode(), realm.decode()), self._realm)
        except (UnicodeDecodeError, InvalidIdentity) as fault:
            why = fault if isinstance(fault, InvalidIdentity) else "name is not UTF-8"
            raise InvalidIdentity(f"{name[:64]!a}: {why}") from None
        return Found(Incoming(identity, (IncomingSecret(()),)), {0: Secret(password)})


def _blocks(records: Sequence[bytes]) -> Iterator[Block]:
    for first in range(0, len(records), _AT_ONCE):
        some = records[first : first + _AT_ONCE]
        yield Block(first + 1, b"".join(len(record).to_bytes(_SIZE, "big") + record for record in some))
