"""What the tokens of a template stand for in one login. A value that is missing refuses the login and never becomes nothing."""

from __future__ import annotations

import stringprep
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from saslauthd_py.identity import Identity

_TAKEN_FOR_ANOTHER = frozenset("\ufffc\u0130\u1680")
"""Beside those of RFC 3454: one that is not seen, one that OpenLDAP makes a plain i, and one that is a space (RFC 4518 section 2.2)."""


class Unfillable(Exception):
    """This login cannot fill a template. The text is one line that names the token, and holds nothing of the login."""


@dataclass(frozen=True, slots=True)
class Login:
    """Whose values they are: the identity as the backend's `login` rendered it, the service, and the user's DN once it is known."""

    identity: Identity
    service: str = ""
    dn: bytes | None = None

    def values(self, letters: Iterable[str]) -> dict[str, bytes]:
        """The value of each of these tokens, not escaped. Raises Unfillable: one has none, or one that a directory takes for another."""
        return {letter: self._value(letter) for letter in letters}

    def _value(self, letter: str) -> bytes:
        local, realm = self.identity.local, self.identity.realm
        match letter:
            case "u":
                _told_apart(local, letter)
                return _told_apart(str(self.identity), letter)
            case "U":
                return _told_apart(local, letter)
            case "d" | "r":
                return _told_apart(_given(realm, letter, "the login has no realm"), letter)
            case "R":
                return _told_apart(f"@{realm}", letter) if realm else b""
            case "s":
                return _told_apart(_given(self.service, letter, "the request names no service"), letter)
            case "D":
                if not self.dn:
                    raise Unfillable("%D has no value: the user's DN is not known")
                return self.dn
        return self._label(letter)

    def _label(self, letter: str) -> bytes:
        place = int(letter)
        labels = _given(self.identity.realm, letter, "the login has no realm").split(".")
        label = labels[-place] if place <= len(labels) else ""
        return _told_apart(_given(label, letter, f"the realm has no label {place} from the right"), letter)


def _given(value: str, letter: str, why: str) -> str:
    if not value:
        raise Unfillable(f"%{letter} has no value: {why}")
    return value


def _told_apart(value: str, letter: str) -> bytes:
    """The value, where a directory tells it from others: it compares without outer and doubled spaces and some unseen letters.

    " alice" would be alice under another account, with guesses of its own (RFC 4518 section 2, rule B1).
    """
    if not value.isascii():
        if any(stringprep.in_table_b1(one) or one in _TAKEN_FOR_ANOTHER for one in value):
            raise Unfillable(f"%{letter} holds a letter that a directory does not see, or takes for another")
        spaced = unicodedata.normalize("NFKC", value)
    else:
        spaced = value
    if " " in spaced and (spaced != spaced.strip(" ") or "  " in spaced):
        raise Unfillable(f"%{letter} holds spaces that a directory does not see, at an end or two together")
    return value.encode()
