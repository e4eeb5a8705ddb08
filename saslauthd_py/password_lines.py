"""One line of a password file, as htpasswd, Dovecot or passwd(5) mean it. Pure; a login reads its own line, an index only the names."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from saslauthd_py import identity, passwords
from saslauthd_py.credential import UNRESTRICTED, Encoding, Restrictions
from saslauthd_py.identity import Identity
from saslauthd_py.passwords import BrokenRecord
from saslauthd_py.verdict import Reason

Network = IPv4Network | IPv6Network

_PASSWD_FIELDS = 7
_EXTRA = 7
"""Where a Dovecot passwd-file has its extra fields, counted from 0; they may hold colons."""

_LOCKED = ("!", "*LK*", "*LOCKED*")
_PWDFILE = re.compile(r"(?P<hash>[^{$].*)\[(?P<kind>[0-9]{2})\]")
_NETWORK = re.compile(r"(?P<address>[0-9A-Fa-f.:]+)(?:/(?P<bits>[0-9]{1,3}))?")
_MAPPED_BITS = 96

_DISABLING = frozenset({"nologin", "fail"})
_OPENING = frozenset({"nopassword", "noauthenticate"})
_BEYOND_US = frozenset(
    {"allow_real_nets", "check_client_cert_fp", "check_client_fp", "check_client_pubkey_fp", "delay_until", "passdb_import"}
)
"""They may forbid a login, and nobody tells us what they ask for."""


class Record(NamedTuple):
    """An account. `stored` is what its secret must match, or why none can be right; `identity` is spelled as in the file."""

    identity: Identity
    stored: Encoding | Reason
    restrictions: Restrictions = UNRESTRICTED


def name(text: str) -> str:
    """The name in a line, or in what stands before its first colon; empty for a comment, a blank line and one that names nobody."""
    found = text.partition(":")[0].strip()
    return "" if found.startswith("#") else found


def read(line: str, form: str) -> Record:
    """The account in a line, without its end, that names one. `form` is `format` of the settings.

    "auto" reads by Dovecot's rules, to which passwd's lines are those without extra fields, and htpasswd's those of two fields. No form
    takes an unknown text for a password in clear. Raises BrokenRecord, without the line in its text, and InvalidIdentity for a name that
    no account can have.
    """
    fields = line.split(":", _EXTRA)
    owner = identity.split(name(line))
    if form == "passwd" and len(fields) != _PASSWD_FIELDS:
        raise BrokenRecord(f'not the {_PASSWD_FIELDS} fields of a passwd line; for htpasswd or Dovecot set format = "auto"')
    if len(fields) == 1:
        if form == "dovecot":
            return Record(owner, Reason.NO_CREDENTIAL)
        raise BrokenRecord("no colon, so no password; write name:hash, or # before a comment")
    if form == "htpasswd":
        return Record(owner, _stored(fields[1].strip()))  # Apache trims its lines
    if form == "auto" and len(fields) == 2 and not fields[1].startswith("{"):
        fields[1] = fields[1].strip()
    return _dovecot(owner, fields)


def _dovecot(owner: Identity, fields: list[str]) -> Record:
    refused, networks = _extra(fields[_EXTRA]) if len(fields) > _EXTRA else (None, None)
    if refused is None and networks == ():
        refused = Reason.NETWORK
    restrictions = Restrictions(networks=networks) if networks else UNRESTRICTED
    return Record(owner, refused or _stored(_as_labelled(fields[1])), restrictions)


def _stored(field: str) -> Encoding | Reason:
    """shadow(5) and getpwent(3) say which texts are no hash; a lock may stand before one."""
    text = field[7:] if field[:7].upper() == "{CRYPT}" else field
    if text.startswith(_LOCKED):
        return Reason.LOCKED
    if text in ("", "x") or text.startswith("*"):
        return Reason.NO_CREDENTIAL
    return passwords.recognise(field)


def _as_labelled(field: str) -> str:
    """libpam-pwdfile's `hash[13]` and the like, which Dovecot reads too, with the label that they stand for."""
    found = _PWDFILE.fullmatch(field)
    if found is None:
        return field
    label = {"34": "PLAIN-MD5", "56": "DIGEST-MD5"}.get(found["kind"], "CRYPT")
    return f"{{{label}}}{found['hash']}"


def _extra(text: str) -> tuple[Reason | None, tuple[Network, ...] | None]:
    """Why a login is refused whatever the secret; and the networks that it may come from, None: all.

    A field that is there counts, also as `nologin=no`: so it does for Dovecot. What others need (`userdb_...`, `proxy`) is passed over.
    """
    refused: Reason | None = None
    networks: tuple[Network, ...] | None = None
    for word in text.split():
        key, _, value = word.partition("=")
        key, _, suffix = key.partition(":")
        if suffix == "remove":
            continue
        if key in _BEYOND_US:
            raise BrokenRecord(f"{key} cannot be judged here; take it out, or leave this account to Dovecot")
        if key in _DISABLING:
            refused = Reason.DISABLED
        elif key in _OPENING:
            refused = refused or Reason.NO_CREDENTIAL
        elif key == "allow_nets":
            if networks is not None:
                raise BrokenRecord("allow_nets stands there twice; write one list")
            networks = _networks(value)
    return refused, networks


def _networks(value: str) -> tuple[Network, ...]:
    """`local` is Dovecot's for a client without an address; nobody ever says that to us, so it lets nobody in (rule D10)."""
    return tuple(_network(text) for text in value.split(",") if text and text != "local")


def _network(text: str) -> Network:
    found = _NETWORK.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        address = ip_address(found["address"])
        bits = int(found["bits"] or address.max_prefixlen)
        if address.version == 6 and address.ipv4_mapped is not None and bits >= _MAPPED_BITS:
            address, bits = address.ipv4_mapped, bits - _MAPPED_BITS
        return ip_network((address, bits), strict=False)
    except ValueError:
        raise BrokenRecord("allow_nets holds what is no address and no network such as 192.0.2.0/24") from None
