"""Deciding: routes, chains, shared flights, and what is remembered (rules B1 to B4, C1 to C8, D6, D9)."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from saslauthd_py.authenticator import Decision
from saslauthd_py.backend import Attempt, BackendBusy
from saslauthd_py.credential import Restrictions
from saslauthd_py.identity import Identity
from saslauthd_py.routing import Next
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict
from tests.desks import WRONG, Plan, desk, says
from tests.front.fronts import ScriptedBackend


async def test_b3_name_without_a_route_is_refused_before_any_backend_is_asked(autojump_clock: MockClock) -> None:
    async with desk(Plan(realms=frozenset({"example.test"})), users=ScriptedBackend()) as it:
        for name in ("alice@other.test", "alice", "alice@bü cher.test"):
            assert (await it.ask(name)).verdict == Rejected(Reason.NO_ROUTE)
        assert it.backends["users"].asked == []
        assert isinstance((await it.ask("alice@EXAMPLE.test")).verdict, UnknownUser)


async def test_b1_decision_names_the_identity_that_the_backend_confirmed(autojump_clock: MockClock) -> None:
    confirmed = Accepted(Identity("Alice", "example.test"))
    async with desk(users=says(confirmed)) as it:
        assert (await it.ask("ALICE@EXAMPLE.TEST")).user == "Alice@example.test"
        again = await it.ask("ALICE@EXAMPLE.TEST")
        assert again.cached
        assert again.user == "Alice@example.test"


@pytest.mark.parametrize(
    ("next_on", "first", "second", "expected"),
    [
        ({Next.UNKNOWN}, UnknownUser(), Accepted(Identity("alice")), Accepted(Identity("alice"))),
        ({Next.UNKNOWN}, WRONG, Accepted(Identity("alice")), WRONG),
        ({Next.UNKNOWN, Next.REJECTED}, WRONG, Accepted(Identity("alice")), Accepted(Identity("alice"))),
        ({Next.UNKNOWN, Next.REJECTED}, WRONG, UnknownUser(), WRONG),
        ({Next.UNKNOWN}, UnknownUser(), UnknownUser(), UnknownUser()),
        ({Next.UNKNOWN}, Unavailable("down"), Accepted(Identity("alice")), Unavailable("down")),
        ({Next.UNAVAILABLE}, Unavailable("down"), Accepted(Identity("alice")), Accepted(Identity("alice"))),
        ({Next.UNAVAILABLE}, Unavailable("down"), UnknownUser(), Unavailable("down")),
        ({Next.UNAVAILABLE}, Unavailable("down"), WRONG, Unavailable("down")),
        ({Next.UNKNOWN, Next.REJECTED}, Rejected(Reason.LOCKED), Accepted(Identity("alice")), Rejected(Reason.LOCKED)),
        ({Next.UNKNOWN, Next.REJECTED}, Rejected(Reason.DISABLED), Accepted(Identity("alice")), Rejected(Reason.DISABLED)),
    ],
)
async def test_b4_chain(next_on: set[Next], first: Verdict, second: Verdict, expected: Verdict, autojump_clock: MockClock) -> None:
    async with desk(Plan(frozenset(next_on)), one=says(first), two=says(second)) as it:
        assert (await it.ask("alice")).verdict == expected


@pytest.mark.parametrize(
    ("verdicts", "pretended"),
    [
        ((UnknownUser(), UnknownUser()), 1),
        ((UnknownUser(), WRONG), 0),
        ((UnknownUser(), Rejected(Reason.NO_CREDENTIAL)), 1),
        ((Rejected(Reason.LOCKED), WRONG), 1),
        ((Unavailable("down"), UnknownUser()), 0),
    ],
)
async def test_d6_work_of_a_comparison_is_done_once_at_the_end_of_the_chain(
    verdicts: tuple[Verdict, ...], pretended: int, autojump_clock: MockClock
) -> None:
    one, two = (says(verdict) for verdict in verdicts)
    async with desk(one=one, two=two) as it:
        await it.ask()
        assert one.pretended + two.pretended == pretended


async def test_d9_backend_is_not_asked_for_a_service_it_does_not_serve(autojump_clock: MockClock) -> None:
    async with desk(Plan(services={"users": frozenset({"imap"})}), users=ScriptedBackend()) as it:
        assert (await it.ask(service="smtp")).verdict == Rejected(Reason.SERVICE)
        assert it.backends["users"].asked == []
        assert it.backends["users"].pretended == 1
        assert isinstance((await it.ask(service="imap")).verdict, Accepted)


async def test_d9_error_after_the_proof_is_an_outage(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    async with desk(users=ScriptedBackend()) as it:
        monkeypatch.setattr(it.cache, "remember", fail)
        assert isinstance((await it.ask()).verdict, Unavailable)


async def test_c8_same_request_in_flight_is_verified_once_and_survives_one_client(autojump_clock: MockClock) -> None:
    gate = trio.Event()
    backend = ScriptedBackend(gate=gate)
    async with desk(users=backend) as it, trio.open_nursery() as nursery:
        decisions: list[Decision] = []

        async def ask() -> None:
            decisions.append(await it.ask())

        first = trio.CancelScope()

        async def impatient() -> None:
            with first:
                await it.ask()

        nursery.start_soon(impatient)
        await wait_all_tasks_blocked()
        for _ in range(5):
            nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        first.cancel()
        await wait_all_tasks_blocked()
        gate.set()
        await wait_all_tasks_blocked()
        assert len(backend.asked) == 1
        assert [type(one.verdict) for one in decisions] == [Accepted] * 5


async def test_c8_another_secret_service_or_listener_is_another_flight(autojump_clock: MockClock) -> None:
    gate = trio.Event()
    backend = ScriptedBackend(gate=gate)
    async with desk(users=backend) as it, trio.open_nursery() as nursery:
        nursery.start_soon(it.ask)
        nursery.start_soon(it.ask, "alice@example.test", b"other")
        nursery.start_soon(it.ask, "alice@example.test", b"pw1", "imap")
        nursery.start_soon(it.ask, "alice@example.test", b"pw1", "smtp", 1)
        nursery.start_soon(it.ask, "bob@example.test")
        await wait_all_tasks_blocked()
        assert len(backend.asked) == 5
        gate.set()


async def test_c8_request_after_a_change_does_not_join_a_flight_from_before_it(autojump_clock: MockClock) -> None:
    gate = trio.Event()
    backend = ScriptedBackend(gate=gate)
    async with desk(users=backend) as it, trio.open_nursery() as nursery:
        nursery.start_soon(it.ask)
        await wait_all_tasks_blocked()
        backend.version += 1
        nursery.start_soon(it.ask)
        await wait_all_tasks_blocked()
        assert len(backend.asked) == 2
        gate.set()


async def test_c8_what_was_proved_before_a_change_does_not_count(autojump_clock: MockClock) -> None:
    gate = trio.Event()
    backend = ScriptedBackend(gate=gate)
    async with desk(users=backend) as it, trio.open_nursery() as nursery:
        decisions: list[Decision] = []

        async def ask() -> None:
            decisions.append(await it.ask())

        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        backend.verdicts = [Accepted(Identity("alice", "example.test"))]  # read before the change, told after it
        backend.accounts = {"alice@example.test": b"new"}
        backend.version += 1
        gate.set()
        await wait_all_tasks_blocked()
        assert [one.verdict for one in decisions] == [WRONG]
        assert it.cache.proofs == {}


async def test_c8_account_that_never_stands_still_is_an_outage(autojump_clock: MockClock) -> None:
    class Restless(ScriptedBackend):
        async def verify_password(self, attempt: Attempt) -> Verdict:
            self.version += 1
            return await super().verify_password(attempt)

    async with desk(users=Restless()) as it:
        assert isinstance((await it.ask()).verdict, Unavailable)
        assert it.cache.proofs == {}


async def test_c2_proof_of_a_backend_that_looks_at_the_address_counts_for_that_address_alone(autojump_clock: MockClock) -> None:
    async with desk(Plan(by_address=frozenset({"system"})), system=ScriptedBackend()) as it:
        assert not (await it.ask(address="192.0.2.1")).cached
        (proof,) = it.cache.proofs.values()
        assert proof.inline_until == 0, "the loop does not know the address"
        assert (await it.ask(address="192.0.2.1")).cached
        assert not (await it.ask(address="192.0.2.2")).cached
        assert not (await it.ask()).cached
        assert (await it.ask()).cached
    async with desk(users=ScriptedBackend()) as it:
        assert not (await it.ask(address="192.0.2.1")).cached
        assert (await it.ask(address="192.0.2.2")).cached


async def test_c4_verdict_that_is_not_replayable_is_not_remembered(autojump_clock: MockClock) -> None:
    once = Accepted(Identity("alice", "example.test"), replayable=False)
    async with desk(users=says(once, once)) as it:
        assert not (await it.ask()).cached
        assert not (await it.ask()).cached
        assert it.cache.proofs == {}


async def test_c5_guessing_never_empties_the_cache_and_a_refused_secret_is_forgotten(autojump_clock: MockClock) -> None:
    async with desk(users=ScriptedBackend()) as it:
        await it.ask()
        for guess in range(20):
            assert (await it.ask(secret=b"%d" % guess)).verdict == WRONG
        assert (await it.ask()).cached


async def test_c5_secret_that_a_backend_refuses_after_its_time_leaves_the_cache(autojump_clock: MockClock) -> None:
    backend = ScriptedBackend()
    async with desk(users=backend) as it:
        await it.ask()
        (key,) = it.cache.proofs
        await trio.sleep(61)
        backend.accounts = {"alice@example.test": b"new"}
        assert (await it.ask()).verdict == WRONG
        assert key not in it.cache.proofs


async def test_c7_chain_is_remembered_only_when_every_backend_asked_may_be(autojump_clock: MockClock) -> None:
    right = Accepted(Identity("alice", "example.test"))
    async with desk(Plan(ttl={"one": 0.0}), one=says(UnknownUser(), UnknownUser()), two=says(right, right)) as it:
        await it.ask()
        assert not (await it.ask()).cached
    async with desk(Plan(ttl={"one": 5.0}), one=says(UnknownUser()), two=says(right)) as it:
        await it.ask()
        assert (await it.ask()).cached
        await trio.sleep(5)
        assert it.cache.find(next(iter(it.cache.proofs)), trio.current_time()) is None


async def test_c7_change_in_a_backend_asked_before_forgets_the_proof(autojump_clock: MockClock) -> None:
    right = Accepted(Identity("alice", "example.test"))
    one = says(UnknownUser(), Rejected(Reason.LOCKED))
    async with desk(one=one, two=says(right)) as it:
        await it.ask()
        one.changed = [["alice@example.test"]]
        it.cache.looked_until = 0
        assert (await it.ask()).verdict == Rejected(Reason.LOCKED)


async def test_c3_proof_ends_with_its_credential(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1000.0 + trio.current_time())
    began = trio.current_time()
    dies = Accepted(Identity("alice", "example.test"), Restrictions(expires=1000.0 + began + 10))
    async with desk(users=says(dies, WRONG)) as it:
        assert isinstance((await it.ask()).verdict, Accepted)
        await trio.sleep(9)
        assert (await it.ask()).cached
        await trio.sleep(1)
        assert (await it.ask()).verdict == WRONG


async def test_right_secret_that_may_not_be_used_here_is_rejected_for_its_reason(autojump_clock: MockClock) -> None:
    only_imap = Accepted(Identity("alice", "example.test"), Restrictions(services=("imap",)))
    async with desk(users=says(only_imap)) as it:
        assert (await it.ask()).verdict == Rejected(Reason.SERVICE)


async def test_flight_that_takes_longer_than_the_deadline_is_an_outage(autojump_clock: MockClock) -> None:
    async with desk(users=ScriptedBackend(gate=trio.Event())) as it:
        began = trio.current_time()
        assert isinstance((await it.ask()).verdict, Unavailable)
        assert trio.current_time() - began == pytest.approx(8.0)


async def test_bug_in_a_backend_is_an_outage_with_a_traceback_in_the_log(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with desk(users=says(RuntimeError("a bug"))) as it:
        assert isinstance((await it.ask()).verdict, Unavailable)
    assert "Traceback" in caplog.text
    assert "pw1" not in caplog.text


async def test_f5_last_use_is_noted_for_an_accepted_login_alone(autojump_clock: MockClock) -> None:
    right = Accepted(Identity("alice", "example.test"), Restrictions(services=("smtp",)), credential=7)
    async with desk(users=says(WRONG, right)) as it:
        used = it.authenticator._routes.members["users"].used
        assert used is not None
        await it.ask(secret=b"wrong")
        assert (await it.ask(service="smtp")).verdict == right
        assert set(used) == {7}
        used.clear()
        assert (await it.ask(service="smtp")).cached
        assert set(used) == {7}
    only_imap = right._replace(restrictions=Restrictions(services=("imap",)))
    async with desk(users=says(only_imap)) as it:
        await it.ask(service="smtp")
        assert it.authenticator._routes.members["users"].used == {}


async def test_c8_request_that_cannot_look_joins_no_flight_from_before(autojump_clock: MockClock) -> None:
    class ReadsFirst(ScriptedBackend):
        async def verify_password(self, attempt: Attempt) -> Verdict:
            known = self.accounts.get(str(attempt.identity), b"")
            assert self.gate is not None
            await self.gate.wait()
            return Accepted(attempt.identity) if Secret(known) == attempt.secret else WRONG

    gate = trio.Event()
    backend = ReadsFirst(gate=gate)
    async with desk(users=backend) as it, trio.open_nursery() as nursery:
        decisions: list[Decision] = []

        async def ask() -> None:
            decisions.append(await it.ask())

        nursery.start_soon(it.ask)
        await wait_all_tasks_blocked()
        backend.accounts = {"alice@example.test": b"new"}
        backend.changed = [BackendBusy("busy")] * 50
        await trio.sleep(0.01)
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        gate.set()
        await wait_all_tasks_blocked()
        assert [one.verdict for one in decisions] == [WRONG]


async def test_c6_what_was_proved_without_a_sure_look_is_not_remembered(autojump_clock: MockClock) -> None:
    backend = ScriptedBackend(changed=[BackendBusy("busy")] * 2)
    async with desk(users=backend) as it:
        assert isinstance((await it.ask()).verdict, Accepted)
        assert it.cache.proofs == {}


async def test_c4_verdict_that_is_not_replayable_is_not_shared(autojump_clock: MockClock) -> None:
    gate = trio.Event()
    once = Accepted(Identity("alice", "example.test"), replayable=False)
    async with desk(users=ScriptedBackend(gate=gate, verdicts=[once, WRONG])) as it, trio.open_nursery() as nursery:
        decisions: list[Decision] = []

        async def ask() -> None:
            decisions.append(await it.ask())

        nursery.start_soon(ask)
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        gate.set()
        await wait_all_tasks_blocked()
        assert sorted(type(one.verdict).__name__ for one in decisions) == ["Accepted", "Rejected"]


async def test_c7_change_of_a_name_that_a_login_template_made_forgets_the_proof(autojump_clock: MockClock) -> None:
    one = says(WRONG, Rejected(Reason.LOCKED))
    one.login = lambda name: Identity(name.local, "a.example")
    async with desk(Plan(frozenset({Next.UNKNOWN, Next.REJECTED})), one=one, two=says(Accepted(Identity("alice", "example.test")))) as it:
        assert isinstance((await it.ask()).verdict, Accepted)
        one.changed = [["alice@a.example"]]
        it.cache.looked_until = 0
        assert (await it.ask()).verdict == Rejected(Reason.LOCKED)


async def test_b1_change_of_the_confirmed_account_forgets_the_proof(autojump_clock: MockClock) -> None:
    backend = says(Accepted(Identity("alice.real", "example.test")), WRONG)
    async with desk(users=backend) as it:
        await it.ask()
        backend.changed = [["alice.real@example.test"]]
        it.cache.looked_until = 0
        assert (await it.ask()).verdict == WRONG


async def test_c5_two_secrets_of_one_account_are_remembered_side_by_side(autojump_clock: MockClock) -> None:
    name = Identity("alice", "example.test")
    async with desk(users=says(Accepted(name, credential=1, sole=False), Accepted(name, credential=2, sole=False))) as it:
        await it.ask(secret=b"phone")
        await it.ask(secret=b"laptop")
        assert (await it.ask(secret=b"phone")).cached
        assert (await it.ask(secret=b"laptop")).cached


async def test_backend_is_asked_by_so_many_at_once_as_configured(autojump_clock: MockClock) -> None:
    gate = trio.Event()
    backend = ScriptedBackend(gate=gate)
    async with desk(Plan(places=3), users=backend) as it, trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(it.ask, f"u{number}@example.test")
        await wait_all_tasks_blocked()
        assert len(backend.asked) == 3
        gate.set()
