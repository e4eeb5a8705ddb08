"""What a backend promises, apart from those who implement it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from saslauthd_py.identity import Identity
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Verdict

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to log in. `address` is the mail client's, and None unless the listener is trusted to name it (rule D10).

    `urgent`: this account and secret were accepted lately, so the work for them goes before that for strangers (rules D3, D4).
    """

    identity: Identity
    secret: Secret
    service: str
    address: Address | None = None
    urgent: bool = False


class Backend(Protocol):
    """An external system that can say whether a secret is right."""

    async def verify_password(self, attempt: Attempt) -> Verdict:
        """Never raises for what the system does: whatever keeps it from answering is Unavailable, `judged` if it came too late for D9.

        May be cancelled at any point.
        """

    async def pretend(self, secret: Secret) -> None:
        """Spend what comparing a wrong secret costs here, and tell nothing: for unknown, locked and expired accounts (rule D6)."""


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
