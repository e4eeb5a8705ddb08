"""Distinguished names with tokens (RFC 4514): parsed when the configuration is loaded, filled value by value, each escaped whole."""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from saslauthd_py.backends.ldap.pieces import TemplateError, pieces
from saslauthd_py.backends.ldap.tokens import Unfillable
from saslauthd_py.config.settings.tokens import LOGIN_TOKENS
from saslauthd_py.config.settings.values import quoted
from saslauthd_py.wire.ldap import Place, Value

_TYPE = re.compile(r"(?:[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)+)")
_PART = re.compile(r" *([^=,+]*?) *= *((?:\\[0-9A-Fa-f]{2}|\\[^0-9A-Fa-f]|[^\\,+\"<>;])*?) *([,+]|$)", re.DOTALL)
_ESCAPE = re.compile(r"\\([0-9A-Fa-f]{2}|.?)", re.DOTALL)
_ESCAPED = frozenset(' "#+,;<=>\\')
_PLAIN = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-._@")
_USER_DN = "D"
_REFUSED_IN_NAMES = frozenset(b'"/\\[]:;|=,+*?<>')


@dataclass(frozen=True, slots=True)
class Part:
    """One `attribute=value` of a DN. `joined`: it makes one RDN with the part before it."""

    attribute: str
    value: Value
    joined: bool = False


@dataclass(frozen=True, slots=True)
class DnTemplate:
    """A DN that waits for values. `below_user`: it ends in the user's own DN. No part at all: the root of the directory."""

    parts: tuple[Part, ...]
    below_user: bool = False

    @property
    def places(self) -> frozenset[str]:
        """The letters of its tokens."""
        found = {piece.name for part in self.parts for piece in part.value if isinstance(piece, Place)}
        return frozenset(found | {_USER_DN} if self.below_user else found)

    def fill(self, values: Mapping[str, bytes]) -> bytes:
        """The DN of these values by token, whatever their bytes are. KeyError: one is not there; Unfillable: a value became empty."""
        whole = b""
        for part in self.parts:
            separator = b"" if not whole else b"+" if part.joined else b","
            whole += separator + part.attribute.encode() + b"=" + escaped(_joined(part.value, values))
        if not self.below_user:
            return whole
        return b",".join(filter(None, (whole, values[_USER_DN])))


@dataclass(frozen=True, slots=True)
class NameTemplate:
    """What Active Directory binds that is no DN: a user principal name, `NAME@DOMAIN`, or `DOMAIN\\NAME`. Never a DN, whatever comes in."""

    value: Value

    @property
    def places(self) -> frozenset[str]:
        """The letters of its tokens."""
        return frozenset(piece.name for piece in self.value if isinstance(piece, Place))

    def fill(self, values: Mapping[str, bytes]) -> bytes:
        """The name. KeyError: a value is not there; Unfillable: one holds a character that no such name has, or would make a DN of it."""
        for letter in self.places:
            if not _REFUSED_IN_NAMES.isdisjoint(values[letter]):
                raise Unfillable(f"%{letter} holds a character that no account name of Active Directory has")
        return _joined(self.value, values)


def parse_dn(text: str, known: AbstractSet[str] = LOGIN_TOKENS) -> DnTemplate:
    """A DN in whose values tokens may stand, and %D for the last parts of it. Raises TemplateError, which names the place."""
    below_user = _USER_DN in known and re.fullmatch(r"(?:.*,)? *%D *", text, re.DOTALL) is not None
    own = text.rstrip(" ").removesuffix("%D").rstrip(" ").removesuffix(",") if below_user else text
    return DnTemplate(tuple(_parts(own, known)), below_user)


def parse_bind_name(text: str, known: AbstractSet[str] = LOGIN_TOKENS) -> DnTemplate | NameTemplate:
    """As `parse_dn`, or, without any `=`, a name of Active Directory's. Raises TemplateError.

    Such a name has a domain: alone, it would be anybody's who has it for a display name.
    """
    if "=" in text:
        return parse_dn(text, known)
    if not text.isprintable() or not ("@" in text or "\\" in text or "%u" in text or "%R" in text):
        example = f"{quoted('uid=%U,ou=people,dc=example,dc=org')} or {quoted('%U@ad.example.org')}"
        raise TemplateError(f"{quoted(text)} is no DN with tokens and no name of Active Directory's, such as {example}")
    name = pieces(text, known, str.encode, text)
    return NameTemplate(name if "@" in text or "\\" in text else tuple(piece for each in name for piece in _with_domain(each)))


def _with_domain(piece: bytes | Place) -> Value:
    """%u and %R are nothing more than that where the login has no realm; here that refuses the login."""
    if piece == Place("u"):
        return Place("U"), b"@", Place("r")
    return (b"@", Place("r")) if piece == Place("R") else (piece,)


def escaped(value: bytes) -> bytes:
    """A value of a DN (RFC 4514 section 2.4): every octet but the plainest as a backslash and two hex digits."""
    return b"".join(bytes((octet,)) if octet in _PLAIN else b"\\%02X" % octet for octet in value)


def _joined(value: Value, values: Mapping[str, bytes]) -> bytes:
    whole = b"".join(values[piece.name] if isinstance(piece, Place) else piece for piece in value)
    if not whole and value:
        raise Unfillable("a value of the DN became empty")
    return whole


def _parts(text: str, known: AbstractSet[str]) -> list[Part]:
    found: list[Part] = []
    at, separator = 0, ""
    while at < len(text) or separator:
        written = _PART.match(text, at)
        if written is None:
            raise TemplateError(f'{quoted(text)} is no DN from {quoted(text[at:])} on: must be ATTRIBUTE=VALUE, with \\ before , + " < > ;')
        if not _TYPE.fullmatch(written[1]):
            why = (
                "a token may stand in a value, and this is the name of an attribute" if "%" in written[1] else "no attribute has this name"
            )
            raise TemplateError(f"{quoted(written[1])} in {quoted(text)}: {why}")
        where = f"{written[1]}={written[2]}"
        found.append(Part(written[1], _value(written[2], known, where), joined=separator == "+"))
        at, separator = written.end(), written[3]
    return found


def _value(text: str, known: AbstractSet[str], where: str) -> Value:
    if not text:
        raise TemplateError(f"{quoted(where)} has no value")
    if text.startswith("#"):
        raise TemplateError(f"{quoted(where)}: write the value itself and not its encoding, or \\# for the character")
    if not text.isprintable():
        raise TemplateError(f"{quoted(where)} holds a character that cannot be printed: write it as \\ and two hex digits")
    return pieces(text, known, lambda constant: _unescaped(constant, where), where)


def _unescaped(constant: str, where: str) -> bytes:
    whole, end = b"", 0
    for escape in _ESCAPE.finditer(constant):
        if len(escape[1]) != 2 and escape[1] not in _ESCAPED:
            raise TemplateError(f"{quoted(where)}: {quoted(escape[0])} escapes nothing: write \\\\ for a backslash")
        octets = bytes.fromhex(escape[1]) if len(escape[1]) == 2 else escape[1].encode()
        whole += constant[end : escape.start()].encode() + octets
        end = escape.end()
    return whole + constant[end:].encode()
