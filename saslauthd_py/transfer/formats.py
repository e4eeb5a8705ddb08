"""What a format has to do: to find where one account ends and the next begins, and to say what an account is."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import BinaryIO, NamedTuple, Protocol

from saslauthd_py.identity import Identity
from saslauthd_py.secret import Secret
from saslauthd_py.store.incoming import Incoming

STDIN = "-"
LONGEST = 1 << 20
"""Bytes of an account in a file; a longer one is none."""

BOM = b"\xef\xbb\xbf"
_BLOCK = 64 << 10


class Block(NamedTuple):
    """A part of a file that no account reaches out of. `line` is that of its first piece."""

    line: int
    text: bytes


class Piece(NamedTuple):
    """What may be an account, unread. `line`, from 1, is where it begins, or its number in a file without lines; each has another one.

    `text` None: it is longer than LONGEST.
    """

    line: int
    text: bytes | None


class Found(NamedTuple):
    """An account. `clear` are its secrets that have no encoding yet, by their place in it; `notes` say what of it is left out."""

    account: Incoming
    clear: Mapping[int, Secret] = MappingProxyType({})
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Passed:
    """What is an account and not one to take over, and that is no fault: `why`, in words that fit behind a number."""

    why: str


NO_PASSWORD = Passed("without a password")


@dataclass(frozen=True, slots=True)
class Source:
    """A file of accounts, open. `size`: bytes of its blocks, about; 0: nobody knows. `decoy_key`: that of the store it was made of."""

    file: BinaryIO
    blocks: Iterator[Block]
    size: int = 0
    decoy_key: Secret | None = None

    def close(self) -> None:
        """The blocks end here."""
        self.file.close()


class Format(Protocol):
    """One way to write accounts down. `whole`: it says all that there is to say of an account."""

    @property
    def whole(self) -> bool:
        """As `staging.Wanted` has it."""

    def open(self, path: str, stdin: BinaryIO) -> Source:
        """The file at `path`, `-`: standard input, open, in blocks: one process makes them for all. Raises OSError, BadFile."""

    def pieces(self, block: Block) -> Iterator[Piece]:
        """A block taken apart."""

    def read(self, piece: Piece) -> Found | Passed | None:
        """What a piece is; None: nothing, as a comment. Raises BrokenRecord, InvalidIdentity, without a password in their texts."""


class BadFile(Exception):
    """A file that is as a whole not what it was said to be. Its text is one line, and names it."""


def opened(path: str, stdin: BinaryIO) -> BinaryIO:
    """The file at `path`, `-`: standard input. Raises OSError."""
    return stdin if path == STDIN else open(path, "rb")


def size(file: BinaryIO) -> int:
    """Bytes, as far as they are known."""
    try:
        found = os.fstat(file.fileno())
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def lines_of(path: str, stdin: BinaryIO) -> Source:
    """A file of lines. Raises OSError."""
    file = opened(path, stdin)
    return Source(file, blocks(file), size(file))


def blocks(file: BinaryIO, number: int = 1, *, entries: bool = False) -> Iterator[Block]:
    """What is left of a file, from the line of this number on. Each block ends with a line, with `entries` with an empty one.

    Of what is longer than LONGEST so much is in it that this can be seen.
    """
    while text := file.read(_BLOCK):
        if number == 1:
            text = text.removeprefix(BOM)
        if text and not text.endswith(b"\n"):
            text += line(file)
        if entries and text[text.rfind(b"\n", 0, -1) + 1 :].strip():
            text += _until_empty(file)
        yield Block(number, text)
        number += text.count(b"\n")


def line(file: BinaryIO) -> bytes:
    """The next one with its end; of a longer one than LONGEST so much that this can be seen."""
    found = file.readline(LONGEST + 1)
    if len(found) > LONGEST and not found.endswith(b"\n"):
        while (rest := file.readline(LONGEST)) and not rest.endswith(b"\n"):
            pass
        found += b"\n"
    return found


def pieces(block: Block) -> Iterator[Piece]:
    """A line each, without its end."""
    for number, text in enumerate(block.text.removesuffix(b"\n").split(b"\n"), block.line):
        yield Piece(number, text.rstrip(b"\r") if len(text) <= LONGEST else None)


def _until_empty(file: BinaryIO) -> bytes:
    found: list[bytes] = []
    length = 0
    while (text := line(file)).strip():
        length += len(text)
        found.append(text if length <= LONGEST + _BLOCK else b"#\n")  # lines are counted, and that it is too long is to be seen
    return b"".join((*found, text))


def text_of(piece: Piece) -> str:
    """What is no UTF-8 is shown as `surrogateescape` does, which no name may hold."""
    return (piece.text or b"").decode("utf-8", "surrogateescape")


def placed(identity: Identity, realm: str) -> Identity:
    """With this realm, where it has none. Raises InvalidIdentity."""
    return Identity(identity.local, realm) if realm and not identity.realm else identity
