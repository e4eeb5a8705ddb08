"""How often may be guessed: buckets of failed logins by account, network and both, and the tickets that pass them by (rules D2 to D5).

A token is taken before a backend is asked, so guesses made at the same time cannot all pass, and is given back unless the login failed.
Over a limit nobody is asked. All of it lives in the memory of one object, for as long as the process: a reload keeps it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass
from heapq import nlargest
from typing import NoReturn

from saslauthd_py import identity
from saslauthd_py.admission import places
from saslauthd_py.admission.buckets import SECOND, Buckets
from saslauthd_py.admission.macs import Macs
from saslauthd_py.admission.places import Network
from saslauthd_py.backend import Address, Attempt
from saslauthd_py.config.settings.admission import AdmissionSettings, Rate
from saslauthd_py.identity import Identity, InvalidIdentity
from saslauthd_py.verdict import Accepted, Unavailable, Verdict

UNROUTED = ""
"""The one account that stands for all names without a route (rule B3). No other is called so: each has its `@`."""

WIDE = 4
"""A network (/24, /48) may fail so many times as often as one address in it (/32, /64): one guesser does not lock its neighbours out."""

TICKET_LIFE = 7 * 86400
"""Seconds from a secret's last proof."""

REPEAT_LIFE = 600
"""Seconds in which the same wrong secret counts once. Not for ever: an old guess may become right when the password changes."""

_MOST_TICKETS = 100_000
_MOST_REPEATS = 1 << 15

_Key = tuple[Buckets, Hashable]


@dataclass(slots=True, eq=False)
class Entry:
    """One attempt from `Admission.enter` to `Admission.settle`. `refused`: over a limit; it ends with this verdict, and nobody is asked.

    `urgent`: it holds a ticket. Whoever asks backends sets `judged` once one may have judged the secret: from then on only Accepted
    gives the token back (rule D9). An exchange has neither `ticket` nor `repeat` before its proof: both are empty.
    """

    keys: tuple[_Key, ...]
    ticket: bytes = b""
    repeat: bytes = b""
    urgent: bool = False
    refused: Unavailable | None = None
    taken: bool = False
    judged: bool = False


@dataclass(frozen=True, slots=True)
class Limited:
    """Who counts towards a limit: how many failures of late, in parts of one too, of how many that may be. `name` empty: UNROUTED.

    `kind`: account, address, network, or pair of account and network.
    """

    kind: str
    name: str
    failures: float
    limit: int


