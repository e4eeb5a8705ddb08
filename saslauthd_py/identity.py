"""Who logs in: the one place where a name becomes a local part and a realm, and both become a key (rules B1, B5).

A name goes to backends as its client sent it. Folding makes keys only: `key` is what a store looks up, `account` is what the
cache, shared flights and guess limits count on.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

MAX_PART = 255
"""Bytes of UTF-8 in a local part or a realm (rule B5). RFC 4616 section 2 asks for at least 255 octets of authcid."""

WHOLE = "{local}@{realm}"
"""The `login` template that changes nothing."""

_TOKEN = re.compile(r"\{(local|realm)\}")
_REFUSED_CATEGORIES = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})


class InvalidIdentity(ValueError):
    """A name that no account may have. Its text says why, without the name."""


class Key(NamedTuple):
    """What two spellings of one name have in common: the folded local part and the folded realm."""

    local: str
    realm: str


@dataclass(frozen=True, slots=True)
class Identity:
    """A local part and a realm, as they were given; an empty realm is a name without one."""

    local: str
    realm: str = ""

    def __post_init__(self) -> None:
        _check(self.local, "name")
        if not self.local:
            raise InvalidIdentity("empty name")
        _check(self.realm, "realm")

    def __str__(self) -> str:
        return f"{self.local}@{self.realm}" if self.realm else self.local


def parse(name: bytes, realm: bytes = b"", default_realm: str = "") -> Identity:
    """The identity in a request. Where `realm` is empty, the name is split at its last `@`, and takes `default_realm` without one.

    Raises InvalidIdentity: not UTF-8, empty, a part over MAX_PART, or a character that no name may hold.
    """
    try:
        return split(name.decode(), realm.decode(), default_realm)
    except UnicodeDecodeError:
        raise InvalidIdentity("not UTF-8") from None


def split(name: str, realm: str = "", default_realm: str = "") -> Identity:
    """As `parse`, of text: what libsasl does with `user@domain` (last `@`), done only where no realm came with the name."""
    if not realm and "@" in name:
        name, _, realm = name.rpartition("@")
    return Identity(name, realm or default_realm)


def written(name: str) -> Identity:
    """The identity that is written so: of any that `str` gave, one with the same text."""
    local, _, realm = name.rpartition("@")
    return Identity(local, realm) if local and realm else Identity(name)


def render(template: str, identity: Identity) -> Identity:
    """A backend's `login` template filled in: `{local}` and `{realm}`; what follows its last `@` makes the realm.

    A part is filled, never parsed again, so no name can move into the other part. Raises InvalidIdentity where a part gets too long.
    """
    return identity if template == WHOLE else _rendered(template, identity.local, identity.realm)


@lru_cache(maxsize=256)
def _rendered(template: str, local: str, realm: str) -> Identity:  # three times a login: enough for those that are under way
    parts = {"local": local, "realm": realm}
    for_local, for_realm = _formats(template)
    return Identity(for_local % parts, for_realm % parts)


@lru_cache(maxsize=64)
def _formats(template: str) -> tuple[str, str]:
    """Of the local part and of the realm that a template makes."""
    local, at, realm = _TOKEN.sub(r"%(\1)s", template.replace("%", "%%")).rpartition("@")
    return (local, realm) if at else (realm, "")


def key(identity: Identity, fold_case: bool = True) -> Key:
    """The key of a name: local part NFC, and casefolded where the backend says so; realm as `fold_realm`.

    Raises InvalidIdentity for a realm that is no domain name in UTS 46.
    """
    local = unicodedata.normalize("NFC", identity.local)
    return Key(unicodedata.normalize("NFC", local.casefold()) if fold_case else local, fold_realm(identity.realm))


def account(identity: Identity) -> str:
    """What counts as one account for cache, flights and limits (rule B1): all spellings of one key, NFKC-casefolded. Never shown."""
    local = identity.local
    return f"{local.lower() if local.isascii() else _counted(local)}@{fold_realm(identity.realm)}"  # ASCII is its own normal form


@lru_cache(maxsize=256)
def _counted(local: str) -> str:  # up to 100 us where somebody means to cost us time, several times a login, in the loop
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", local).casefold())
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", folded).casefold())


def fold_realm(realm: str) -> str:
    """An ASCII realm lower-cased as it is; any other as the A-label of UTS 46, non-transitional, or refused."""
    if realm.isascii():
        return realm.lower()
    label = _a_label(realm)
    if label is None:
        raise InvalidIdentity("realm is no domain name")
    return label


@lru_cache(maxsize=1024)
def _a_label(realm: str) -> str | None:  # 130 us and more, several times a login, in the loop; None: there is none
    import idna  # 9 ms and 3 MB of tables that most sites never need; `preload` is for those that drop privileges first

    try:
        return idna.encode(realm, uts46=True, transitional=False).decode("ascii").lower()
    except idna.IDNAError:
        return None


def preload() -> None:
    """Import everything that folding can ever need: a process that has dropped its privileges may find nothing more (rule A2)."""
    fold_realm("bücher.example")


def _check(part: str, what: str) -> None:
    try:
        size = len(part.encode())
    except UnicodeEncodeError:
        raise InvalidIdentity(f"{what} is not UTF-8") from None
    if size > MAX_PART:
        raise InvalidIdentity(f"{what} over {MAX_PART} bytes")
    if not part.isprintable() and any(unicodedata.category(letter) in _REFUSED_CATEGORIES for letter in part):
        raise InvalidIdentity(f"{what} holds a control or formatting character")
