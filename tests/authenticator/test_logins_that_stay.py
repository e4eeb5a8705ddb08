"""Logins that have no task of their own are told what was decided: for all others nothing is different."""

from __future__ import annotations

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from saslauthd_py.authenticator import Decision, Question
from saslauthd_py.backend import Attempt
from saslauthd_py.identity import Identity
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Unavailable
from tests.desks import Desk, Plan, desk, grant
from tests.front.fronts import ScriptedBackend

ALICE = Identity("alice", "example.test")


async def ask(it: Desk, decisions: list[Decision], *, told: bool = True, authzid: Identity | None = None) -> None:
    """As the front does. `told`: begun, where that can be, and waited for; else verified in this task."""
    question = Question(Attempt(ALICE, Secret(b"pw1"), "smtp"), "/run/0", b"key", authzid)
    decided = trio.Event()

    def tell(decision: Decision | None) -> None:
        assert decision is not None
        decisions.append(decision)
        decided.set()

    if told and it.authenticator.begin(question, tell):
        await decided.wait()
    else:
        decisions.append(await it.authenticator.verify(question))


async def test_c8_login_that_joins_one_without_a_task_is_verified_with_it(autojump_clock: MockClock) -> None:
    backend = ScriptedBackend(gate=trio.Event())
    decisions: list[Decision] = []
    async with desk(users=backend) as it, trio.open_nursery() as nursery:
        nursery.start_soon(ask, it, decisions)
        await wait_all_tasks_blocked()
        with trio.move_on_after(1):
            await ask(it, decisions, told=False)
        assert decisions == []
        for _ in range(3):
            nursery.start_soon(ask, it, decisions)
        await wait_all_tasks_blocked()
        assert backend.gate is not None
        backend.gate.set()
    assert [type(decision.verdict) for decision in decisions] == [Accepted] * 4
    assert len(backend.asked) == 1


async def test_login_without_a_task_and_those_that_join_it_are_answered_at_its_deadline(autojump_clock: MockClock) -> None:
    backend = ScriptedBackend(gate=trio.Event())
    decisions: list[Decision] = []
    began = trio.current_time()
    async with desk(Plan(deadline=8.0), users=backend) as it:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, it, decisions)
            await trio.sleep(3)
            nursery.start_soon(ask, it, decisions)
        assert trio.current_time() - began == 8.0
        assert [decision.verdict for decision in decisions] == [Unavailable("no answer within 8 s")] * 2
        backend.gate = None
        await ask(it, decisions)
        assert isinstance(decisions[-1].verdict, Accepted)


async def test_c4_joined_proof_that_cannot_be_shared_is_made_anew_within_the_joined_deadline(autojump_clock: MockClock) -> None:
    backend = ScriptedBackend(gate=trio.Event(), accepted=lambda attempt: Accepted(attempt.identity, replayable=False))
    decisions: list[Decision] = []
    began = trio.current_time()
    async with desk(Plan(deadline=8.0), users=backend) as it, trio.open_nursery() as nursery:
        nursery.start_soon(ask, it, decisions)
        await trio.sleep(2)
        nursery.start_soon(ask, it, decisions)
        await trio.sleep(2)
        first, backend.gate = backend.gate, trio.Event()
        assert first is not None
        first.set()
        await trio.sleep(5)
        assert len(backend.asked) == 2
        assert len(decisions) == 1
        await trio.sleep(2)
        assert [type(decision.verdict) for decision in decisions] == [Accepted, Unavailable]
        assert trio.current_time() - began == 11.0


async def test_refusal_whose_work_takes_longer_than_the_deadline_is_an_outage(autojump_clock: MockClock) -> None:
    class Slow(ScriptedBackend):
        async def pretend(self, secret: Secret) -> None:
            await trio.sleep_forever()

    decisions: list[Decision] = []
    began = trio.current_time()
    async with desk(Plan(deadline=8.0, grants=(grant("master@example.test", "bob@example.test"),)), users=Slow()) as it:
        await ask(it, decisions, authzid=Identity("bob", "example.test"))
    assert trio.current_time() - began == 8.0
    assert decisions[0].verdict == Unavailable("no answer within 8 s")


async def test_login_without_a_task_is_told_when_nobody_can_decide_it_any_more(autojump_clock: MockClock) -> None:
    backend = ScriptedBackend(gate=trio.Event())
    told: list[Decision | None] = []
    async with desk(users=backend) as it:
        question = Question(Attempt(ALICE, Secret(b"pw1"), "smtp"), "/run/0", b"key")
        assert it.authenticator.begin(question, told.append)
        await wait_all_tasks_blocked()
        assert not it.authenticator.begin(question, told.append)
        assert told == []
    assert told == [None]
