"""The variables of a file that a shell sources (/etc/default/...), or that systemd reads (/etc/sysconfig/...): nothing in it is ever run.

What needs a shell to know is a fault, with its line: a command, a substitution, a condition.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from saslauthd_py.config.settings.values import quoted

_NAME = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)=")
_BLANKS = re.compile(r"[ \t]*")
_COMMENT = re.compile(r"#[^\n]*")
_REFERENCE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")
_PLAIN = re.compile(r"[^ \t\n\\'\"$`;&|<>()*?\[~#]+")
_SINGLE = re.compile(r"'([^']*)'")
_IN_DOUBLE = re.compile(r'[^\\"$`]+')
_ESCAPED = '$`"\\'
_REST = re.compile(r"[^\n]*")


class AssignmentError(Exception):
    """A file that only a shell could understand. `line` counts from 1; the text is one line without it."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


@dataclass(frozen=True, slots=True)
class Assigned:
    """A variable's value and the line that it begins in."""

    value: str
    line: int


def of_shell(text: str) -> Mapping[str, Assigned]:
    """As sh(1) would set them: quotes, backslashes, comments, and $NAME of a line above. The last one counts. Raises AssignmentError."""
    return _Shell(text).read()


def of_systemd(text: str) -> Mapping[str, Assigned]:
    """As EnvironmentFile= of systemd.exec(5) does: a line each, quotes around the whole value or none. Raises AssignmentError."""
    found: dict[str, Assigned] = {}
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip(" \t\r")
        if not stripped or stripped[0] in "#;":
            continue
        name = _NAME.match(stripped)
        if name is None or stripped.startswith("export"):
            raise AssignmentError(number, f"{quoted(stripped)} is no NAME=value")
        found[name[1]] = Assigned(_unquoted(stripped[name.end() :].strip(), number), number)
    return found


def _unquoted(value: str, line: int) -> str:
    inside = value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value
    if inside is value and value[:1] in ("'", '"'):
        raise AssignmentError(line, f"{quoted(value)}: a quote that is not closed in its line")
    if re.search(r"[\\$`]", inside) or (inside is not value and value[0] in inside):
        raise AssignmentError(line, f"{quoted(value)}: write the value itself, without backslashes, dollar signs and quotes in it")
    return inside


class _Shell:
    """Where the reading stands."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._found: dict[str, Assigned] = {}

    def read(self) -> Mapping[str, Assigned]:
        if "\r" in self._text:
            line = self._text.count("\n", 0, self._text.index("\r")) + 1
            raise AssignmentError(line, "ends as on Windows, and a shell takes that into the value: save the file with plain line ends")
        while self._at < len(self._text):
            self._over(_BLANKS)
            if self._text[self._at : self._at + 1] in ("\n", "#"):
                self._over(_COMMENT)
                self._at += 1
            elif self._at < len(self._text):
                self._assignment()
        return self._found

    def _assignment(self) -> None:
        line = self._line()
        name = _NAME.match(self._text, self._at)
        if name is None:
            raise AssignmentError(line, f"{quoted(self._rest())} is no NAME=value: only a shell could run it, and nothing is run here")
        self._at = name.end()
        self._found[name[1]] = Assigned(self._value(), line)

    def _value(self) -> str:
        pieces = []
        while self._at < len(self._text) and (letter := self._text[self._at]) not in " \t\n":
            if letter == "#":  # within a word it begins no comment
                pieces.append(letter)
                self._at += 1
            elif letter == "'":
                pieces.append(self._needed(_SINGLE, "a quote that is not closed")[1])
            elif letter == '"':
                pieces.append(self._double())
            elif letter == "$":
                pieces.append(self._reference())
            elif letter == "\\":
                pieces.append(self._backslash())
            else:
                pieces.append(self._needed(_PLAIN, f"{quoted(letter)} means something to a shell: put the value into single quotes")[0])
        return "".join(pieces)

    def _double(self) -> str:
        begun, pieces = self._line(), []
        self._at += 1
        while (letter := self._text[self._at : self._at + 1]) != '"':
            if not letter:
                raise AssignmentError(begun, "a quote that is not closed")
            if letter == "$":
                pieces.append(self._reference())
            elif letter == "\\":
                pieces.append(self._backslash(kept=_ESCAPED))
            else:
                pieces.append(self._needed(_IN_DOUBLE, f"{quoted(letter)} runs a command in a shell, and nothing is run here")[0])
        self._at += 1
        return "".join(pieces)

    def _backslash(self, kept: str | None = None) -> str:
        """`kept`: the letters that a backslash takes the meaning from, between double quotes; None: of all."""
        letter = self._text[self._at + 1 : self._at + 2]
        if not letter:
            raise AssignmentError(self._line(), "a backslash with nothing behind it")
        self._at += 2
        if letter == "\n":
            return ""
        return letter if kept is None or letter in kept else "\\" + letter

    def _reference(self) -> str:
        found = self._needed(_REFERENCE, f"{quoted(self._rest())}: only a shell could know this value: write it itself")
        name = found[1] or found[2]
        if name not in self._found:
            raise AssignmentError(self._line(), f"${name} is set nowhere above: write its value itself")
        return self._found[name].value

    def _needed(self, token: re.Pattern[str], complaint: str) -> re.Match[str]:
        found = token.match(self._text, self._at)
        if found is None:
            raise AssignmentError(self._line(), complaint)
        self._at = found.end()
        return found

    def _over(self, token: re.Pattern[str]) -> None:
        if found := token.match(self._text, self._at):
            self._at = found.end()

    def _rest(self) -> str:
        found = _REST.match(self._text, self._at)
        return found[0].strip() if found else ""

    def _line(self) -> int:
        return self._text.count("\n", 0, self._at) + 1
