"""On which line of a TOML text a key stands: `tomllib` reads values and forgets where they were."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left
from contextlib import suppress

Path = tuple[str | int, ...]
"""Keys and places in lists, from the top of the file."""

_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)+")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{1,2})?'  # up to two quotes may stand before the closing three
    r"|'''.*?'''(?:'{1,2})?"
    r'|"(?:[^"\\]|\\.)*"'
    r"|'[^']*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]+")


class Lines:
    """The lines of every key, table and list element of `text`, which `tomllib` has accepted.

    A later Python may accept what is not understood here: nothing from there on has a line then.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._newlines = [match.start() for match in re.finditer("\n", text)]
        self._lines: dict[Path, int] = {}
        self._tables: dict[Path, int] = {}
        with suppress(ValueError):
            self._scan()

    def of(self, path: Path) -> int | None:
        """The line, from 1, of what `path` leads to, or of the nearest that contains it; None: nothing in the file does."""
        return next((self._lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in self._lines), None)

    def _scan(self) -> None:
        table: Path = ()
        while start := self._next():
            if start == "[":
                table = self._header()
            else:
                self._pair(table)

    def _next(self) -> str:
        """Over blanks, newlines and comments; the next character, empty at the end."""
        if blank := _BLANK.match(self._text, self._at):
            self._at = blank.end()
        return self._text[self._at : self._at + 1]

    def _line(self) -> int:
        return bisect_left(self._newlines, self._at) + 1

    def _header(self) -> Path:
        line, several = self._line(), self._text.startswith("[[", self._at)
        self._at += 2 if several else 1
        keys = self._key()
        self._next()
        self._at += 2 if several else 1
        table: Path = ()
        for key in keys[:-1]:
            table = self._newest((*table, key))
            self._lines.setdefault(table, line)
        table = (*table, keys[-1])
        if several:
            self._lines.setdefault(table, line)
            self._tables[table] = self._tables.get(table, 0) + 1
            table = self._newest(table)
        self._lines[table] = line
        return table

    def _newest(self, path: Path) -> Path:
        return (*path, self._tables[path] - 1) if path in self._tables else path

    def _pair(self, table: Path) -> None:
        """`key = value` in `table`."""
        line, path = self._line(), table
        for key in self._key():
            path = (*path, key)
            self._lines.setdefault(path, line)
        self._next()
        self._at += 1
        self._value(path)

    def _key(self) -> tuple[str, ...]:
        keys: list[str] = []
        while True:
            self._next()
            if bare := _BARE.match(self._text, self._at):
                self._at = bare.end()
                keys.append(bare[0])
            else:
                keys.append(tomllib.loads(f"key = {self._over(_STRING)}")["key"])
            if self._next() != ".":
                return tuple(keys)
            self._at += 1

    def _value(self, path: Path) -> None:
        start = self._next()
        if start == "[":
            self._list(path)
        elif start == "{":
            self._inline(path)
        else:
            self._over(_STRING if start in "\"'" else _SCALAR)

    def _list(self, path: Path) -> None:
        self._at += 1
        place = 0
        while self._next() != "]":
            self._lines[(*path, place)] = self._line()
            self._value((*path, place))
            place += 1
            self._comma()
        self._at += 1

    def _inline(self, path: Path) -> None:
        self._at += 1
        while self._next() != "}":
            self._pair(path)
            self._comma()
        self._at += 1

    def _comma(self) -> None:
        if self._next() == ",":
            self._at += 1

    def _over(self, token: re.Pattern[str]) -> str:
        match = token.match(self._text, self._at)
        if match is None:
            raise ValueError(f"line {self._line()}: not understood")
        self._at = match.end()
        return match[0]
