"""A whole password file as an index: where each name's line begins, and which kinds of hashes it has. Pure.

It keeps the file's bytes and one number a name, no object for each line: a login reads its line when it comes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from saslauthd_py import identity, password_lines, passwords
from saslauthd_py.credential import Encoding
from saslauthd_py.identity import Identity, InvalidIdentity, Key
from saslauthd_py.keying import Keyless
from saslauthd_py.keys import Hash
from saslauthd_py.passwords import BrokenRecord
from saslauthd_py.watching.reading import NoContents
from saslauthd_py.watching.watched import MOST_NAMED

LARGEST = 64 << 20
"""Bytes of a file, about half a million accounts; a larger one is taken for something else."""

_SAMPLE = 1000
"""Lines, taken evenly, by which a file's kinds of hashes are counted."""

_BOM = b"\xef\xbb\xbf"
_BEGINNING = re.compile(rb"^[^:\n]*", re.MULTILINE)


class NoPasswdFile(NoContents):
    """A file that holds something else. Its text says what, without the path and without anything of the contents."""

    nonsense = True


class EmptyFile(NoPasswdFile):
    """Nothing at all: what a full disk or a crash leaves behind. It may be meant, so no account goes on; or lost, so nobody is told no."""

    nonsense = False


@dataclass(frozen=True, slots=True)
class Line:
    """One account's line, without its end."""

    text: str = field(repr=False)
    file: Index = field(repr=False)
    offset: int

    @property
    def number(self) -> int:
        """Counted from 1. Slow in a large file: for the line that is at fault."""
        return self.file.number(self.offset)


class Index:
    """What `build` makes, and never changes: `find` is a few microseconds whatever the file's size.

    `profiles` counts the hashes of a sample by what they cost (`passwords.Cost`); `complaints` are lines for the log, without names;
    `keyless`, where that was asked for, are the accounts without SCRAM keys (`keyless.count`).
    """

    __slots__ = ("_offsets", "_text", "complaints", "keyless", "profiles")

    def __init__(self, text: bytes, offsets: dict[str, int]) -> None:
        self._text = text
        self._offsets = offsets
        self.profiles: Counter[str] = Counter()
        self.complaints: tuple[str, ...] = ()
        self.keyless: Mapping[Hash, Keyless] = {}

    def __len__(self) -> int:
        return len(self._offsets)

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self._text)

    def find(self, key: Key) -> Line | None:
        """The line of the name with this key, made with the `fold_case` of `build`."""
        offset = self._offsets.get(_joined(key))
        return None if offset is None else Line(self._line(offset).decode("utf-8", "surrogateescape"), self, offset)

    def number(self, offset: int) -> int:
        """The number, from 1, of the line that begins there."""
        return self._text.count(b"\n", 0, offset) + 1

    def changed(self, since: Index) -> tuple[Identity, ...] | None:
        """The names whose lines came, went or became others; None: more than MOST_NAMED. A tenth of a second for 100,000 lines."""
        named: list[Identity] = []
        for owner in self._differing(since):
            if len(named) == MOST_NAMED:
                return None
            named.append(owner)
        return tuple(named)

    def _differing(self, since: Index) -> Iterator[Identity]:
        for joined, offset in self._offsets.items():
            before = since._offsets.get(joined)
            if before is None or since._line(before) != self._line(offset):
                yield self._owner(offset)
        for joined, before in since._offsets.items():
            if joined not in self._offsets:
                yield since._owner(before)

    def _owner(self, offset: int) -> Identity:
        return identity.split(password_lines.name(self._line(offset).decode("utf-8", "surrogateescape")))

    def lines(self) -> Iterator[bytes]:
        """Every account's line, without its end."""
        return map(self._line, self._offsets.values())

    def _line(self, offset: int) -> bytes:
        end = self._text.find(b"\n", offset)
        return self._text[offset : len(self._text) if end < 0 else end].removesuffix(b"\r")

    def sample(self) -> Iterator[str]:
        """Some of the lines, evenly taken."""
        step = len(self._offsets) // _SAMPLE + 1
        for offset in list(self._offsets.values())[::step]:
            yield self._line(offset).decode("utf-8", "surrogateescape")


NO_ACCOUNTS = Index(b"", {})
"""What a file that need not be there holds while it is not."""


def build(text: bytes, form: str, *, fold_case: bool) -> Index:
    """The index of a file's contents, of `form` as `password_lines.read` knows it. A name that comes twice is the first line's.

    So it is for Dovecot and Apache. Broken lines stay in: whoever asks for one learns that it is (rule D8). Raises NoPasswdFile where
    not one line holds an account.
    """
    text = text.removeprefix(_BOM)
    if not text.strip():
        raise EmptyFile("it is empty; to have no accounts, leave a comment in it")
    if b"\0" in text:
        raise NoPasswdFile("it holds NUL bytes, so it is no text")
    names = _Names(fold_case)
    for number, found in enumerate(_BEGINNING.finditer(text), 1):
        if owner := password_lines.name(found[0].decode("utf-8", "surrogateescape")):
            names.add(owner, found.start(), number)
    index = Index(text, names.offsets)
    index.complaints = tuple(names.complaints(index))
    _count_hashes(index, form, sound=not names.unnameable)
    return index


class _Names:
    """The names of a file while it is read."""

    def __init__(self, fold_case: bool) -> None:
        self.offsets: dict[str, int] = {}
        self.unnameable: list[int] = []
        self._fold_case = fold_case
        self._repeated: list[tuple[int, int]] = []

    def add(self, owner: str, offset: int, number: int) -> None:
        """`owner` begins line `number`, at `offset`."""
        try:
            joined = _joined(identity.key(identity.split(owner), self._fold_case))
        except InvalidIdentity:
            self.unnameable.append(number)
            return
        first = self.offsets.setdefault(joined, offset)
        if first != offset:
            self._repeated.append((number, first))

    def complaints(self, index: Index) -> Iterator[str]:
        """One line for the log for each kind of fault that costs no account more than itself."""
        if self._repeated:
            number, first = self._repeated[0]
            yield (
                f"line {number} repeats the name of line {index.number(first)}, and the first counts{_more(self._repeated)}; "
                "take one out, or set fold_case = false if they differ by case"
            )
        if self.unnameable:
            yield f"line {self.unnameable[0]} has a name that no account can have, and is skipped{_more(self.unnameable)}"


def _count_hashes(index: Index, form: str, *, sound: bool) -> None:
    """Raises NoPasswdFile where no line of the sample is one, and another reason than bad hashes."""
    accounts = 0
    for line in index.sample():
        sound = sound and ":" in line
        try:
            stored = password_lines.read(line, form).stored
            if isinstance(stored, Encoding):
                index.profiles[passwords.cost(stored).profile] += 1
        except BrokenRecord:
            continue
        accounts += ":" in line
    if not accounts and not sound:
        raise NoPasswdFile("no line of it holds an account, so it is something else")


def _joined(key: Key) -> str:
    return f"{key.local}\0{key.realm}"  # no name holds a NUL, so no two keys are one text


def _more(faults: list[int] | list[tuple[int, int]]) -> str:
    return f" ({len(faults)} such lines)" if len(faults) > 1 else ""
