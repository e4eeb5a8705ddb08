"""Deciding under limits and in turns: what a login costs, what a ticket is worth, what waits for whom (rules B1 to B4, C7, D2 to D9)."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from saslauthd_py.admission.places import around
from saslauthd_py.authenticator import Decision
from saslauthd_py.backend import Attempt
from saslauthd_py.config.settings import AdmissionSettings
from saslauthd_py.credential import Restrictions
from saslauthd_py.identity import Identity
from saslauthd_py.metrics import Counters, Where
from saslauthd_py.queue import CALLER, Caller
from saslauthd_py.routing import Next
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict
from tests.desks import WRONG, Desk, Plan, desk, says
from tests.front.fronts import ScriptedBackend

ALICE = Identity("alice", "example.test")
LIMITED = Unavailable("admission: too many failed logins of this account", limited=True)
FIVE = AdmissionSettings.model_validate({"per_account": "5/10m", "per_network": "off", "per_pair": "off"})
OFF = AdmissionSettings.model_validate({"per_account": "off", "per_network": "off", "per_pair": "off"})
ALL = frozenset(Next)


@dataclass
class SlowBackend(ScriptedBackend):
    """Takes a second for each secret, right, wrong or pretended, and notes in whose name it worked."""

    callers: list[Caller] = field(default_factory=list)
    at_work: int = 0
    most_at_work: int = 0

    async def verify_password(self, attempt: Attempt) -> Verdict:
        self.callers.append(CALLER.get())
        await self._work()
        return await super().verify_password(attempt)

    async def pretend(self, secret: Secret) -> None:
        await self._work()

    async def _work(self) -> None:
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        try:
            await trio.sleep(1)
        finally:
            self.at_work -= 1


async def guess(it: Desk, times: int, name: str = "alice@example.test") -> list[Decision]:
    """Distinct wrong secrets, one after the other."""
    return [await it.ask(name, b"guess %d" % number) for number in range(times)]


async def at_once(it: Desk, *names: str) -> list[Decision]:
    decisions: list[Decision] = []

    async def ask(name: str, secret: bytes) -> None:
        decisions.append(await it.ask(name, secret))

    async with trio.open_nursery() as nursery:
        for number, name in enumerate(names):
            nursery.start_soon(ask, name, b"guess %d" % number)
    return decisions


async def test_d2_over_the_limit_no_backend_is_asked_and_right_and_wrong_hear_the_same(autojump_clock: MockClock) -> None:
    async with desk(Plan(admission=FIVE), users=ScriptedBackend()) as it:
        assert [decision.verdict for decision in await guess(it, 5)] == [WRONG] * 5
        right, wrong = await it.ask(), await it.ask(secret=b"another")
        assert right == wrong == Decision(LIMITED, "alice@example.test")
        assert len(it.backends["users"].asked) == 5
        assert it.backends["users"].pretended == 0
        await trio.sleep(121)
        assert isinstance((await it.ask()).verdict, Accepted)


async def test_d2_thousand_guesses_at_once_do_not_all_pass(autojump_clock: MockClock) -> None:
    async with desk(Plan(admission=FIVE), users=ScriptedBackend()) as it:
        decisions = await at_once(it, *["alice@example.test"] * 1000)
        assert len(it.backends["users"].asked) == 5
        assert [decision.verdict for decision in decisions].count(LIMITED) == 995


async def test_d2_accepted_login_and_outage_cost_nothing(autojump_clock: MockClock) -> None:
    backend = ScriptedBackend()
    async with desk(Plan(admission=FIVE, ttl={"users": 0.0}), users=backend) as it:
        for _ in range(20):
            backend.verdicts = [Unavailable("down")]
            assert (await it.ask(secret=b"x")).verdict == Unavailable("down")
            assert isinstance((await it.ask()).verdict, Accepted)
        assert [decision.verdict for decision in await guess(it, 6)] == [WRONG] * 5 + [LIMITED]


async def test_d2_limited_logins_are_counted(autojump_clock: MockClock) -> None:
    counters = Counters()
    async with desk(Plan(admission=FIVE), users=ScriptedBackend()) as it:
        for decision in [*await guess(it, 8), Decision(Unavailable("down"), "")]:
            counters.decided(decision.verdict, 0.0, Where("/run/0", decision.backend))
    assert (counters.rejected, counters.unavailable, counters.limited) == (5, 4, 3)


async def test_d2_same_question_in_flight_is_one_attempt_and_from_another_address_another(autojump_clock: MockClock) -> None:
    pairs = AdmissionSettings.model_validate({"per_account": "off", "per_network": "1/10m", "per_pair": "off"})
    gate = trio.Event()
    backend = ScriptedBackend(gate=gate)
    decisions: list[Decision] = []
    async with desk(Plan(admission=pairs), users=backend) as it, trio.open_nursery() as nursery:

        async def ask(address: str) -> None:
            decisions.append(await it.ask(secret=b"wrong", address=address))

        for address in ("192.0.2.1", "192.0.2.1", "198.51.100.1"):
            nursery.start_soon(ask, address)
        await wait_all_tasks_blocked()
        assert sorted(str(attempt.address) for attempt in backend.asked) == ["192.0.2.1", "198.51.100.1"]
        gate.set()
    assert [decision.verdict for decision in decisions] == [WRONG] * 3


async def test_d2_right_secret_that_may_not_be_used_is_limited_at_a_cached_proof_too(autojump_clock: MockClock) -> None:
    only_there = Restrictions(networks=(ip_network("192.0.2.0/24"),))
    backend = ScriptedBackend(accepted=lambda attempt: Accepted(attempt.identity, only_there))
    async with desk(Plan(admission=FIVE), users=backend) as it:
        assert isinstance((await it.ask(address="192.0.2.1")).verdict, Accepted)
        elsewhere = await it.ask(address="198.51.100.1")
        assert (elsewhere.verdict, elsewhere.cached) == (Rejected(Reason.NETWORK), True)
        await guess(it, 4)
        assert (await it.ask(address="198.51.100.1")).verdict == LIMITED
        assert backend.pretended == 1


async def test_d2_right_secret_that_may_not_be_used_counts_and_earns_no_ticket(autojump_clock: MockClock) -> None:
    backend = ScriptedBackend(accepted=lambda attempt: Accepted(attempt.identity, Restrictions(services=("imap",))))
    async with desk(Plan(admission=FIVE, ttl={"users": 0.0}), users=backend) as it:
        for _ in range(3):
            assert (await it.ask()).verdict == Rejected(Reason.SERVICE)
        assert not any(attempt.urgent for attempt in backend.asked)
        assert [decision.verdict for decision in await guess(it, 5)] == [WRONG] * 4 + [LIMITED]


async def test_b1_name_counts_as_the_account_that_the_backend_makes_of_it(autojump_clock: MockClock) -> None:
    async with desk(Plan(admission=FIVE, logins={"users": "{local}"}), users=ScriptedBackend()) as it:
        decisions = [await it.ask(f"alice@{number}.test", b"%d" % number) for number in range(6)]
        assert [decision.verdict for decision in decisions] == [UnknownUser()] * 5 + [LIMITED]
        too_long = "a" * 255 + "@" + "b" * 250
        async with desk(Plan(logins={"users": "{local}+{realm}"}), users=ScriptedBackend()) as other:
            assert (await other.ask(too_long)).verdict == UnknownUser()


async def test_b3_names_without_a_route_share_one_bucket_and_then_hear_what_all_hear(autojump_clock: MockClock) -> None:
    async with desk(Plan(realms=frozenset({"example.test"}), admission=FIVE), users=ScriptedBackend()) as it:
        decisions = [await it.ask(f"alice@other{number}.test") for number in range(6)]
        assert [decision.verdict for decision in decisions] == [Rejected(Reason.NO_ROUTE)] * 5 + [LIMITED]
        assert (await it.ask("alice@no domain \u2260")).verdict == LIMITED
        assert it.backends["users"].asked == []
        assert isinstance((await it.ask()).verdict, Accepted)


async def test_b4_chain_is_one_attempt_however_many_backends_it_asked(autojump_clock: MockClock) -> None:
    one, two, three = (ScriptedBackend(accounts={"alice@example.test": b"pw1"}) for _ in range(3))
    async with desk(Plan(ALL, admission=FIVE), one=one, two=two, three=three) as it:
        assert [decision.verdict for decision in await guess(it, 6)] == [WRONG] * 5 + [LIMITED]
        assert len(three.asked) == 5


@pytest.mark.parametrize("reason", [Reason.LOCKED, Reason.EXPIRED, Reason.DISABLED])
async def test_b4_lock_or_expiry_ends_a_chain_whatever_next_on_says(reason: Reason, autojump_clock: MockClock) -> None:
    two = ScriptedBackend()
    async with desk(Plan(ALL), one=says(Rejected(reason), Unavailable("down")), two=two) as it:
        assert (await it.ask()).verdict == Rejected(reason)
        assert two.asked == []
    async with desk(Plan(ALL), one=says(Unavailable("down")), two=says(Rejected(reason)), three=two) as it:
        assert (await it.ask()).verdict == Unavailable("down")
        assert two.asked == []


async def test_b4_right_secret_that_may_not_be_used_ends_the_chain(autojump_clock: MockClock) -> None:
    two = ScriptedBackend()
    async with desk(Plan(ALL), one=says(Accepted(ALICE, Restrictions(services=("imap",)))), two=two) as it:
        assert (await it.ask()).verdict == Rejected(Reason.SERVICE)
        assert two.asked == []


async def test_c7_acceptance_behind_an_outage_is_not_remembered(autojump_clock: MockClock) -> None:
    async with desk(Plan(ALL), one=says(Unavailable("down"), Rejected(Reason.LOCKED)), two=says(Accepted(ALICE))) as it:
        assert isinstance((await it.ask()).verdict, Accepted)
        assert it.cache.proofs == {}
        assert (await it.ask()).verdict == Rejected(Reason.LOCKED)


async def test_d8_record_that_is_broken_is_an_outage_for_its_account_alone(autojump_clock: MockClock) -> None:
    class Broken(ScriptedBackend):
        async def verify_password(self, attempt: Attempt) -> Verdict:
            verdict = await super().verify_password(attempt)
            return Unavailable("record 7: malformed") if attempt.identity == ALICE else verdict

    async with desk(Plan(admission=FIVE), users=Broken(accounts={"bob@example.test": b"pw1"})) as it:
        for decision in await guess(it, 20):
            assert decision.verdict == Unavailable("record 7: malformed"), "never its limit"
            assert isinstance((await it.ask("bob@example.test")).verdict, Accepted)


@pytest.mark.parametrize(
    ("first", "second", "counts"),
    [
        (WRONG, Unavailable("down"), True),
        (Unavailable("down"), WRONG, True),
        (WRONG, RuntimeError("a bug"), True),
        (RuntimeError("a bug"), UnknownUser(), True),
        (Unavailable("late", judged=True), UnknownUser(), True),
        (UnknownUser(), Unavailable("down"), False),
        (Unavailable("down"), Rejected(Reason.NO_CREDENTIAL), False),
    ],
)
async def test_d9_outage_of_a_chain_counts_once_a_backend_has_judged_the_secret(
    first: Verdict | Exception, second: Verdict | Exception, counts: bool, autojump_clock: MockClock
) -> None:
    one, two = says(*[first] * 6), says(*[second] * 6)
    async with desk(Plan(ALL, admission=FIVE), one=one, two=two) as it:
        decisions = await guess(it, 6)
    assert [type(decision.verdict) for decision in decisions] == [Unavailable] * 6
    assert (decisions[5].verdict == LIMITED) is counts


async def test_d9_backend_that_is_too_slow_after_another_has_judged_the_secret_does_not_hide_the_attempt(autojump_clock: MockClock) -> None:
    never = trio.Event()
    async with desk(Plan(ALL, admission=FIVE), one=ScriptedBackend(), two=ScriptedBackend(gate=never)) as it:
        await guess(it, 5)
        assert (await it.ask(secret=b"another")).verdict == LIMITED
    async with desk(Plan(ALL, admission=FIVE), one=ScriptedBackend(gate=never)) as it:
        assert LIMITED not in [decision.verdict for decision in await guess(it, 10)]


async def test_d9_error_after_the_proof_counts_as_an_attempt(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    async with desk(Plan(admission=FIVE), users=ScriptedBackend()) as it:
        monkeypatch.setattr(it.cache, "remember", fail)
        for _ in range(5):
            assert (await it.ask()).verdict == Unavailable("bug, see the traceback")
        assert (await it.ask()).verdict == LIMITED


async def test_d9_account_that_changes_while_it_is_proved_is_one_attempt_and_counts(autojump_clock: MockClock) -> None:
    class Restless(ScriptedBackend):
        async def verify_password(self, attempt: Attempt) -> Verdict:
            self.version += 1
            return await super().verify_password(attempt)

    async with desk(Plan(admission=FIVE), users=Restless()) as it:
        assert LIMITED not in [decision.verdict for decision in await guess(it, 5)]
        assert (await it.ask()).verdict == LIMITED


async def test_d3_flood_does_not_lock_out_who_logged_in_before(autojump_clock: MockClock) -> None:
    async with desk(Plan(admission=FIVE, ttl={"users": 0.0}), users=ScriptedBackend()) as it:
        assert isinstance((await it.ask()).verdict, Accepted)
        await guess(it, 50)
        decision = await it.ask()
        assert isinstance(decision.verdict, Accepted)
        assert not decision.cached
        asked = it.backends["users"].asked
        assert [attempt.urgent for attempt in asked] == [False] * 6 + [True]


async def test_d3_ticket_is_still_verified_and_goes_with_its_secret(autojump_clock: MockClock) -> None:
    backend = ScriptedBackend()
    async with desk(Plan(admission=FIVE, ttl={"users": 0.0}), users=backend) as it:
        await it.ask()
        backend.accounts = {"alice@example.test": b"new"}
        assert (await it.ask()).verdict == WRONG
        assert (await it.ask()).verdict == WRONG
        assert [attempt.urgent for attempt in backend.asked] == [False, True, False]


@pytest.mark.parametrize("flood", ["one account", "many accounts"])
async def test_d3_d4_holder_of_a_ticket_does_not_wait_behind_two_hundred_wrong_secrets(flood: str, autojump_clock: MockClock) -> None:
    backend = SlowBackend(accounts={f"{name}@example.test": b"pw1" for name in ["alice", *[f"user{number}" for number in range(200)]]})
    plan = Plan(admission=OFF, places=2, ttl={"users": 0.0}, deadline=500.0)
    async with desk(plan, users=backend) as it, trio.open_nursery() as nursery:
        await it.ask()
        names = ["alice@example.test"] * 200 if flood == "one account" else [f"user{number}@example.test" for number in range(200)]
        nursery.start_soon(at_once, it, *names)
        await trio.sleep(0.5)
        began = trio.current_time()
        assert isinstance((await it.ask()).verdict, Accepted)
        assert trio.current_time() - began <= 1.5
        assert backend.most_at_work == 2
        assert Caller("alice@example.test", urgent=True) in backend.callers[:5]
        nursery.cancel_scope.cancel()


async def test_d4_stranger_takes_turns_with_two_hundred_wrong_secrets_of_another(autojump_clock: MockClock) -> None:
    backend = SlowBackend()
    plan = Plan(admission=OFF, places=1, deadline=500.0, logins={"users": "{local}"})
    async with desk(plan, users=backend) as it, trio.open_nursery() as nursery:
        backend.accounts["bob@example.test"] = b"pw1"
        nursery.start_soon(at_once, it, *["alice@example.test"] * 200)
        await trio.sleep(0.5)
        began = trio.current_time()
        assert isinstance((await it.ask("bob@example.test", address="192.0.2.1")).verdict, Accepted)
        assert trio.current_time() - began <= 2.5
        assert Caller("bob@", around(ip_address("192.0.2.1"))) in backend.callers[:3]
        nursery.cancel_scope.cancel()


async def test_d4_who_waited_until_the_deadline_is_not_asked_about_any_more(autojump_clock: MockClock) -> None:
    backend = SlowBackend()
    async with desk(Plan(admission=OFF, places=1), users=backend) as it:
        decisions = await at_once(it, *["alice@example.test"] * 50)
        assert len(backend.callers) == 8
        assert [decision.verdict for decision in decisions].count(WRONG) == 7
        assert [decision.verdict for decision in decisions].count(Unavailable("no answer within 8 s")) == 43


async def test_d4_work_that_is_pretended_holds_the_place_too(autojump_clock: MockClock) -> None:
    backend = SlowBackend(accounts={})
    async with desk(Plan(admission=OFF, places=2), users=backend) as it:
        await at_once(it, *[f"user{number}@example.test" for number in range(6)])
    assert backend.most_at_work == 2


async def test_d4_phone_with_an_old_password_counts_once(autojump_clock: MockClock) -> None:
    async with desk(Plan(admission=FIVE), users=ScriptedBackend()) as it:
        for _ in range(50):
            assert (await it.ask(secret=b"of last year")).verdict == WRONG
        assert isinstance((await it.ask()).verdict, Accepted)
        assert len(it.backends["users"].asked) == 51


@pytest.mark.parametrize(("second", "hold"), [(UnknownUser(hold=3.0), 3.0), (UnknownUser(), 2.0), (Rejected(Reason.LOCKED, hold=3.0), 3.0)])
async def test_d1_no_of_a_chain_is_held_back_as_long_as_its_slowest_backend_wants(
    second: UnknownUser | Rejected, hold: float, autojump_clock: MockClock
) -> None:
    async with desk(Plan(ALL, places=1), one=says(Rejected(Reason.WRONG_SECRET, hold=2.0)), two=says(second)) as it:
        began = trio.current_time()
        verdict = (await it.ask()).verdict
        assert isinstance(verdict, Rejected)
        assert verdict.hold == hold
        assert trio.current_time() == began, "by whoever answers, with no place held"


async def test_attempt_reaches_the_backend_as_it_came(autojump_clock: MockClock) -> None:
    async with desk(users=ScriptedBackend()) as it:
        await it.ask("Alice@Example.test", b"pw", address="192.0.2.1")
        assert it.backends["users"].asked == [Attempt(Identity("Alice", "Example.test"), Secret(b"pw"), "smtp", ip_address("192.0.2.1"))]
