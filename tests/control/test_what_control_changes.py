"""What an admin orders, in the pieces that do it: proofs flushed, limits lifted, and the figures that a status is made of."""

from __future__ import annotations

from ipaddress import ip_address

import trio

from saslauthd_py import identity, trace
from saslauthd_py.admission import Admission, Limited
from saslauthd_py.backend import Attempt
from saslauthd_py.config.settings import AdmissionSettings
from saslauthd_py.identity import Identity
from saslauthd_py.queue import Caller, Queue
from saslauthd_py.routing import Health, Route, Routes
from saslauthd_py.secret import Secret
from saslauthd_py.trace import Step
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable
from tests.desks import WRONG, Plan, desk, says
from tests.front.fronts import ScriptedBackend

ALICE = Identity("alice", "example.test")


def admission() -> Admission:
    return Admission(AdmissionSettings(), lambda: 1000.0)


def guess(it: Admission, times: int, name: str = "alice", address: str = "192.0.2.7") -> None:
    """Distinct wrong secrets."""
    for number in range(times):
        who = Identity(name, "example.test")
        entry = it.enter(Attempt(who, Secret(b"%d" % number), "smtp", ip_address(address)), [identity.account(who)])
        it.settle(entry, WRONG)


def limited(it: Admission, name: str = "alice", address: str = "192.0.2.7") -> bool:
    who = Identity(name, "example.test")
    return it.enter(Attempt(who, Secret(b"new"), "smtp", ip_address(address)), [identity.account(who)]).refused is not None


def test_top_is_who_is_nearest_to_a_limit() -> None:
    it = admission()
    assert it.top(10) == []
    guess(it, 9)
    guess(it, 2, "bob", "198.51.100.1")
    found = it.top(3)
    assert found[0] == Limited("pair", "alice@example.test from 192.0.2.0/24", 9.0, 10)
    assert found[1] == Limited("account", "alice@example.test", 9.0, 30)
    assert found[2] == Limited("pair", "bob@example.test from 198.51.100.0/24", 2.0, 10)
    assert {one.kind for one in it.top(10)} == {"account", "address", "network", "pair"}
    assert Limited("address", "192.0.2.7", 9.0, 100) in it.top(10)


def test_top_of_many_names_is_found_without_a_walk_over_all() -> None:
    it = admission()
    for number in range(3000):
        guess(it, 1, f"name{number}", f"10.{number >> 8}.{number & 255}.1")
    guess(it, 5)
    assert it.top(1)[0].name.startswith("alice@example.test from")
    assert len(it.top(10)) == 10


def test_unblock_of_an_account_lifts_it_wherever_it_was_guessed_and_nobody_else() -> None:
    it = admission()
    guess(it, 10)
    guess(it, 10, "bob")
    assert limited(it)
    assert it.unblock_accounts({"alice@example.test"}) == 2
    assert not limited(it)
    assert limited(it, "bob")
    assert it.unblock_accounts({"carol@example.test"}) == 0


def test_unblock_of_an_address_lifts_its_network_and_all_accounts_from_there() -> None:
    it = admission()
    guess(it, 10)
    guess(it, 10, "bob", "198.51.100.1")
    assert it.unblock_address(ip_address("192.0.2.200")) == 2, "the network and the pair: the address itself never failed"
    assert not limited(it)
    assert limited(it, "bob", "198.51.100.1")
    assert it.unblock_address(ip_address("::ffff:198.51.100.1")) == 3
    assert not limited(it, "bob", "198.51.100.1")


def test_switched_off_limits_are_none() -> None:
    it = Admission(AdmissionSettings.model_validate({"per_account": "off", "per_network": "off", "per_pair": "off"}), lambda: 0.0)
    guess(it, 3)
    assert (it.top(10), it.unblock_accounts({"alice@example.test"}), it.unblock_address(ip_address("192.0.2.7"))) == ([], 0, 0)


def test_tickets_are_counted() -> None:
    it = admission()
    entry = it.enter(Attempt(ALICE, Secret(b"pw1"), "smtp"), ["alice@example.test"])
    it.settle(entry, Accepted(ALICE))
    assert it.tickets() == 1


async def test_flush_of_a_user_leaves_the_others_and_a_flush_of_all_leaves_none() -> None:
    backend = ScriptedBackend({"alice@example.test": b"pw1", "bob@example.test": b"pw1"})
    async with desk(users=backend) as it:
        for name in ("alice@example.test", "bob@example.test"):
            await it.ask(name)
        assert it.cache.flush(["alice@example.test", "nobody@example.test"]) == 1
        assert not (await it.ask("alice@example.test")).cached
        assert (await it.ask("bob@example.test")).cached
        assert it.cache.flush(None) == 2
        assert it.cache.flush(None) == 0
        assert not (await it.ask("bob@example.test")).cached


