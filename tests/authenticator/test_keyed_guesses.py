"""How often may be guessed where no secret is sent (rules B3, D2, D3, D9)."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from saslauthd_py.authenticator import Decision, KeyedLogin
from saslauthd_py.backend import KeysFound
from saslauthd_py.config.settings import AdmissionSettings
from saslauthd_py.credential import Restrictions
from saslauthd_py.identity import Identity
from saslauthd_py.keys import Hash
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict
from tests.authenticator.keyed_backends import (
    LATER,
    WRONG_PROOF,
    ScriptedKeys,
    begin,
    exchange,
    login,
    proved,
    says_keys,
    sought,
)
from tests.desks import WRONG, Desk, Plan, desk
from tests.front.fronts import ScriptedBackend

FIVE = AdmissionSettings.model_validate({"per_account": "5/10m", "per_network": "off", "per_pair": "off"})


def five(keys: ScriptedKeys | None = None, **plan: Any) -> Plan:
    return Plan(keyed={"users": keys or ScriptedKeys()}, admission=FIVE, **plan)


async def guess(it: Desk, times: int) -> list[Verdict]:
    return [(await (await begin(it)).conclude(WRONG_PROOF)).verdict for _ in range(times)]


def failures(it: Desk) -> float:
    return sum(one.failures for one in it.authenticator._grounds.admission.top(5))


async def test_d2_wrong_proofs_are_limited_and_then_right_and_wrong_hear_the_same(autojump_clock: MockClock) -> None:
    async with desk(five(), users=ScriptedBackend()) as it:
        assert await guess(it, 6) == [WRONG] * 5 + [LATER]
        right, wrong = await login(it), await login(it, b"another")
        assert right == wrong == Decision(LATER, "alice@example.test")
        await trio.sleep(121)
        assert isinstance((await login(it)).verdict, Accepted)


async def test_d2_every_wrong_proof_counts_for_nobody_can_see_that_its_secret_is_the_same(autojump_clock: MockClock) -> None:
    async with desk(five(), users=ScriptedBackend()) as it:
        verdicts = [(await login(it, b"of last year")).verdict for _ in range(6)]
        assert verdicts == [WRONG] * 5 + [LATER]


async def test_d2_guesses_by_password_and_by_proof_count_together(autojump_clock: MockClock) -> None:
    async with desk(five(), users=ScriptedBackend()) as it:
        assert await guess(it, 3) == [WRONG] * 3
        assert [(await it.ask(secret=b"%d" % number)).verdict for number in range(3)] == [WRONG, WRONG, LATER]
        assert await guess(it, 1) == [LATER]


async def test_d2_accepted_proof_costs_nothing(autojump_clock: MockClock) -> None:
    async with desk(five(), users=ScriptedBackend()) as it:
        for _ in range(8):
            assert isinstance((await login(it)).verdict, Accepted)
        assert failures(it) == 0


async def test_d2_outage_before_the_exchange_costs_nothing(autojump_clock: MockClock) -> None:
    async with desk(five(says_keys(*[Unavailable("down")] * 8)), users=ScriptedBackend()) as it:
        for _ in range(8):
            begun = await begin(it)
            assert begun.unavailable is not None
            assert begun.unavailable.verdict == Unavailable("down")
            assert failures(it) == 0


async def test_d2_client_that_goes_away_before_its_proof_costs_nothing(autojump_clock: MockClock) -> None:
    async with desk(five(), users=ScriptedBackend()) as it:
        for _ in range(8):
            begun = await begin(it)
            begun.abandon()
            begun.abandon()
            assert failures(it) == 0


async def test_d2_open_exchanges_hold_nobody_up(autojump_clock: MockClock) -> None:
    async with desk(five(), users=ScriptedBackend()) as it:
        waiting = [await begin(it) for _ in range(8)]
        assert isinstance((await it.ask()).verdict, Accepted)
        decisions = [await one.conclude(exchange(one.keys, b"pw1")) for one in waiting]
        assert all(isinstance(one.verdict, Accepted) for one in decisions)


async def test_d2_client_that_goes_away_after_its_proof_gets_nothing_back(autojump_clock: MockClock) -> None:
    async with desk(five(), users=ScriptedBackend()) as it:
        begun = await begin(it)
        await begun.conclude(WRONG_PROOF)
        begun.abandon()
        assert failures(it) == 1


async def test_d2_client_that_goes_away_while_its_keys_are_found_costs_nothing(autojump_clock: MockClock) -> None:
    async with desk(five(ScriptedKeys(gate=trio.Event())), users=ScriptedBackend()) as it, trio.open_nursery() as nursery:
        nursery.start_soon(begin, it)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert failures(it) == 0


async def test_d2_exchanges_at_the_same_time_do_not_all_count_as_one(autojump_clock: MockClock) -> None:
    async with desk(five(), users=ScriptedBackend()) as it:
        begun = [await begin(it) for _ in range(8)]
        verdicts = [(await one.conclude(WRONG_PROOF)).verdict for one in begun]
        assert verdicts == [WRONG] * 5 + [LATER] * 3


@pytest.mark.parametrize("answer", [UnknownUser(), Rejected(Reason.LOCKED), Rejected(Reason.NO_CREDENTIAL)])
async def test_d2_whoever_is_not_let_in_is_limited_alike(answer: UnknownUser | Rejected, autojump_clock: MockClock) -> None:
    async with desk(five(says_keys(*[answer] * 6)), users=ScriptedBackend()) as it:
        assert await guess(it, 6) == [answer] * 5 + [LATER]


async def test_d2_right_proof_that_may_not_be_used_counts_and_earns_no_ticket(autojump_clock: MockClock) -> None:
    async with desk(five(ScriptedKeys(restrictions=Restrictions(services=("imap",)))), users=ScriptedBackend()) as it:
        assert [(await login(it)).verdict for _ in range(6)] == [Rejected(Reason.SERVICE)] * 5 + [LATER]
        assert it.authenticator._grounds.admission.tickets() == 0


async def test_b3_names_without_a_route_share_one_bucket(autojump_clock: MockClock) -> None:
    async with desk(five(realms=frozenset({"example.test"})), users=ScriptedBackend()) as it:
        wanted = [sought(f"alice@other{number}.test") for number in range(6)]
        verdicts = [(await (await begin(it, one)).conclude(WRONG_PROOF)).verdict for one in wanted]
        assert verdicts == [Rejected(Reason.NO_ROUTE)] * 5 + [LATER]
        assert isinstance((await login(it)).verdict, Accepted)


async def test_b1_guesses_count_against_what_the_backends_make_of_the_name(autojump_clock: MockClock) -> None:
    async with desk(five(logins={"users": "{local}"}), users=ScriptedBackend()) as it:
        wanted = [sought(f"alice@{number}.test") for number in range(6)]
        verdicts = [(await (await begin(it, one)).conclude(WRONG_PROOF)).verdict for one in wanted]
        assert verdicts == [UnknownUser()] * 5 + [LATER]


async def test_d3_flood_does_not_lock_out_who_logged_in_before(autojump_clock: MockClock) -> None:
    async with desk(five(), users=ScriptedBackend()) as it:
        assert isinstance((await login(it)).verdict, Accepted)
        await guess(it, 50)
        assert (await login(it, b"wrong")).verdict == LATER
        for _ in range(3):
            assert isinstance((await login(it)).verdict, Accepted)


async def test_d3_over_the_limit_the_exchange_is_the_same_as_ever(autojump_clock: MockClock) -> None:
    async with desk(five(), users=ScriptedBackend()) as it:
        before = (await begin(it)).keys
        await guess(it, 50)
        begun = await begin(it)
        assert begun.keys == before
        assert begun.unavailable is None


async def test_d3_over_the_limit_a_right_proof_without_a_ticket_is_answered_without_asking_anybody_more(autojump_clock: MockClock) -> None:
    keys = ScriptedKeys()
    async with desk(five(keys), users=ScriptedBackend()) as it:
        await guess(it, 5)
        begun = await begin(it)
        asked = len(keys.asked)
        assert (await begun.conclude(exchange(begun.keys, b"pw1"))).verdict == LATER
        assert len(keys.asked) == asked


@pytest.mark.parametrize(
    "answer", [Rejected(Reason.LOCKED), Rejected(Reason.EXPIRED), UnknownUser(), Unavailable("down")], ids=lambda one: str(one)[:20]
)
async def test_d3_ticket_is_still_judged_and_over_the_limit_nothing_but_a_yes_is_told(
    answer: Rejected | UnknownUser | Unavailable, autojump_clock: MockClock
) -> None:
    keys = ScriptedKeys()
    async with desk(five(keys), users=ScriptedBackend()) as it:
        await login(it)
        await guess(it, 5)
        begun = await begin(it)
        keys.answers = [answer]
        assert (await begun.conclude(proved())).verdict == LATER


async def test_d3_ticket_of_a_password_is_none_of_a_proof(autojump_clock: MockClock) -> None:
    async with desk(five(ttl={"users": 0.0}), users=ScriptedBackend()) as it:
        assert isinstance((await it.ask()).verdict, Accepted)
        await guess(it, 5)
        assert (await login(it)).verdict == LATER
        assert isinstance((await it.ask()).verdict, Accepted)
    async with desk(five(ttl={"users": 0.0}), users=ScriptedBackend()) as it:
        assert isinstance((await login(it)).verdict, Accepted)
        await guess(it, 5)
        assert (await it.ask()).verdict == LATER
        assert isinstance((await login(it)).verdict, Accepted)


async def test_d3_ticket_goes_with_the_secret(autojump_clock: MockClock) -> None:
    keys = ScriptedKeys()
    async with desk(five(keys), users=ScriptedBackend()) as it:
        await login(it)
        begun = await begin(it)
        keys.accounts = {"alice@example.test": {1: b"new"}}
        assert (await begun.conclude(exchange(begun.keys, b"pw1"))).verdict == WRONG
        keys.accounts = {"alice@example.test": {1: b"pw1"}}
        await guess(it, 5)
        assert (await login(it)).verdict == LATER, "what it said once of the secret does not count again"


async def test_d9_outage_after_the_proof_counts_as_an_attempt(autojump_clock: MockClock) -> None:
    keys = ScriptedKeys()
    async with desk(five(keys), users=ScriptedBackend()) as it:
        verdicts = []
        for _ in range(6):
            begun = await begin(it)
            keys.answers = [Unavailable("down")]
            verdicts.append((await begun.conclude(proved())).verdict)
            keys.answers = []
        assert verdicts == [Unavailable("down")] * 5 + [LATER]


async def test_d9_proof_whose_judgement_is_cut_off_counts_as_an_attempt(autojump_clock: MockClock) -> None:
    keys = ScriptedKeys()
    async with desk(five(keys), users=ScriptedBackend()) as it:
        begun = await begin(it)
        keys.gate = trio.Event()
        with trio.move_on_after(1):
            await begun.conclude(proved())
        begun.abandon()
        assert 0 < failures(it) <= 1


async def test_d9_bug_after_the_proof_counts_as_an_attempt(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    async with desk(five(), users=ScriptedBackend()) as it:
        monkeypatch.setattr(KeyedLogin, "_permit", fail)
        assert [(await login(it)).verdict for _ in range(6)] == [Unavailable("bug, see the traceback")] * 5 + [LATER]


async def test_d2_token_is_taken_before_the_backend_is_asked(autojump_clock: MockClock) -> None:
    class Counting(ScriptedKeys):
        async def find_keys(self, name: Identity, function: Hash) -> KeysFound | Rejected | UnknownUser | Unavailable:
            taken.append(failures(it))
            return await super().find_keys(name, function)

    taken: list[float] = []
    async with desk(five(Counting()), users=ScriptedBackend()) as it:
        await login(it)
    assert taken == [0, 1], "the keys are nothing yet to guess with; what is asked after the proof is"
