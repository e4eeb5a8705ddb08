"""SCRAM keys of stored credentials: read where they are stored, derived where the secret itself is, made of one that was presented.

Rule F3: the secrets of an account share one salt and one round count for each hash. Where none is stored yet, both are those that the
account would show if nobody had it: neither its creation nor its upgrade can be seen in them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from saslauthd_py import passwords
from saslauthd_py.credential import Credential, Encoding
from saslauthd_py.keys import AccountKeys, Hash, Keys
from saslauthd_py.mechanisms.scram import keys
from saslauthd_py.mechanisms.scram.keys import Unusable
from saslauthd_py.passwords import BrokenRecord
from saslauthd_py.secret import Secret

ROUNDS = 100_000
"""Of new keys, where nobody says otherwise: 20-45 ms."""

MOST_ROUNDS = 10_000_000
"""Of stored keys: a client would compute for seconds, and so would we for a further secret of the account (rule D11)."""

NO_DECOY_KEY = "SCRAM needs a key for the salts of unknown names: set decoy_key_file"
"""What keeps SCRAM from files that have no such key of their own."""

MOST_COUNTED = 1000
"""Accounts without keys that are counted one by one."""

_NOBODYS = Secret(b"nobody's")

Derive = Callable[[Hash, Secret, bytes, int], Awaitable[Keys]]
"""`hashing.Hashing.derive`."""

Salt = tuple[bytes, int]
"""A salt, and the rounds that go with it."""


@dataclass(frozen=True, slots=True)
class Salts:
    """Where salts come from that are not stored: a random key that lasts, and the rounds of new keys."""

    key: Secret = field(repr=False)
    rounds: int = ROUNDS

    def decoy(self, account: str, function: Hash, rounds: int | None = None) -> AccountKeys:
        """For an account without keys: always the same, `rounds` (None: as new ones) as real ones have, and nothing that a proof could fit.

        `account` is what `identity.account` makes of the name.
        """
        return keys.decoy(self.key, function, account, rounds or self.rounds)

    def shared(self, account: str, credentials: Iterable[Credential], function: Hash) -> Salt:
        """Those of the first of these secrets of the account that has keys, else what a decoy of the account shows."""
        for credential in credentials:
            found = _readable(credential, function)
            if found is not None:
                return found.salt, found.rounds
        return keys.stable_salt(self.key, function, account), self.rounds


@dataclass(frozen=True, slots=True)
class Keyless:
    """The accounts that have no keys for a hash: how many, up to one more than MOST_COUNTED, and one of them. `nobody`: no accounts."""

    count: int = 0
    example: str = ""
    nobody: bool = False

    @classmethod
    def of(cls, names: Iterable[str]) -> Keyless:
        """Counted, until there are more than MOST_COUNTED."""
        count, example = 0, ""
        for name in names:
            count, example = count + 1, example or name
            if count > MOST_COUNTED:
                break
        return cls(count, example)

    def line(self, function: Hash, advice: str) -> str:
        """What keeps this hash's mechanism from being offered, and what to do; empty where nothing does."""
        if self.nobody:
            return "no accounts yet"
        if not self.count:
            return ""
        number = f"over {MOST_COUNTED}" if self.count > MOST_COUNTED else str(self.count)
        kind = f"{scheme(function)} keys"
        if self.count == 1:
            return f"1 account has no {kind}, {self.example}; {advice}"
        return f"{number} accounts have no {kind}, {self.example} among them; {advice}"


def scheme(function: Hash) -> str:
    """The scheme of a hash's keys as `passwords` and the store spell it."""
    return function.mechanism.lower()


def stored(credential: Credential, function: Hash) -> Keys | None:
    """A secret's keys as they are stored; None where it has none for this hash. Raises BrokenRecord, without the record in its text."""
    found = next((encoding for encoding in credential.encodings if encoding.scheme == scheme(function)), None)
    if found is None:
        return None
    record = keys.read_record(found.text)
    if record is None or record[0] is not function:
        raise BrokenRecord(f"malformed {found.scheme} record")
    if record[1].rounds > MOST_ROUNDS:
        raise BrokenRecord(f"a {found.scheme} record of {record[1].rounds} rounds: over {MOST_ROUNDS} is refused")
    return record[1]


def encoded(function: Hash, made: Keys) -> Encoding:
    """As `stored` reads it."""
    return Encoding(scheme(function), keys.write_record(function, made))


def usable(secret: Secret | None) -> bool:
    """Whether keys can be made of it."""
    try:
        return secret is not None and bool(keys.prepared(secret))
    except Unusable:
        return False


async def find(account: str, credentials: Sequence[Credential], function: Hash, salts: Salts, derive: Derive) -> AccountKeys | None:
    """The keys of these secrets of an account, its main one first; None where they have none for this hash.

    Keys with another salt than the first's are left out (rule F3), and so is a broken record (rule D8); BrokenRecord is raised where
    nothing else is left.
    """
    found: list[tuple[int, Keys]] = []
    broken: BrokenRecord | None = None
    for credential in credentials:
        try:
            of_this = stored(credential, function)
            if of_this is None and (secret := _clear(credential)) is not None:
                of_this = await derive(function, secret, *salts.shared(account, credentials, function))
        except BrokenRecord as error:
            broken = error
        else:
            if of_this is not None:
                found.append((credential.id, of_this))
    if broken is not None and not found:
        raise broken
    return keys.gather(found) if found else None


async def pretend(decoy: AccountKeys, function: Hash, derive: Derive) -> None:
    """Spend what deriving the keys of an account costs that has shown this, of clear text (rule D6)."""
    await derive(function, _NOBODYS, decoy.salt, decoy.rounds)


def missing(credential: Credential, credentials: Sequence[Credential]) -> tuple[Hash, ...]:
    """The hashes for which one of these secrets has no keys stored that can be read, or only such as those of the first shut out."""
    return tuple(function for function in Hash if not _serves(credential, credentials, function))


def make(account: str, secret: Secret, others: Sequence[Credential], salts: Salts) -> tuple[Encoding, ...]:
    """Keys of a secret for every hash, to be stored; `others` are the other secrets of its account. Blocks. Raises Unusable."""
    return tuple(encoded(function, keys.derive(function, secret, *salts.shared(account, others, function))) for function in Hash)


def _clear(credential: Credential) -> Secret | None:
    secret = passwords.clear_text(credential.encodings)
    return secret if usable(secret) else None


def _readable(credential: Credential, function: Hash) -> Keys | None:
    try:
        return stored(credential, function)
    except BrokenRecord:
        return None


def _serves(credential: Credential, credentials: Sequence[Credential], function: Hash) -> bool:
    own = _readable(credential, function)
    first = next(filter(None, (_readable(one, function) for one in credentials)), None)
    return own is not None and first is not None and (own.salt, own.rounds) == (first.salt, first.rounds)