async def test_what_was_asked_before_a_flush_is_not_remembered_after_it_nor_shared() -> None:
    backend = ScriptedBackend(gate=trio.Event())
    async with desk(users=backend) as it, trio.open_nursery() as nursery:
        nursery.start_soon(it.ask)
        await trio.testing.wait_all_tasks_blocked()
        it.cache.flush(["alice@example.test"])
        nursery.start_soon(it.ask)
        await trio.testing.wait_all_tasks_blocked()
        assert len(backend.asked) == 2, "who comes after the flush asks anew"
        assert backend.gate is not None
        backend.gate.set()
        await trio.testing.wait_all_tasks_blocked()
        assert len(it.cache.proofs) == 1, "of the second one"
        it.cache.flush(None)
        backend.gate = trio.Event()
        nursery.start_soon(it.ask)
        await trio.testing.wait_all_tasks_blocked()
        it.cache.flush(None)
        backend.gate.set()
        await trio.testing.wait_all_tasks_blocked()
        assert not it.cache.proofs


async def test_trace_of_a_flight_reaches_who_began_it_and_who_joined_is_told(autojump_clock: trio.testing.MockClock) -> None:
    backend = ScriptedBackend(gate=trio.Event())
    first: list[Step] = []
    second: list[Step] = []
    async with desk(users=backend) as it, trio.open_nursery() as nursery:

        async def ask(steps: list[Step]) -> None:
            with trace.recording(steps.append):
                await it.ask()

        nursery.start_soon(ask, first)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(ask, second)
        await trio.testing.wait_all_tasks_blocked()
        assert backend.gate is not None
        backend.gate.set()
    assert [step.name for step in first] == ["route", "cache", "admission", "asking", "backend", "remembered", "rules", "counted"]
    assert [step.name for step in second] == ["route", "cache", "joined"]


async def test_trace_of_a_backend_that_hangs_says_so_at_the_deadline(autojump_clock: trio.testing.MockClock) -> None:
    steps: list[Step] = []
    async with desk(Plan(deadline=2.0), users=ScriptedBackend(gate=trio.Event())) as it:
        with trace.recording(steps.append):
            decision = await it.ask()
    assert isinstance(decision.verdict, Unavailable)
    (said,) = (step.facts for step in steps if step.name == "backend")
    assert (said["verdict"], said["cause"]) == ("unavailable", "no answer in time")


async def test_health_of_a_backend_is_noted_as_it_is_asked() -> None:
    async with desk(users=says(Unavailable("gone"), Unavailable("gone"), WRONG)) as it:
        (member,) = it.authenticator._routes.members.values()
        for failing, cause in ((1, "gone"), (2, "gone"), (0, "")):
            await it.ask()
            assert (member.health.failing, member.health.cause) == (failing, cause)
        assert (member.health.asked, member.health.outages) == (3, 2)


def test_mean_of_a_backends_calls_follows_the_last_ones() -> None:
    health = Health()
    health.note(WRONG, 1.0)
    assert health.seconds == 1.0
    for _ in range(100):
        health.note(Rejected(Reason.LOCKED), 0.0)
    assert health.seconds < 0.01


async def test_queue_counts_those_at_work_and_those_who_wait() -> None:
    queue, go_on = Queue(1), trio.Event()

    async def work(urgent: bool) -> None:
        async with queue.turn(Caller("a", None, urgent)):
            await go_on.wait()

    async with trio.open_nursery() as nursery:
        for urgent in (False, False, True):
            nursery.start_soon(work, urgent)
            await trio.testing.wait_all_tasks_blocked()
        assert (queue.places, *queue.counts()) == (1, 1, 2)
        go_on.set()
    assert queue.counts() == (0, 0)


def test_routes_say_by_which_keys_they_miss() -> None:
    every = frozenset({"*"})
    routes = Routes([Route(frozenset({"a.test"}), frozenset({"imap"}), every, ()), Route(every, every, frozenset({"/x"}), ())])
    assert routes.missed("B.test", "imap", "/y") == [{"realm": ("a.test",)}, {"listener": ("/x",)}]
    assert routes.missed("A.test", "smtp", "/x") == [{"service": ("imap",)}, {}]
    found = routes.find("b.test", "smtp", "/x")
    assert found is not None
    assert (routes.number(found), len(routes)) == (1, 2)
