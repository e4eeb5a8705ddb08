"""A whole sasldb2 as an index: each account's password, in clear, by name. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from saslauthd_py import identity, keying, sasldb
from saslauthd_py.identity import Identity, InvalidIdentity, Key
from saslauthd_py.keying import Keyless
from saslauthd_py.keys import Hash
from saslauthd_py.sasldb import Entry, SasldbError
from saslauthd_py.secret import Secret
from saslauthd_py.watching.reading import NoContents
from saslauthd_py.watching.watched import MOST_NAMED


@dataclass(frozen=True, slots=True)
class Account:
    """A user as the file spells it. `password` empty: there is none in clear, only what other mechanisms keep."""

    identity: Identity
    password: bytes = field(repr=False)


class Index:
    """What `build` makes, and never changes.

    `complaints` are lines for the log, without names; `keyless` are the accounts of whose password no SCRAM keys can be made.
    """

    def __init__(self, size: int, accounts: Mapping[str, tuple[Account, ...]], complaints: tuple[str, ...]) -> None:
        self.size = size
        self.complaints = complaints
        self.keyless: Mapping[Hash, Keyless] = {}
        self.by_key = accounts

    def __len__(self) -> int:
        return sum(map(len, self.by_key.values()))

    def find(self, key: Key, name: Identity) -> Account | None:
        """The account with this key, made of `name` with the `fold_case` of `build`. Of several, the one that is spelled as `name` is."""
        found = self.by_key.get(_joined(key), ())
        return found[0] if len(found) == 1 else next((account for account in found if account.identity == name), None)

    def accounts(self) -> Iterator[Account]:
        """All of them."""
        return (account for same in self.by_key.values() for account in same)

    def changed(self, since: Index) -> tuple[Identity, ...] | None:
        """The names whose passwords came, went or became others; None: more than MOST_NAMED."""
        named: dict[Identity, None] = {}
        for one, other in ((self, since), (since, self)):
            for joined, accounts in one.by_key.items():
                if accounts != other.by_key.get(joined):
                    named |= dict.fromkeys(account.identity for account in accounts)
                    if len(named) > MOST_NAMED:
                        return None
        return tuple(named)


def build(file: bytes, *, fold_case: bool, keys: bool) -> Index:
    """The index of a file's bytes; `keys`: count who has none. Raises NoContents.

    A record whose key nobody can make by logging in (no UTF-8, say) is passed over.
    """
    try:
        found = sasldb.parse(file)
    except SasldbError as error:
        raise NoContents(str(error)) from None
    accounts: dict[str, tuple[Account, ...]] = {}
    unnameable = found.strange
    for (authid, realm), password in _passwords(found.entries).items():
        try:
            name = Identity(authid.decode(), realm.decode())
            joined = _joined(identity.key(name, fold_case))
        except (InvalidIdentity, UnicodeDecodeError):
            unnameable += 1
            continue
        accounts[joined] = (*accounts.get(joined, ()), Account(name, password))
    index = Index(len(file), accounts, tuple(_complaints(unnameable, accounts)))
    if keys:
        index.keyless = dict.fromkeys(Hash, _keyless(index))
    return index


def _passwords(entries: tuple[Entry, ...]) -> dict[tuple[bytes, bytes], bytes]:
    passwords: dict[tuple[bytes, bytes], bytes] = {}
    for entry in entries:
        if entry.property == sasldb.PASSWORD:
            passwords[entry.authid, entry.realm] = entry.value
        else:
            passwords.setdefault((entry.authid, entry.realm), b"")
    return passwords


def _complaints(unnameable: int, accounts: Mapping[str, tuple[Account, ...]]) -> Iterator[str]:
    several = sum(len(same) > 1 for same in accounts.values())
    if several:
        yield f"{several} names are there in several spellings; each counts only as it is spelled"
    if unnameable:
        yield f"{unnameable} records have names that no account can have, and are skipped"


def _keyless(index: Index) -> Keyless:
    clear = [account for account in index.accounts() if account.password]
    if not clear:
        return Keyless(nobody=True)
    return Keyless.of(str(account.identity) for account in clear if not keying.usable(Secret(account.password)))


def _joined(key: Key) -> str:
    return f"{key.local}\0{key.realm}"  # no name holds a NUL, so no two keys are one text
