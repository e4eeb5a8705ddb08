"""OpaqueString (RFC 8265 section 4.2): the form of a password by PRECIS, which followed SASLprep: spaces are one, and NFC."""

from __future__ import annotations

import unicodedata

from saslauthd_py.mechanisms.saslprep import Unprepared

_REFUSED = frozenset({"Cc", "Cf", "Cn", "Co", "Cs"})
_JOINERS = "\u200c\u200d"


def prepare(text: str) -> str:
    """The prepared form, by this Python's Unicode. Raises Unprepared for what is empty, or not of the FreeformClass (RFC 8264).

    Where in a word a joiner or a middle dot stands is not looked at: this is for comparing alone, and what a server that looks would
    have refused is nobody's stored password.
    """
    if text.isascii() and text.isprintable() and text:
        return text
    prepared = unicodedata.normalize("NFC", "".join(" " if unicodedata.category(letter) == "Zs" else letter for letter in text))
    if not prepared:
        raise Unprepared("OpaqueString does not allow an empty password")
    if any(unicodedata.category(letter) in _REFUSED and letter not in _JOINERS for letter in prepared):
        raise Unprepared("OpaqueString does not allow a control, private, unassigned or formatting character in it")
    return prepared
