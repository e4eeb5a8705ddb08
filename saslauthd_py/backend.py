"""What a backend promises, apart from those who implement it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple, Protocol

from saslauthd_py.credential import Restrictions
from saslauthd_py.identity import Identity
from saslauthd_py.keys import AccountKeys, Hash
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Rejected, Unavailable, UnknownUser, Verdict

Address = IPv4Address | IPv6Address


class Attempt(NamedTuple):
    """One try to log in. `address` is the mail client's, and None unless the listener is trusted to name it (rule D10).

    `urgent`: this account and secret were accepted lately, so the work for them goes before that for strangers (rules D3, D4).
    """

    identity: Identity
    secret: Secret
    service: str
    address: Address | None = None
    urgent: bool = False

    def in_a_hurry(self) -> Attempt:
        """The same, `urgent`."""
        return Attempt(self.identity, self.secret, self.service, self.address, urgent=True)


class Backend(Protocol):
    """An external system that can say whether a secret is right."""

    async def verify_password(self, attempt: Attempt) -> Verdict:
        """Never raises for what the system does: whatever keeps it from answering is Unavailable, `judged` if it came too late for D9.

        May be cancelled at any point.
        """

    async def pretend(self, secret: Secret) -> None:
        """Spend what comparing a wrong secret costs here, and tell nothing: for unknown, locked and expired accounts (rule D6)."""


@dataclass(frozen=True, slots=True)
class KeysFound:
    """What an account has for SCRAM. `identity` is the one that the backend confirmed; `restrictions` are by the numbers in `keys`."""

    identity: Identity
    keys: AccountKeys
    restrictions: Mapping[int, Restrictions]


class Keyed(Protocol):
    """A backend that can also judge a login in which no secret is sent."""

    async def find_keys(self, name: Identity, function: Hash) -> KeysFound | Rejected | UnknownUser | Unavailable:
        """The keys of an account that may log in; NO_CREDENTIAL: it has none for this hash. As `Backend.verify_password` for the rest."""

    async def find_account(self, name: Identity) -> Verdict:
        """Whether an account may log in that somebody else has vouched for; Accepted has the restrictions of its main secret."""

    def decoy(self, name: Identity, function: Hash) -> AccountKeys:
        """What an account without keys shows: always the same for the same name, and like real ones (rule F3). Never waits."""

    @property
    def counted(self) -> bool:
        """Whether what `lack` says is true of the accounts as they are now, so far as their changes were seen."""

    def lack(self, function: Hash) -> str:
        """Why not everybody can log in with this hash's keys, as last counted: one line; empty: everybody can. Never waits."""


class BackendUnreadable(Exception):
    """A backend's data cannot be looked at: nothing may be answered from memory. Its text is one line for the log."""


class BackendBusy(BackendUnreadable):
    """Another process holds the data at this moment: a thread that waits could look, the loop cannot."""


class Watched(Protocol):
    """A backend whose changes we see, so that what it has proved may be remembered (rule C6)."""

    def changes(self) -> Iterable[str] | None:
        """Accounts (as `identity.account` makes them) changed since the last call; None: any of them may have. Never waits.

        Raises BackendUnreadable when nobody can tell. The caller has read its clock before the call.
        """

    def account(self, name: Identity) -> str:
        """What `changes` calls the account that this name means here; empty where it can mean none."""

    def generation(self, name: Identity) -> int:
        """A number that is another one after every change of the account that a call of `changes` has seen."""
