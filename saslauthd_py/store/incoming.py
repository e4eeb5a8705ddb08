"""Accounts on their way into the store, and the rows in which `staging` holds them until all are written."""

from __future__ import annotations

from typing import Any, NamedTuple

from saslauthd_py import passwords
from saslauthd_py.credential import UNRESTRICTED, Credential, Encoding, Kind, Restrictions
from saslauthd_py.identity import Identity, key
from saslauthd_py.passwords import BrokenRecord
from saslauthd_py.store import rows

Row = tuple[Any, ...]
"""One encoding with the secret and the account that it is the first of: the columns of `COLUMNS`, or of `USUAL` where the rest is NULL."""

USUAL = (
    "line INTEGER, back INTEGER, local TEXT, realm TEXT, local_key TEXT, realm_key TEXT, kind TEXT, label TEXT,"
    " scheme TEXT, profile TEXT, text TEXT"
)
COLUMNS = (
    f"{USUAL}, locked TEXT, created REAL, changed REAL,"
    " services TEXT, networks TEXT, expires REAL, disabled INTEGER, made REAL, replaced REAL, used REAL"
)
"""`line` to `realm_key` and `locked` to `changed` are the account's, `kind`, `label` and `services` to `used` the secret's, the rest is the
encoding's. What is an account's is NULL but in its first row, what is a secret's but in its first. `back`: how many rows before this one is
the secret's first.
"""

_NO_NAME = (None,) * 4
_NO_SECRET = (None,) * 2
_NO_ENCODING = (None,) * 3
_NO_TIMES = (None,) * 3
_NO_RULES = (None,) * 7


class IncomingSecret(NamedTuple):
    """A secret to store, by all its encodings. Times are Unix seconds; None: now, and never."""

    encodings: tuple[Encoding, ...]
    kind: Kind = Kind.MAIN
    label: str = ""
    restrictions: Restrictions = UNRESTRICTED
    disabled: bool = False
    created: float | None = None
    changed: float | None = None
    last_use: float | None = None


class Incoming(NamedTuple):
    """An account to store. `locked`: why, None: it is not."""

    identity: Identity
    secrets: tuple[IncomingSecret, ...]
    locked: str | None = None
    created: float | None = None
    changed: float | None = None


def row_list(line: int, account: Incoming) -> list[Row]:
    """The account's rows, one after the other; `line` is where it stands, and no other account's.

    Raises BrokenRecord for what could not be verified or may not be tried (rule D11), and for two secrets that the store takes for one;
    InvalidIdentity for a realm that is none.
    """
    _refuse_ambiguous(account.secrets)
    identity = account.identity
    folded = key(identity)
    name: Row = (identity.local, identity.realm, folded.local, folded.realm)
    times: Row = (account.locked, account.created, account.changed)
    found: list[Row] = []
    for secret in account.secrets:
        which: Row = (secret.kind.value, secret.label)
        rules = _rules(secret)
        for back, encoding in enumerate(secret.encodings or (None,)):
            usual = (line, back, *name, *which, *_encoding(encoding, secret.kind))
            found.append(usual if times == _NO_TIMES and rules == _NO_RULES else usual + times + rules)
            name, which, times, rules = _NO_NAME, _NO_SECRET, _NO_TIMES, _NO_RULES
    return found or [(line, 0, *name, *_NO_SECRET, *_NO_ENCODING, *times, *_NO_RULES)]


def _rules(secret: IncomingSecret) -> Row:
    """What is not restricted is left open: a secret that this one replaces may have had a rule."""
    limits = secret.restrictions
    if limits.none:
        services = networks = expires = None
    else:
        services, networks, expires = rows.restriction_columns(limits)
        services, networks = (services if limits.services else None), (networks if limits.networks else None)
    disabled = 1 if secret.disabled else None
    return (services, networks, expires, disabled, secret.created, secret.changed, secret.last_use)


def _encoding(encoding: Encoding | None, kind: Kind) -> Row:
    if encoding is None:
        return _NO_ENCODING
    profile = passwords.cost(encoding).profile
    return encoding.scheme, profile if kind is Kind.MAIN else None, encoding.text


def _refuse_ambiguous(secrets: tuple[IncomingSecret, ...]) -> None:
    if len(secrets) > 1 and len({(secret.kind, secret.label) for secret in secrets}) < len(secrets):
        raise BrokenRecord("two passwords of one kind and label")
    for secret in secrets:
        if (secret.kind is Kind.MAIN) != (secret.label == ""):
            raise BrokenRecord("an app password without a label, or a main one with a label")
        several = len(secret.encodings) > 1
        if several and len({encoding.scheme for encoding in secret.encodings}) < len(secret.encodings):
            raise BrokenRecord("two encodings of one password by one scheme")


def credential(secret: IncomingSecret) -> Credential:
    """As the store will know it, without a number yet."""
    return Credential(0, secret.kind, secret.label, secret.encodings, secret.restrictions, secret.disabled)