class Admission:
    """Decides who may try. One for the process; `clock` gives seconds that never go back."""

    def __init__(self, settings: AdmissionSettings, clock: Callable[[], float]) -> None:
        self._clock = clock
        key = os.urandom(32)
        self._ticket = hashlib.blake2b(key=key, digest_size=16, person=b"ticket")
        self._keyed_ticket = hashlib.blake2b(key=key, digest_size=16, person=b"keyed ticket")
        self._tickets = Macs(TICKET_LIFE, _MOST_TICKETS)
        self._repeats = Macs(REPEAT_LIFE, _MOST_REPEATS)
        self._settings: AdmissionSettings | None = None
        self.configure(settings)

    def configure(self, settings: AdmissionSettings) -> None:
        """Go by these limits from now on. Tickets stay, and what was counted by a limit that stays as it is (rule H1)."""
        before, self._settings = self._settings, settings
        self._trusted = settings.trusted_networks
        if before is None or before.per_account != settings.per_account:
            self._accounts = _buckets(settings.per_account, "of this account")
        if before is None or before.per_network != settings.per_network:
            self._addresses = _buckets(settings.per_network, "from this address")
            self._networks = _buckets(settings.per_network, "from this network", WIDE)
        if before is None or before.per_pair != settings.per_pair:
            self._pairs = _buckets(settings.per_pair, "of this account from this network")

    def __reduce__(self) -> NoReturn:
        raise TypeError("admission is not pickled")  # rule D5

    def enter(self, attempt: Attempt, accounts: Iterable[str]) -> Entry:
        """Take a token from every bucket of this attempt, or refuse it. `accounts`: what the backends to be asked may call its account.

        A ticket takes none, and is never refused.
        """
        now = self._now()
        ticket, repeat = self._macs(attempt)
        entry = Entry(self._keys(accounts, attempt.address), ticket, repeat, urgent=self._tickets.holds(ticket, now))
        if not entry.urgent:
            self._try_to_take(entry, now)
        return entry

    def enter_exchange(self, address: Address | None, accounts: Iterable[str]) -> Entry:
        """The same for a login in which no secret is sent, once its proof has come. One that is refused goes on all the same: the proof may
        turn out to have a ticket, which `claim` tells; `settle` sees to it that no other proof is answered.
        """
        entry = Entry(self._keys(accounts, address))
        self._try_to_take(entry, self._now())
        return entry

    def claim(self, entry: Entry, name: Identity, stored_key: bytes) -> None:
        """An exchange has shown the secret of this StoredKey (`keys.Keys`): it is `urgent` from now on if that has a ticket."""
        entry.ticket = _mac(self._keyed_ticket, _account(name) + stored_key)
        entry.urgent = self._tickets.holds(entry.ticket, self._now())

    def settle(self, entry: Entry, verdict: Verdict) -> Verdict:
        """Count how an attempt ended; returns what may be answered. Over a limit no holder of a ticket hears a no either."""
        now = self._now()
        if entry.refused and not entry.urgent:
            return entry.refused
        if isinstance(verdict, Accepted):
            self._give_back(entry, now)
            self._repeats.discard(entry.repeat)
            self._tickets.add(entry.ticket, now)
            return verdict
        if isinstance(verdict, Unavailable):
            if not entry.judged:
                self._give_back(entry, now)
                return verdict
        else:
            self._tickets.discard(entry.ticket)
        return entry.refused or self._count(entry, now) or verdict

    def network(self, address: Address | None) -> Network | None:
        """The network by which this address is limited and takes its turns; None where it is unknown or trusted."""
        if address is None:
            return None
        plain = places.plain(address)
        return None if any(plain in trusted for trusted in self._trusted) else places.around(plain)

    def tickets(self) -> int:
        """How many secrets were accepted within TICKET_LIFE, so far as they are kept."""
        return len(self._tickets)

    def refused(self) -> dict[str, int]:
        """How many logins met each of the limits that are on, by its kind."""
        return {kind: buckets.refused for kind, buckets in self._kinds()}

    def top(self, most: int) -> list[Limited]:
        """Who is nearest to a limit, the nearest first."""
        now = self._now()
        found = [
            Limited(kind, _shown(key), buckets.used(key, now), buckets.count)
            for kind, buckets in self._kinds()
            for key in buckets.emptiest(most)
        ]
        return nlargest(most, (one for one in found if one.failures), key=lambda one: one.failures / one.limit)

    def unblock_accounts(self, accounts: Collection[str]) -> int:
        """Forget the failures of these accounts (as `identity.account` makes them), wherever they came from; how many limits."""
        pairs = self._pairs.fill_all(lambda key: isinstance(key, tuple) and key[0] in accounts) if self._pairs else 0
        return pairs + (sum(map(self._accounts.fill, accounts)) if self._accounts else 0)

    def unblock_address(self, address: Address) -> int:
        """Forget the failures from this address, from its network and of each account from there; how many limits."""
        around = places.around(address)
        pairs = self._pairs.fill_all(lambda key: isinstance(key, tuple) and key[1] == around) if self._pairs else 0
        own = self._addresses.fill(places.own(address)) if self._addresses else 0
        return pairs + own + (self._networks.fill(around) if self._networks else 0)

    def _kinds(self) -> list[tuple[str, Buckets]]:
        kinds = {"account": self._accounts, "address": self._addresses, "network": self._networks, "pair": self._pairs}
        return [(kind, buckets) for kind, buckets in kinds.items() if buckets is not None]

    def _now(self) -> int:
        return int(self._clock() * SECOND)

    def _macs(self, attempt: Attempt) -> tuple[bytes, bytes]:
        """Of account and secret, and of both with their place: nobody learns from elsewhere what was wrong here of late."""
        ticket = _mac(self._ticket, _account(attempt.identity) + attempt.secret.reveal())
        return ticket, ticket if attempt.address is None else ticket + places.own(attempt.address).first

    def _keys(self, accounts: Iterable[str], address: Address | None) -> tuple[_Key, ...]:
        accounts = tuple(accounts)
        named: list[tuple[Buckets | None, Hashable]] = [(self._accounts, account) for account in accounts]
        around = self.network(address)
        if around is not None and address is not None:
            named += [(self._pairs, (account, around)) for account in accounts]
            named += [(self._addresses, places.own(address)), (self._networks, around)]
        return tuple([(buckets, key) for buckets, key in named if buckets is not None])

    def _try_to_take(self, entry: Entry, now: int) -> None:
        entry.refused = _over(entry.keys, now)
        if entry.refused is None:
            self._take(entry, now)

    def _take(self, entry: Entry, now: int) -> None:
        for buckets, key in entry.keys:
            buckets.take(key, now)
        entry.taken = True

    def _give_back(self, entry: Entry, now: int) -> None:
        if entry.taken:
            for buckets, key in entry.keys:
                buckets.give_back(key, now)
        entry.taken = False

    def _count(self, entry: Entry, now: int) -> Unavailable | None:
        """A failure costs one token, and none where the same one has cost one of late."""
        if not entry.taken and (over := _over(entry.keys, now)):
            return over
        if self._repeats.holds(entry.repeat, now):
            self._give_back(entry, now)
        else:
            if entry.repeat:
                self._repeats.add(entry.repeat, now)
            if not entry.taken:
                self._take(entry, now)
        return None


def _buckets(rate: Rate | None, cause: str, times: int = 1) -> Buckets | None:
    return None if rate is None else Buckets(Rate(rate.count * times, rate.seconds), f"admission: too many failed logins {cause}")


def _mac(state: hashlib.blake2b, message: bytes) -> bytes:
    """By a MAC that has taken its key and what it is for."""
    mac = state.copy()
    mac.update(message)
    return mac.digest()


def _account(name: Identity) -> bytes:
    """For a MAC: with its length, so that nothing after it can be taken for a part of it."""
    try:
        account = identity.account(name).encode()
    except InvalidIdentity:
        account = str(name).encode()
    return len(account).to_bytes(4, "big") + account


def _shown(key: Hashable) -> str:
    """A bucket's key as an admin writes it: an account without a realm has no `@`, one address no length."""
    match key:
        case Network():
            return str(key)
        case (account, network):
            return f"{_shown(account)} from {_shown(network)}"
    return str(key).removesuffix("@")


def _over(keys: Iterable[_Key], now: int) -> Unavailable | None:
    empty = next((buckets for buckets, key in keys if not buckets.has_token(key, now)), None)
    if empty is None:
        return None
    empty.refused += 1
    return Unavailable(empty.cause, limited=True)
