"""SASLprep (RFC 4013): the one form of a name or password before it is compared or hashed, by the tables of Unicode 3.2."""

from __future__ import annotations

import stringprep
from unicodedata import ucd_3_2_0

_PROHIBITED = (
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)
"""RFC 4013 section 2.3; of its table C.1.2 the mapping leaves nothing."""


class Unprepared(ValueError):
    """A string that has no prepared form. Its text says why, and holds nothing of the string."""


def prepare(text: str, *, stored: bool) -> str:
    """The prepared form, which may be empty. Raises Unprepared.

    A stored string may hold nothing that Unicode 3.2 has not assigned, so no newer emoji; a query may (RFC 3454 section 7).
    SCRAM prepares passwords as stored strings and names as queries (RFC 5802 sections 2.2 and 5.1).
    """
    if text.isascii() and text.isprintable():
        return text
    mapped = "".join(" " if stringprep.in_table_c12(letter) else letter for letter in text if not stringprep.in_table_b1(letter))
    prepared = ucd_3_2_0.normalize("NFKC", mapped)
    for letter in prepared:
        if any(prohibited(letter) for prohibited in _PROHIBITED):
            raise Unprepared("SASLprep does not allow a control, private or formatting character in it")
        if stored and stringprep.in_table_a1(letter):
            raise Unprepared("SASLprep does not allow a character that is newer than Unicode 3.2 in it")
    _check_directions(prepared)
    return prepared


def _check_directions(prepared: str) -> None:
    # RFC 3454 section 6: what is written from right to left fills the whole string, from its first letter to its last.
    if any(map(stringprep.in_table_d1, prepared)) and (
        any(map(stringprep.in_table_d2, prepared)) or not stringprep.in_table_d1(prepared[0]) or not stringprep.in_table_d1(prepared[-1])
    ):
        raise Unprepared("SASLprep does not allow letters of both writing directions in it")
