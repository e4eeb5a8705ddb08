"""Our own format: a header, then an account a line, as JSON. All that the store knows of its accounts but for numbers of its own.

The README has it in full. Times are Unix seconds. What is written by hand may leave out all but `name`, and say a password in clear or by
its hash.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_network
from itertools import chain
from typing import Any, BinaryIO, NoReturn

from saslauthd_py import identity, passwords
from saslauthd_py.credential import UNRESTRICTED, Credential, Encoding, Kind, Restrictions, service_word
from saslauthd_py.identity import Identity
from saslauthd_py.passwords import BrokenRecord
from saslauthd_py.passwords.written import base64, from_base64
from saslauthd_py.secret import Secret
from saslauthd_py.store.incoming import Incoming, IncomingSecret
from saslauthd_py.store.snapshot import Times, Whole
from saslauthd_py.transfer import formats
from saslauthd_py.transfer.formats import BadFile, Block, Found, Passed, Piece, Source

VERSION = 1
HEAD = 1 << 10
"""Bytes by which an export is told from other files: more than its first line has."""

_VERSION, _DECOY_KEY = "saslauthd-py accounts", "decoy_key"
_KEY_SIZE = 32

_ACCOUNT = frozenset({"name", "realm", "locked", "created", "changed", "passwords"})
_PASSWORD = frozenset(
    {"kind", "label", "encodings", "hash", "password", "services", "networks", "expires", "disabled", "created", "changed", "last_use"}
)
_LIMITS = frozenset({"services", "networks", "expires"})
_KINDS = {kind.value: kind for kind in Kind}

Fields = Mapping[str, Any]


class Jsonl:
    """What `export` writes, and the like of it."""

    whole = True

    def __init__(self, realm: str) -> None:
        """`realm` for names that come without the key `realm`, and have none behind an `@`."""
        self._realm = realm

    def open(self, path: str, stdin: BinaryIO) -> Source:
        """As `Format.open`. Raises BadFile for a header of a later version, which may say what this program would not understand."""
        file = formats.opened(path, stdin)
        first = formats.line(file).removeprefix(formats.BOM)
        try:
            header = _header(first, path)
        except BadFile:
            file.close()
            raise
        before = iter(() if header else (Block(1, first),) if first else ())
        key = from_base64(str((header or {}).get(_DECOY_KEY, "")))
        known = Secret(key) if key and len(key) == _KEY_SIZE else None
        return Source(file, chain(before, formats.blocks(file, 2)), formats.size(file), known)

    def pieces(self, block: Block) -> Iterator[Piece]:
        """As `Format.pieces`."""
        return formats.pieces(block)

    def read(self, piece: Piece) -> Found | Passed | None:
        """As `Format.read`."""
        text = formats.text_of(piece).strip()
        if not text or text.startswith("#"):
            return None
        fields = _object(text)
        _refuse_unknown(fields, _ACCOUNT)
        secrets, clear = [], {}
        for number, given in enumerate(_list(fields, "passwords")):
            secret, presented = _password(given)
            secrets.append(secret)
            if presented is not None:
                clear[number] = presented
        locked, created, changed = _text(fields, "locked", ""), _number(fields, "created"), _number(fields, "changed")
        lock = None if fields.get("locked") is None else locked
        return Found(Incoming(self._identity(fields), tuple(secrets), lock, created, changed), clear)

    def _identity(self, fields: Fields) -> Identity:
        name = _text(fields, "name", "")
        return Identity(name, _text(fields, "realm", "")) if "realm" in fields else formats.placed(identity.split(name), self._realm)


def header(decoy_key: Secret) -> str:
    """The first line of an export."""
    return json.dumps({_VERSION: VERSION, _DECOY_KEY: base64(decoy_key.reveal())})


def is_export(first: bytes) -> bool:
    """Whether a file whose first line this is was written by `export`."""
    try:
        return _VERSION in _object(formats.text_of(Piece(1, first)))
    except BrokenRecord:
        return False


def line(whole: Whole) -> str:
    """An account of an export, without what is as usual."""
    account = whole.account
    fields = {
        "name": account.identity.local,
        "realm": account.identity.realm,
        "locked": account.locked,
        "created": account.created,
        "changed": account.changed,
        "passwords": [_fields(credential, whole.times[credential.id]) for credential in account.credentials],
    }
    return json.dumps({name: value for name, value in fields.items() if value is not None})


def export(found: Iterable[Secret | Whole]) -> Iterator[str]:
    """The lines of an export of what `snapshot.accounts` gives."""
    return (header(one) if isinstance(one, Secret) else line(one) for one in found)


def _fields(credential: Credential, times: Times) -> Fields:
    limits = credential.restrictions
    fields = {
        "kind": credential.kind.value,
        "label": credential.label,
        "encodings": {encoding.scheme: encoding.text for encoding in credential.encodings},
        "services": list(limits.services),
        "networks": [str(network) for network in limits.networks],
        "disabled": credential.disabled,
    }
    numbers = {"expires": limits.expires, "created": times.created, "changed": times.changed, "last_use": times.last_use}
    said = {name: value for name, value in fields.items() if value}
    return {**said, **{name: value for name, value in numbers.items() if value is not None}}


def _header(first: bytes, path: str) -> Fields | None:
    """None: the first line is an account's, or nothing."""
    try:
        fields = _object(formats.text_of(Piece(1, first)))
    except BrokenRecord:
        return None
    if _VERSION not in fields:
        return None
    version = fields[_VERSION]
    if not isinstance(version, int) or not 1 <= version <= VERSION:
        raise BadFile(f"{path}: an export of format {version!a}, and this program knows {VERSION}: upgrade it")
    return fields


