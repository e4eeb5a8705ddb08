"""The tokens in LDAP templates, as saslauthd spells them: %u %U %d %1 to %9 %r %R %s %D, and %% for a percent sign."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from saslauthd_py.config.settings.values import quoted

LOGIN_TOKENS = frozenset("uUd123456789rRs")
"""Letters of the tokens that a login has a value for."""

GROUP_TOKENS = LOGIN_TOKENS | {"D"}
"""Those of a group's search, when the user's DN is known."""

LOCAL_TOKENS = frozenset("uU")
"""Without one of these every login of a realm is the same."""

REALM_TOKENS = frozenset("udrR")
"""Without one of these alice@a.example and alice@b.example are the same; %1 to %9 have alice@a.b.example for alice@b.example still."""

_CLAUSES = re.compile(r"\(\s*([&|!]?)|([^()]+)|\)")
_TOKEN = re.compile(r"%(.?)", re.DOTALL)


class UnknownToken(ValueError):
    """A percent sign that begins no token known here. Its text is one line that follows the name of the key."""


@dataclass(frozen=True, slots=True)
class Token:
    """A place that a value of the login takes: the letter or digit after the percent sign."""

    letter: str

    def __str__(self) -> str:
        return f"%{self.letter}"


def split_tokens(text: str, known: AbstractSet[str]) -> tuple[str | Token, ...]:
    """`text` as constants, none of them empty, and tokens; %% is a percent sign in a constant. Raises UnknownToken."""
    pieces: list[str | Token] = []
    constant, end = "", 0
    for found in _TOKEN.finditer(text):
        constant += text[end : found.start()]
        end = found.end()
        if found[1] == "%":
            constant += "%"
            continue
        if found[1] not in known or not found[1]:
            raise UnknownToken(_complaint(text, found[0], known))
        pieces += [constant, Token(found[1])] if constant else [Token(found[1])]
        constant = ""
    constant += text[end:]
    return (*pieces, constant) if constant else tuple(pieces)


def letters(*templates: str | None, known: AbstractSet[str] = GROUP_TOKENS) -> frozenset[str]:
    """The letters of all tokens in these templates. Raises UnknownToken."""
    found = (piece for text in templates if text is not None for piece in split_tokens(text, known))
    return frozenset(piece.letter for piece in found if isinstance(piece, Token))


def tells_realms_apart(filter: str) -> bool:  # noqa: A002 - what RFC 4511 calls it
    """Does what a filter finds depend on the realm? In every branch of a |, and what a ! leaves out does not count."""
    kinds, told = ["&"], [list[bool]()]
    for part in _CLAUSES.finditer(filter):
        if part[0] == ")":
            if len(kinds) > 1:
                kind, inner = kinds.pop(), told.pop()
                told[-1].append(kind != "!" and (all(inner) if kind == "|" else any(inner)))
        elif part[2] is None:
            kinds.append(part[1])
            told.append([])
        elif part[2].strip():
            told[-1].append(not letters(part[2]).isdisjoint(REALM_TOKENS))
    return any(told[0])


def _complaint(text: str, token: str, known: AbstractSet[str]) -> str:
    if token.endswith("D"):
        return f"%D in {quoted(text)}: the user's DN is known in group_filter and group_base only"
    also = " %D" if "D" in known else ""
    return f"{quoted(token)} in {quoted(text)}: known are %u %U %d %1 to %9 %r %R %s{also}, and %% for a percent sign"
