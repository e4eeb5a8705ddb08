"""LDIF (RFC 2849) as slapcat and ldapsearch write it. RFC 2307 section 5.3: a userPassword is `{SCHEME}` and text, or clear text."""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

from saslauthd_py import identity, passwords
from saslauthd_py.credential import Encoding, Restrictions
from saslauthd_py.identity import InvalidIdentity
from saslauthd_py.monitor.accounts import Shadow
from saslauthd_py.passwords import SCRAM_SCHEMES, BrokenRecord
from saslauthd_py.secret import Secret
from saslauthd_py.store.incoming import Incoming, IncomingSecret
from saslauthd_py.transfer import formats
from saslauthd_py.transfer.formats import LONGEST, Block, Found, Passed, Piece, Source
from saslauthd_py.transfer.shadow import expiry

NAME_ATTRIBUTE = "uid"
"""As backend `ldap` looks for a name, where nobody says otherwise."""

_PASSWORD = "userpassword"  # noqa: S105 - the name of an attribute
_CLEAR = "plain"
_NO_ACCOUNT = Passed("without userPassword")

_RESULT = frozenset({"search", "result", "text", "matcheddn", "ref"})
"""What ldapsearch writes at its end, unless told -LLL."""

Entry = Mapping[str, Sequence[bytes]]
"""The values of an entry by attributes, in small letters and without options."""


class Ldif:
    """An entry with userPassword is an account, by the first value of its name's attribute.

    Of several passwords the strongest hash is taken, and SCRAM's keys beside it; the others are left out.
    """

    whole = False

    def __init__(self, realm: str, name_attribute: str = NAME_ATTRIBUTE) -> None:
        """`realm` for names without one."""
        self._realm = realm
        self._attribute = name_attribute.lower()

    def open(self, path: str, stdin: BinaryIO) -> Source:
        """As `Format.open`."""
        file = formats.opened(path, stdin)
        return Source(file, formats.blocks(file, entries=True), formats.size(file))

    def pieces(self, block: Block) -> Iterator[Piece]:
        """As `Format.pieces`: what stands between empty lines."""
        begun: list[Piece] = []
        for line in formats.pieces(block):
            if line.text != b"":
                begun.append(line)
            elif begun:
                yield _joined(begun)
                begun = []
        if begun:
            yield _joined(begun)

    def read(self, piece: Piece) -> Found | Passed | None:
        """As `Format.read`."""
        entry = attributes(piece.text or b"")
        if not entry:
            return None
        if entry.get("changetype", (b"add",))[0].strip().lower() != b"add":
            raise BrokenRecord("a change to an entry, not an entry; export the directory anew")
        if _PASSWORD not in entry:
            return _NO_ACCOUNT
        names = entry.get(self._attribute)
        if not names:
            raise BrokenRecord(f"an entry with userPassword and without {self._attribute}; see --name-attribute")
        return self._account(names, entry)

    def _account(self, names: Sequence[bytes], entry: Entry) -> Found:
        notes = [f"{len(names)} values of {self._attribute}: the first is the name, and the others are none"] if len(names) > 1 else []
        try:
            name = formats.placed(identity.split(names[0].decode()), self._realm)
        except UnicodeDecodeError:
            raise InvalidIdentity("name is not UTF-8") from None
        encodings, clear, left_out = passwords_of(entry[_PASSWORD])
        secret = IncomingSecret(encodings, restrictions=Restrictions(expires=_expiry(entry)))
        return Found(Incoming(name, (secret,), _lock(entry)), {0: clear} if clear else {}, (*notes, *left_out))


def attributes(text: bytes) -> Entry:
    """What an entry says; empty: a comment, or the line with the version. Raises BrokenRecord."""
    found: dict[str, list[bytes]] = {}
    for line in _unfolded(text):
        if line.startswith(b"#") or line == b"-":
            continue
        name, colon, value = line.partition(b":")
        if not colon:
            raise BrokenRecord("no LDIF: a line without a colon")
        attribute = name.partition(b";")[0].strip().lower().decode("ascii", "backslashreplace")
        found.setdefault(attribute, []).append(_value(attribute, value))
    found.pop("version", None)
    if found and next(iter(found)) != "dn":
        if found.keys() <= _RESULT:
            return {}
        raise BrokenRecord("no LDIF: an entry that does not begin with its dn")
    if len(found.get("dn", ())) > 1:
        raise BrokenRecord("no LDIF: two entries without an empty line between them")
    return found


