"""Logins in which no secret is sent: whose keys are shown, and what their proof is worth (rules B1, B3, B4, C1, D6, D9, E7, F3, F5, H3)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from saslauthd_py import identity
from saslauthd_py.admission.places import around
from saslauthd_py.authenticator import Decision
from saslauthd_py.backend import KeysFound
from saslauthd_py.credential import UNRESTRICTED, Restrictions
from saslauthd_py.identity import Identity
from saslauthd_py.keys import AccountKeys, Hash
from saslauthd_py.queue import CALLER, Caller
from saslauthd_py.routing import Next
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict
from tests.authenticator.keyed_backends import (
    ALICE,
    ROUNDS,
    SHA256,
    WRONG_PROOF,
    ScriptedKeys,
    begin,
    exchange,
    keys_of,
    login,
    proved,
    salt_of,
    says_keys,
    sought,
)
from tests.desks import WRONG, Plan, desk, grant
from tests.front.fronts import ScriptedBackend

ALL = frozenset(Next)
NO_KEYS = Rejected(Reason.NO_CREDENTIAL)


def accepted(name: Identity = ALICE, restrictions: Restrictions = UNRESTRICTED) -> Accepted:
    return Accepted(name, restrictions, 1, replayable=False)


def one(keys: ScriptedKeys | None = None, **plan: Any) -> Plan:
    """A plan of one backend, `users`, that has keys."""
    return Plan(keyed={"users": keys or ScriptedKeys()}, **plan)


async def test_right_secret_is_accepted_and_a_wrong_one_is_not(autojump_clock: MockClock) -> None:
    async with desk(one(), users=ScriptedBackend()) as it:
        assert await login(it) == Decision(accepted(), "alice@example.test", "users")
        assert await login(it, b"wrong") == Decision(WRONG, "alice@example.test", "users")
        assert it.backends["users"].asked == []
        assert it.backends["users"].pretended == 0
        assert it.cache.proofs == {}, "nothing of it is remembered"


async def test_every_secret_of_an_account_is_good_and_the_one_that_was_used_is_noted(autojump_clock: MockClock) -> None:
    async with desk(one(ScriptedKeys({"alice@example.test": {1: b"pw1", 7: b"phone"}})), users=ScriptedBackend()) as it:
        used = it.authenticator._routes.members["users"].used
        assert used is not None
        await login(it, b"wrong")
        assert used == {}
        assert isinstance((await login(it, b"phone")).verdict, Accepted)
        assert set(used) == {7}


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (UnknownUser(), UnknownUser()),
        (NO_KEYS, NO_KEYS),
        *((Rejected(reason), Rejected(reason)) for reason in (Reason.LOCKED, Reason.DISABLED, Reason.EXPIRED)),
    ],
)
async def test_d6_f3_account_that_may_not_log_in_shows_a_decoy_and_fails_at_the_proof(
    answer: UnknownUser | Rejected, verdict: Verdict, autojump_clock: MockClock
) -> None:
    async with desk(one(says_keys(answer)), users=ScriptedBackend()) as it:
        begun = await begin(it)
        assert begun.unavailable is None
        assert begun.keys == AccountKeys(salt_of(ALICE, "decoysha256"), ROUNDS)
        assert await begun.conclude(exchange(begun.keys, b"pw1")) == Decision(verdict, "alice@example.test", "users")


async def test_f3_no_proof_by_a_decoy_is_right_whatever_the_exchange_says(autojump_clock: MockClock) -> None:
    async with desk(one(), users=ScriptedBackend()) as it:
        begun = await begin(it, sought("nobody@example.test"))
        assert (await begun.conclude(proved(0))).verdict == UnknownUser()
        assert (await (await begin(it)).conclude(proved(2))).verdict == WRONG


async def test_b3_name_without_a_route_shows_a_decoy_and_no_backend_is_asked(autojump_clock: MockClock) -> None:
    keys = ScriptedKeys()
    async with desk(one(keys, realms=frozenset({"example.test"})), users=ScriptedBackend()) as it:
        for name in ("alice@other.test", "alice", "alice@no domain \u2260"):
            begun = await begin(it, sought(name))
            assert begun.unavailable is None
            assert (begun.keys.rounds, begun.keys.secrets) == (ROUNDS, ())
            assert begun.keys == (await begin(it, sought(name))).keys
            assert (await begun.conclude(exchange(begun.keys, b"pw1"))).verdict == Rejected(Reason.NO_ROUTE)
        assert keys.asked == []


async def test_f3_decoy_of_a_name_that_was_not_looked_for_is_another_than_that_of_one_that_was(autojump_clock: MockClock) -> None:
    """An account has two as well, its keys and this one: if an unknown name had the same here and there, that would tell them apart."""
    async with desk(one(realms=frozenset({"example.test"})), users=ScriptedBackend()) as it:
        name = Identity("nobody", "other.test")
        assert (await begin(it, sought(str(name)))).keys.salt != salt_of(name, "decoysha256")


async def test_f3_without_any_backend_that_has_keys_decoys_are_made_all_the_same(autojump_clock: MockClock) -> None:
    async with desk(users=ScriptedBackend()) as it:
        begun = await begin(it)
        assert len(begun.keys.salt) == 16
        assert (begun.keys.rounds, begun.keys.secrets) == (100_000, ())
        assert begun.keys == (await begin(it)).keys
        assert begun.keys != (await begin(it, sought("bob@example.test"))).keys
        assert (await begun.conclude(WRONG_PROOF)).verdict == UnknownUser()
    async with desk(users=ScriptedBackend()) as it:
        assert begun.keys != (await begin(it)).keys


async def test_f3_name_that_no_account_can_have_shows_a_decoy_of_the_backend_too(autojump_clock: MockClock) -> None:
    class Narrow(ScriptedKeys):
        def decoy(self, name: Identity, function: Hash) -> AccountKeys:
            if len(name.local) > 100:
                raise identity.InvalidIdentity("name over 100 bytes")
            return super().decoy(name, function)

    async with desk(one(Narrow()), users=ScriptedBackend()) as it:
        begun = await begin(it, sought("a" * 200 + "@example.test"))
        assert begun.keys.rounds == ROUNDS
        assert (await begun.conclude(WRONG_PROOF)).verdict == UnknownUser()


@pytest.mark.parametrize("known", [True, False])
async def test_f3_account_shows_the_same_keys_for_whatever_it_is_refused(known: bool, autojump_clock: MockClock) -> None:
    """Else a client would only have to ask twice to know which names are accounts."""
    keys = ScriptedKeys() if known else ScriptedKeys({})
    async with desk(one(keys, services={"users": frozenset({"smtp"})}), users=ScriptedBackend()) as it:
        shown = [(await begin(it, wanted)).keys.salt for wanted in (sought(), sought(service="imap"), sought(authzid="bob@example.test"))]
        assert set(shown) == {salt_of(ALICE) if known else salt_of(ALICE, "decoysha256")}


async def test_d9_service_that_a_backend_does_not_serve_fails_whatever_the_proof(autojump_clock: MockClock) -> None:
    async with desk(one(services={"users": frozenset({"smtp"})}), users=ScriptedBackend()) as it:
        for secret in (b"pw1", b"wrong"):
            assert (await login(it, secret, sought(service="imap"))).verdict == Rejected(Reason.SERVICE)
        assert isinstance((await login(it)).verdict, Accepted)


async def test_d9_authzid_that_no_grant_allows_fails_whatever_the_proof(autojump_clock: MockClock) -> None:
    async with desk(one(), users=ScriptedBackend()) as it:
        for secret in (b"pw1", b"wrong"):
            decision = await login(it, secret, sought(authzid="bob@example.test"))
            assert decision == Decision(Rejected(Reason.AUTHZID), "alice@example.test", "users")


async def test_b4_outage_is_told_at_once_to_who_may_not_act_so_too(autojump_clock: MockClock) -> None:
    async with desk(one(says_keys(Unavailable("down"))), users=ScriptedBackend()) as it:
        begun = await begin(it, sought(authzid="bob@example.test"))
        assert begun.unavailable == Decision(Unavailable("down"), "alice@example.test", "users")


async def test_who_may_act_as_another_is_logged_in_as_that_other(autojump_clock: MockClock) -> None:
    async with desk(one(grants=(grant("alice@example.test", "bob@example.test"),)), users=ScriptedBackend()) as it:
        decision = await login(it, wanted=sought(authzid="bob@example.test"))
        assert decision == Decision(accepted(), "bob@example.test", "users", authcid="alice@example.test")
        decision = await login(it, wanted=sought(authzid="alice@EXAMPLE.test"))
        assert (decision.user, decision.authcid) == ("alice@example.test", "")
        assert (await login(it, b"wrong", sought(authzid="bob@example.test"))).verdict == WRONG


@pytest.mark.parametrize(("confirmed", "user"), [("alice", "bob@example.test"), ("Alice", "Alice@example.test")])
async def test_b1_grant_and_decision_are_of_the_identity_that_the_backend_confirmed(
    confirmed: str, user: str, autojump_clock: MockClock
) -> None:
    name = Identity(confirmed, "example.test")
    keys = ScriptedKeys({str(name): {1: b"pw1"}}, confirmed=lambda _: name)
    async with desk(one(keys, grants=(grant("alice@example.test", "bob@example.test"),)), users=ScriptedBackend()) as it:
        decision = await login(it, wanted=sought("Alice@example.test", authzid="bob@example.test"))
        assert decision.user == user
        assert decision.verdict == (accepted() if confirmed == "alice" else Rejected(Reason.AUTHZID))
        assert (await login(it, wanted=sought("ALICE@example.test"))).user == str(name)


@pytest.mark.parametrize(
    ("restrictions", "reason"),
    [
        (Restrictions(services=("imap",)), Reason.SERVICE),
        (Restrictions(networks=(ip_network("192.0.2.0/24"),)), Reason.NETWORK),
        (Restrictions(expires=1.0), Reason.EXPIRED),
    ],
)
async def test_c1_rules_of_the_credential_are_judged(restrictions: Restrictions, reason: Reason, autojump_clock: MockClock) -> None:
    async with desk(one(ScriptedKeys(restrictions=restrictions)), users=ScriptedBackend()) as it:
        assert (await login(it, wanted=sought(address="198.51.100.1"))).verdict == Rejected(reason)
        assert it.authenticator._routes.members["users"].used == {}
    allowed = Restrictions(("smtp",), (ip_network("192.0.2.0/24"),), 4e9)
    async with desk(one(ScriptedKeys(restrictions=allowed)), users=ScriptedBackend()) as it:
        assert (await login(it, wanted=sought(address="192.0.2.7"))).verdict == accepted(restrictions=allowed)


async def test_c1_rules_are_those_at_the_proof(autojump_clock: MockClock) -> None:
    keys = ScriptedKeys()
    async with desk(one(keys), users=ScriptedBackend()) as it:
        begun = await begin(it)
        keys.restrictions = Restrictions(services=("imap",))
        assert (await begun.conclude(proved())).verdict == Rejected(Reason.SERVICE)


@pytest.mark.parametrize(
    ("then", "verdict"),
    [
        ({"alice@example.test": {1: b"new"}}, WRONG),
        ({"alice@example.test": {2: b"pw1"}}, WRONG),
        ({"bob@example.test": {1: b"pw1"}}, UnknownUser()),
        ({"alice@example.test": {2: b"phone", 1: b"pw1"}}, accepted()),
    ],
    ids=["changed", "another credential", "removed", "one more"],
)
async def test_h3_proof_counts_only_if_the_secret_is_still_this_one(
    then: dict[str, dict[int, bytes]], verdict: Verdict, autojump_clock: MockClock
) -> None:
    keys = ScriptedKeys()
    async with desk(one(keys), users=ScriptedBackend()) as it:
        begun = await begin(it)
        step = exchange(begun.keys, b"pw1")
        keys.accounts = then
        assert (await begun.conclude(step)).verdict == verdict


@pytest.mark.parametrize("answer", [Rejected(Reason.LOCKED), Rejected(Reason.EXPIRED), NO_KEYS, Unavailable("down")])
async def test_h3_account_that_may_no_longer_log_in_is_told_at_the_proof(answer: Rejected | Unavailable, autojump_clock: MockClock) -> None:
    keys = ScriptedKeys()
    async with desk(one(keys), users=ScriptedBackend()) as it:
        begun = await begin(it)
        keys.answers = [answer]
        assert (await begun.conclude(proved())).verdict == answer


async def test_h3_wrong_proof_is_answered_without_asking_again(autojump_clock: MockClock) -> None:
    keys = ScriptedKeys()
    async with desk(one(keys), users=ScriptedBackend()) as it:
        assert (await login(it, b"wrong")).verdict == WRONG
        assert len(keys.asked) == 1


@pytest.mark.parametrize(
    ("next_on", "first", "second", "verdict"),
    [
        ({Next.UNKNOWN}, UnknownUser(), None, accepted()),
        ({Next.REJECTED}, UnknownUser(), None, UnknownUser()),
        ({Next.UNKNOWN}, NO_KEYS, None, NO_KEYS),
        ({Next.UNKNOWN, Next.REJECTED}, NO_KEYS, None, accepted()),
        ({Next.UNKNOWN, Next.REJECTED}, NO_KEYS, UnknownUser(), NO_KEYS),
        (ALL, Rejected(Reason.LOCKED), None, Rejected(Reason.LOCKED)),
        ({Next.UNKNOWN}, UnknownUser(), UnknownUser(), UnknownUser()),
        ({Next.UNAVAILABLE}, Unavailable("down"), None, accepted()),
        ({Next.UNKNOWN}, Unavailable("down"), None, Unavailable("down")),
        ({Next.UNAVAILABLE}, Unavailable("down"), UnknownUser(), Unavailable("down")),
        ({Next.UNAVAILABLE}, Unavailable("down"), Rejected(Reason.LOCKED), Unavailable("down")),
        ({Next.UNKNOWN}, UnknownUser(), Unavailable("down"), Unavailable("down")),
        ({Next.UNKNOWN}, RuntimeError("a bug"), None, Unavailable("bug, see the traceback", judged=True)),
    ],
)
async def test_b4_chain_of_keys(
    next_on: set[Next], first: Verdict | Exception, second: Verdict | None, verdict: Verdict, autojump_clock: MockClock
) -> None:
    keyed = {"one": says_keys(first), "two": says_keys(second) if second else ScriptedKeys()}
    async with desk(Plan(frozenset(next_on), keyed=dict(keyed)), one=ScriptedBackend(), two=ScriptedBackend()) as it:
        begun = await begin(it)
        assert (begun.unavailable is not None) is isinstance(verdict, Unavailable)
        if begun.unavailable is None:
            assert (await begun.conclude(exchange(begun.keys, b"pw1"))).verdict == verdict
        else:
            assert begun.unavailable.verdict == verdict
            assert begun.keys.secrets == ()


async def test_b4_first_keys_of_a_chain_are_the_ones(autojump_clock: MockClock) -> None:
    keyed = {"one": ScriptedKeys({"alice@example.test": {1: b"old"}}), "two": ScriptedKeys()}
    async with desk(Plan(ALL, keyed=dict(keyed)), one=ScriptedBackend(), two=ScriptedBackend()) as it:
        assert (await login(it, b"pw1")).verdict == WRONG
        assert await login(it, b"old") == Decision(accepted(), "alice@example.test", "one")
        assert keyed["two"].asked == []


@pytest.mark.parametrize("restricted", [False, True])
async def test_b4_behind_an_outage_a_wrong_proof_is_an_outage_and_counts(restricted: bool, autojump_clock: MockClock) -> None:
    two = ScriptedKeys(restrictions=Restrictions(services=("imap",)) if restricted else UNRESTRICTED)
    keyed = {"one": says_keys(Unavailable("down")), "two": two}
    async with desk(Plan(ALL, keyed=dict(keyed)), one=ScriptedBackend(), two=ScriptedBackend()) as it:
        decision = await login(it, b"pw1" if restricted else b"wrong")
        assert decision.verdict == Unavailable("down")
        assert [limited.failures for limited in it.authenticator._grounds.admission.top(5)] == [1.0]


async def test_backend_that_has_no_keys_knows_nobody_by_them(autojump_clock: MockClock) -> None:
    async with desk(Plan(keyed={"users": ScriptedKeys()}), system=ScriptedBackend(), users=ScriptedBackend()) as it:
        assert await login(it) == Decision(accepted(), "alice@example.test", "users")
    async with desk(Plan(frozenset(), keyed={"users": ScriptedKeys()}), system=ScriptedBackend(), users=ScriptedBackend()) as it:
        begun = await begin(it)
        assert begun.keys.salt == salt_of(ALICE, "decoysha256"), "as the backend that has keys shows it"
        assert (await begun.conclude(WRONG_PROOF)).verdict == UnknownUser()


async def test_d9_backend_that_does_not_serve_the_service_ends_the_chain_as_with_a_password(autojump_clock: MockClock) -> None:
    plan = Plan(keyed={"one": ScriptedKeys({}), "two": ScriptedKeys()}, services={"one": frozenset({"imap"})})
    async with desk(plan, one=ScriptedBackend(), two=ScriptedBackend()) as it:
        assert (await login(it)).verdict == Rejected(Reason.SERVICE)
    plan = Plan(ALL, keyed={"one": ScriptedKeys(), "two": ScriptedKeys()}, services={"one": frozenset({"imap"})})
    async with desk(plan, one=ScriptedBackend(), two=ScriptedBackend()) as it:
        assert await login(it) == Decision(accepted(), "alice@example.test", "two")


async def test_keys_that_take_longer_than_the_deadline_are_an_outage(autojump_clock: MockClock) -> None:
    async with desk(one(ScriptedKeys(gate=trio.Event())), users=ScriptedBackend()) as it:
        began = trio.current_time()
        begun = await begin(it)
        assert begun.unavailable == Decision(Unavailable("no answer within 8 s"), "alice@example.test")
        assert trio.current_time() - began == pytest.approx(8.0)


async def test_proof_whose_judgement_takes_longer_than_the_deadline_is_an_outage(autojump_clock: MockClock) -> None:
    keys = ScriptedKeys()
    async with desk(one(keys), users=ScriptedBackend()) as it:
        begun = await begin(it)
        keys.gate = trio.Event()
        assert (await begun.conclude(proved())).verdict == Unavailable("no answer within 8 s")


async def test_bugs_are_outages_with_a_traceback(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(ScriptedKeys):
        def decoy(self, name: Identity, function: Hash) -> AccountKeys:
            raise RuntimeError("a bug")

    async with desk(one(Broken()), users=ScriptedBackend()) as it:
        begun = await begin(it)
        assert begun.unavailable is not None
        assert isinstance(begun.unavailable.verdict, Unavailable)
        assert begun.keys.secrets == ()
    found = KeysFound(ALICE, AccountKeys(salt_of(ALICE), ROUNDS, ((1, keys_of(b"pw1")),)), {})  # without restrictions
    async with desk(one(says_keys(found, found)), users=ScriptedBackend()) as it:
        assert isinstance((await login(it)).verdict, Unavailable)
    assert caplog.text.count("Traceback") == 2
    assert "pw1" not in caplog.text


async def test_e7_login_is_concluded_once(autojump_clock: MockClock) -> None:
    async with desk(one(), users=ScriptedBackend()) as it:
        begun = await begin(it)
        await begun.conclude(WRONG_PROOF)
        with pytest.raises(RuntimeError, match="once"):
            await begun.conclude(proved())
        begun.abandon()
        gone = await begin(it)
        gone.abandon()
        gone.abandon()
        with pytest.raises(RuntimeError, match="abandoned"):
            await gone.conclude(proved())


async def test_e7_outage_has_no_exchange(autojump_clock: MockClock) -> None:
    async with desk(one(says_keys(Unavailable("down"))), users=ScriptedBackend()) as it:
        begun = await begin(it)
        assert begun.unavailable is not None
        with pytest.raises(RuntimeError, match="once"):
            await begun.conclude(proved())


async def test_d4_keys_are_found_in_turns_and_in_the_name_of_who_asks(autojump_clock: MockClock) -> None:
    class Named(ScriptedKeys):
        async def find_keys(self, name: Identity, function: Hash) -> KeysFound | Rejected | UnknownUser | Unavailable:
            callers.append(CALLER.get())
            return await super().find_keys(name, function)

    callers: list[Caller] = []
    gate = trio.Event()
    keys = Named(gate=gate)
    async with desk(one(keys, places=2), users=ScriptedBackend()) as it, trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(begin, it, sought(address="192.0.2.1"))
        await wait_all_tasks_blocked()
        assert len(keys.asked) == 2
        gate.set()
    assert set(callers) == {Caller("alice@example.test", around(ip_address("192.0.2.1")))}


async def test_d3_proof_with_a_ticket_takes_its_turn_before_strangers(autojump_clock: MockClock) -> None:
    class Named(ScriptedKeys):
        async def find_keys(self, name: Identity, function: Hash) -> KeysFound | Rejected | UnknownUser | Unavailable:
            urgent.append(CALLER.get().urgent)
            return await super().find_keys(name, function)

    urgent: list[bool] = []
    async with desk(one(Named()), users=ScriptedBackend()) as it:
        await login(it)
        await login(it)
    assert urgent == [False, False, False, True]


async def test_health_of_a_backend_is_noted_as_it_is_asked_for_keys(autojump_clock: MockClock) -> None:
    async with desk(one(says_keys(Unavailable("gone"), Unavailable("gone"))), users=ScriptedBackend()) as it:
        health = it.authenticator._routes.members["users"].health
        await begin(it)
        await begin(it)
        assert (health.asked, health.failing, health.cause) == (2, 2, "gone")
        await begin(it)
        assert (health.asked, health.failing, health.cause) == (3, 0, "")


async def test_function_of_the_exchange_reaches_the_backend(autojump_clock: MockClock) -> None:
    functions: list[Hash] = []

    class Asked(ScriptedKeys):
        async def find_keys(self, name: Identity, function: Hash) -> KeysFound | Rejected | UnknownUser | Unavailable:
            functions.append(function)
            return UnknownUser()

    async with desk(one(Asked()), users=ScriptedBackend()) as it:
        shown = [(await it.authenticator.find_keys(sought(), function)).keys.salt for function in Hash]
    assert functions == list(Hash)
    assert shown == [salt_of(ALICE, f"decoy{function}") for function in Hash]
    assert SHA256 in functions


async def test_h3_salt_that_changes_during_an_exchange_makes_no_wrong_no(autojump_clock: MockClock) -> None:
    other = replace(keys_of(b"pw1"), salt=salt_of(ALICE, "anew"))
    again = KeysFound(ALICE, AccountKeys(other.salt, ROUNDS, ((1, other),)), {1: UNRESTRICTED})
    async with desk(one(keys := ScriptedKeys()), users=ScriptedBackend()) as it:
        begun = await begin(it)
        keys.answers = [again]
        verdict = (await begun.conclude(exchange(begun.keys, b"pw1"))).verdict
        assert isinstance(verdict, Unavailable)
        assert "changed" in verdict.cause


async def test_h3_salt_that_changes_to_other_rounds_makes_no_wrong_no(autojump_clock: MockClock) -> None:
    again = KeysFound(ALICE, AccountKeys(salt_of(ALICE), ROUNDS + 1, ()), {})  # and this secret is shut out by another's salt (F3)
    async with desk(one(keys := ScriptedKeys()), users=ScriptedBackend()) as it:
        begun = await begin(it)
        keys.answers = [again]
        assert isinstance((await begun.conclude(exchange(begun.keys, b"pw1"))).verdict, Unavailable)
