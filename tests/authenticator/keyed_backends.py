"""Backends whose accounts have SCRAM keys, scripted, and whole exchanges with them."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address

import trio

from saslauthd_py import identity
from saslauthd_py.authenticator import Decision, KeyedLogin, Sought
from saslauthd_py.authenticator.chain import KeysAnswer
from saslauthd_py.backend import KeysFound
from saslauthd_py.credential import UNRESTRICTED, Restrictions
from saslauthd_py.identity import Identity
from saslauthd_py.keys import AccountKeys, Hash, Keys
from saslauthd_py.mechanisms.exchange import Challenge, Disproved, NeedKeys, Proved, Step
from saslauthd_py.mechanisms.scram.client import Client
from saslauthd_py.mechanisms.scram.keys import derive
from saslauthd_py.mechanisms.scram.server import Server
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Unavailable, UnknownUser, Verdict
from tests.desks import Desk

ALICE = Identity("alice", "example.test")
SHA256 = Hash.SHA256
ROUNDS = 4096
LATER = Unavailable("admission: too many failed logins of this account", limited=True)


def salt_of(name: Identity, seed: str = "real") -> bytes:
    return hashlib.sha256(f"{seed} {identity.account(name)}".encode()).digest()[:16]


@functools.cache
def keys_of(secret: bytes, name: Identity = ALICE) -> Keys:
    return derive(SHA256, Secret(secret), salt_of(name), ROUNDS)


@dataclass
class ScriptedKeys:
    """Implements `Keyed`: knows `accounts`, each with its secrets by credential; says `answers` first; waits for `gate` if there is one."""

    accounts: dict[str, dict[int, bytes]] = field(default_factory=lambda: {"alice@example.test": {1: b"pw1"}})
    answers: list[KeysAnswer | Verdict | Exception] = field(default_factory=list)
    restrictions: Restrictions = UNRESTRICTED
    confirmed: Callable[[Identity], Identity] = lambda name: name
    gate: trio.Event | None = None
    seed: str = "decoy"
    asked: list[Identity] = field(default_factory=list)

    async def find_keys(self, name: Identity, function: Hash) -> KeysAnswer:
        answer = await self._said(name)
        if answer is not None:
            assert not isinstance(answer, Accepted)
            return answer
        secrets = self.accounts.get(str(self.confirmed(name)))
        if secrets is None:
            return UnknownUser()
        keys = tuple((number, keys_of(secret, self.confirmed(name))) for number, secret in secrets.items())
        return KeysFound(
            self.confirmed(name),
            AccountKeys(keys[0][1].salt, ROUNDS, keys),
            dict.fromkeys(secrets, self.restrictions),
        )

    async def find_account(self, name: Identity) -> Verdict:
        answer = await self._said(name)
        if answer is not None:
            assert not isinstance(answer, KeysFound)
            return answer
        known = str(self.confirmed(name)) in self.accounts
        return Accepted(self.confirmed(name), self.restrictions) if known else UnknownUser()

    def decoy(self, name: Identity, function: Hash) -> AccountKeys:
        return AccountKeys(salt_of(name, self.seed + function), ROUNDS)

    def lack(self, function: Hash) -> str:
        return ""

    @property
    def counted(self) -> bool:
        return True

    async def _said(self, name: Identity) -> KeysAnswer | Verdict | None:
        self.asked.append(name)
        if self.gate is not None:
            await self.gate.wait()
        await trio.lowlevel.checkpoint()
        if not self.answers:
            return None
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def says_keys(*answers: KeysAnswer | Verdict | Exception) -> ScriptedKeys:
    return ScriptedKeys(answers=list(answers))


def sought(name: str = "alice@example.test", *, service: str = "smtp", address: str = "", authzid: str = "", listener: int = 0) -> Sought:
    return Sought(
        identity.split(name),
        service,
        ip_address(address) if address else None,
        f"/run/{listener}",
        identity.split(authzid) if authzid else None,
    )


async def begin(it: Desk, wanted: Sought | None = None) -> KeyedLogin:
    return await it.authenticator.find_keys(wanted or sought(), SHA256)


def proved(credential: int = 1) -> Proved:
    return Proved("", "alice", b"v=", credential)


WRONG_PROOF = Disproved("", "alice", b"e=invalid-proof")


async def login(it: Desk, secret: bytes = b"pw1", wanted: Sought | None = None) -> Decision:
    """A whole exchange with a client that has this secret."""
    begun = await begin(it, wanted)
    return begun.unavailable or await begun.conclude(exchange(begun.keys, secret))


def exchange(keys: AccountKeys, secret: bytes) -> Proved | Disproved:
    """What a client with this secret shows to a server that goes by these keys."""
    client = Client(SHA256, "alice", Secret(secret))
    step: Step = Server(SHA256).begin(client.first())
    assert isinstance(step, NeedKeys)
    step = step.resolve(keys)
    assert isinstance(step, Challenge)
    step = step.receive(client.final(step.message).message)
    assert isinstance(step, Proved | Disproved)
    return step