def _password(given: object) -> tuple[IncomingSecret, Secret | None]:
    if not isinstance(given, dict):
        raise BrokenRecord("a password that is no JSON object")
    _refuse_unknown(given, _PASSWORD)
    if ("encodings" in given) + ("hash" in given) + ("password" in given) > 1:
        raise BrokenRecord('a password is said by one of "encodings", "hash" and "password"')
    encodings = _encodings(given)
    clear = passwords.clear_text(encodings) if "hash" in given else None
    if "password" in given:
        clear = Secret(_text(given, "password", "").encode())
    secret = IncomingSecret(
        () if clear is not None else encodings,
        _kind(given),
        _text(given, "label", ""),
        _restrictions(given),
        _flag(given, "disabled"),
        _number(given, "created"),
        _number(given, "changed"),
        _number(given, "last_use"),
    )
    return secret, clear


def _kind(given: Fields) -> Kind:
    found = _KINDS.get(_text(given, "kind", "main"))
    return found if found is not None else _raise("kind is main or app")


def _encodings(given: Fields) -> tuple[Encoding, ...]:
    """As they are in the store, by scheme; or what other programs write in a password field."""
    if "hash" in given:
        return (passwords.recognise(_text(given, "hash", "")),)
    encodings = given.get("encodings", {})
    if not isinstance(encodings, dict):
        raise BrokenRecord("encodings are a JSON object, scheme: text")
    return tuple(Encoding(_clean(scheme), _text(encodings, scheme, "")) for scheme in encodings)


def _restrictions(given: Fields) -> Restrictions:
    if _LIMITS.isdisjoint(given):
        return UNRESTRICTED
    services, expires = _texts(given, "services"), _number(given, "expires")
    try:
        networks = tuple(ip_network(text) for text in _texts(given, "networks"))
    except ValueError:
        raise BrokenRecord("networks holds what is no network such as 192.0.2.0/24") from None
    limits = Restrictions(tuple(map(service_word, services)), networks, expires)
    return UNRESTRICTED if limits.none else limits


def _object(text: str) -> Fields:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        raise BrokenRecord("no JSON") from None
    if not isinstance(fields, dict):
        raise BrokenRecord("no JSON object")
    return fields


def _refuse_unknown(fields: Fields, known: frozenset[str]) -> None:
    if not fields.keys() <= known:
        unknown = min(fields.keys() - known)
        raise BrokenRecord(f"unknown key {unknown[:32]!a}: it is one of {', '.join(sorted(known))}")


def _text(fields: Fields, name: str, default: str) -> str:
    value = fields.get(name)
    if value is None:
        return default
    return _clean(value) if isinstance(value, str) else _raise(f"{name[:32]} is no text")


def _clean(text: str) -> str:
    """A surrogate by itself is what JSON can say and no file can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BrokenRecord("a text that is not UTF-8") from None
    return text


def _texts(fields: Fields, name: str) -> list[str]:
    return [_clean(text) if isinstance(text, str) else _raise(f"{name} holds what is no text") for text in _list(fields, name)]


def _list(fields: Fields, name: str) -> list[Any]:
    value = fields.get(name)
    return value if isinstance(value, list) else [] if value is None else _raise(f"{name} is no list")


def _flag(fields: Fields, name: str) -> bool:
    value = fields.get(name, False)
    return value if isinstance(value, bool) else _raise(f"{name} is true or false")


def _number(fields: Fields, name: str) -> float | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _raise(f"{name} is a number of seconds since 1970")
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    return seconds if math.isfinite(seconds) and seconds >= 0 else _raise(f"{name} is a number of seconds since 1970")


def _raise(fault: str) -> NoReturn:
    raise BrokenRecord(fault)