def passwords_of(values: Sequence[bytes]) -> tuple[tuple[Encoding, ...], Secret | None, tuple[str, ...]]:
    """What is stored of an entry's passwords: encodings, or one in clear text, where there is no hash; and what is left out.

    Raises BrokenRecord where there is none that can be verified.
    """
    found: dict[str, Encoding] = {}
    faults: list[BrokenRecord] = []
    for value in values:
        try:
            encoding = _encoding(value)
            passwords.cost(encoding)
            found.setdefault(encoding.scheme, encoding)
        except BrokenRecord as fault:
            faults.append(fault)
    if not found:
        raise faults[0]
    keys = [found.pop(scheme) for scheme in SCRAM_SCHEMES if scheme in found]
    clear = passwords.clear_text([found.pop(_CLEAR)]) if _CLEAR in found else None
    if found or not clear:
        best = [passwords.strongest(found.values())] if found else []
        return (*best, *keys), None, _left_out(len(values) - len(best) - len(keys), faults)
    return (), clear, _left_out(len(values) - 1, faults)


def _left_out(number: int, faults: Sequence[BrokenRecord]) -> tuple[str, ...]:
    if not number:
        return ()
    because = f" ({faults[0]})" if faults else ""
    return (f"{number} of its values of userPassword left out: an account has one password{because}",)


def _encoding(value: bytes) -> Encoding:
    """A value that begins as a hash does is one, also without a label: else whoever knows the hash could log in with it."""
    text = value.decode("utf-8", "surrogateescape")
    try:
        return passwords.recognise(text)
    except BrokenRecord:
        if not text or text.startswith(("{", "$")):
            raise
        return passwords.recognise("{PLAIN}" + text)


def _lock(entry: Entry) -> str | None:
    """What slapcat and 389ds show of a locked account."""
    if entry.get("pwdaccountlockedtime"):
        return "locked in the directory it was imported from (pwdAccountLockedTime)"
    if entry.get("nsaccountlock", (b"",))[0].strip().lower() == b"true":
        return "locked in the directory it was imported from (nsAccountLock)"
    return None


def _expiry(entry: Entry) -> float | None:
    """As shadow(5) has it, of the attributes of RFC 2307's shadowAccount."""
    days = {}
    for attribute in ("shadowlastchange", "shadowmax", "shadowexpire"):
        value = entry.get(attribute, (b"-1",))[0].strip()
        if not value.removeprefix(b"-").isdigit() or len(value) > len("-99999999"):
            raise BrokenRecord(f"{attribute} is no number of days")
        days[attribute] = max(int(value), -1)
    return expiry(Shadow(b"", days["shadowlastchange"], days["shadowmax"], days["shadowexpire"]))


def _joined(lines: Sequence[Piece]) -> Piece:
    texts = [line.text for line in lines if line.text is not None]
    whole = len(texts) == len(lines) and sum(map(len, texts)) <= LONGEST
    return Piece(lines[0].line, b"\n".join(texts) if whole else None)


def _unfolded(text: bytes) -> Iterator[bytes]:
    """A line that begins with a space goes on where the one before it ended."""
    yield from text.replace(b"\n ", b"").split(b"\n") if text else ()


def _value(attribute: str, text: bytes) -> bytes:
    if text.startswith(b"<"):
        if attribute == _PASSWORD:
            raise BrokenRecord("userPassword is in another file (:<): put it in base64 (::)")
        return b""
    if not text.startswith(b":"):
        return text.lstrip(b" ")
    try:
        return binascii.a2b_base64(text[1:].strip(b" "), strict_mode=True)
    except ValueError:
        raise BrokenRecord(f"{attribute[:32]} is not base64") from None
