"""Turns for slow work: tickets first, then by network and account; whoever gives up or comes too late leaves nothing (rules D3, D4)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from saslauthd_py.queue import Caller, Queue

NEAR, FAR = ip_network("192.0.2.0/24"), ip_network("2001:db8::/48")
ALICE, BOB = Caller("alice", NEAR), Caller("bob", NEAR)
TICKET = Caller("carol", FAR, urgent=True)


class Counter:
    """Work that stands before a queue, named in the order in which it came; each goes on until the test ends it."""

    def __init__(self, queue: Queue, nursery: trio.Nursery) -> None:
        self.queue = queue
        self.nursery = nursery
        self.callers: list[Caller] = []
        self.running: dict[int, int] = {}
        self.begun: list[int] = []
        self._ends: list[trio.Event] = []
        self._scopes: list[trio.CancelScope] = []

    async def add(self, caller: Caller, size: int = 0) -> int:
        number = self.add_now(caller, size)
        await wait_all_tasks_blocked()
        return number

    def add_now(self, caller: Caller, size: int = 0) -> int:
        self.callers.append(caller)
        self._ends.append(trio.Event())
        self._scopes.append(trio.CancelScope())
        self.nursery.start_soon(self._work, len(self.callers) - 1, size)
        return len(self.callers) - 1

    def end(self, number: int) -> None:
        self._ends[number].set()

    def cancel(self, number: int) -> None:
        self._scopes[number].cancel()

    async def drain(self) -> list[int]:
        """End one after the other; returns all in the order in which they began."""
        while self.running:
            self.end(next(iter(self.running)))
            await wait_all_tasks_blocked()
        return self.begun

    async def _work(self, number: int, size: int) -> None:
        with self._scopes[number]:
            async with self.queue.turn(self.callers[number], size):
                self.begun.append(number)
                self.running[number] = size
                try:
                    await self._ends[number].wait()
                finally:
                    del self.running[number]


@asynccontextmanager
async def before(queue: Queue) -> AsyncIterator[Counter]:
    async with trio.open_nursery() as nursery:
        yield Counter(queue, nursery)
        nursery.cancel_scope.cancel()
    assert not queue._tickets
    assert not queue._others


async def begun(queue: Queue, *callers: Caller) -> list[Caller]:
    """The order in which these begin that come all at once, while another one runs."""
    async with before(queue) as counter:
        await counter.add(Caller("first"))
        for caller in callers:
            await counter.add(caller)
        return [callers[number - 1] for number in (await counter.drain())[1:]]


async def test_d4_two_hundred_for_one_account_let_another_account_take_its_turn() -> None:
    assert (await begun(Queue(1), *[ALICE] * 200, BOB)).index(BOB) == 1


async def test_d4_two_hundred_accounts_from_one_network_let_another_network_take_its_turn() -> None:
    flood = [Caller(f"user{number}", NEAR) for number in range(200)]
    assert (await begun(Queue(1), *flood, Caller("user0", FAR))).index(Caller("user0", FAR)) == 1


async def test_d4_one_account_from_two_networks_is_two_callers() -> None:
    assert await begun(Queue(1), ALICE, ALICE, Caller("alice", FAR)) == [ALICE, Caller("alice", FAR), ALICE]


async def test_d4_networks_take_turns_and_in_each_the_accounts() -> None:
    far = Caller("carol", FAR)
    assert await begun(Queue(1), ALICE, ALICE, BOB, far, far, far) == [ALICE, far, BOB, far, ALICE, far]


async def test_d4_callers_of_an_unknown_network_take_turns_by_account() -> None:
    anna, bert = Caller("anna"), Caller("bert")
    assert await begun(Queue(1), anna, anna, ALICE, bert, ALICE) == [anna, ALICE, bert, anna, ALICE]


async def test_d4_who_asks_again_comes_after_those_who_wait() -> None:
    async with before(Queue(1)) as counter:
        for caller in (ALICE, ALICE, BOB):
            await counter.add(caller)
        counter.end(0)
        await wait_all_tasks_blocked()
        await counter.add(ALICE)
        assert await counter.drain() == [0, 1, 2, 3]


async def test_d3_tickets_come_before_all_others_and_take_turns_among_themselves() -> None:
    other = Caller("dora", FAR, urgent=True)
    assert await begun(Queue(1), ALICE, BOB, TICKET, TICKET, other) == [TICKET, other, TICKET, ALICE, BOB]


async def test_d3_last_place_of_a_backend_is_kept_for_a_ticket() -> None:
    for places, open_to_all in ((1, 1), (2, 2), (3, 3), (4, 3), (64, 63)):
        async with before(Queue.of_backend(places)) as counter:
            for _ in range(places):
                await counter.add(ALICE)
            assert len(counter.running) == open_to_all
            ticket = await counter.add(TICKET)
            assert (ticket in counter.running) is (open_to_all < places)
            await counter.add(TICKET)
            assert len(counter.running) == places


async def test_d4_heavy_one_is_not_overtaken_for_being_heavy_but_by_a_ticket() -> None:
    async with before(Queue(8, room=10)) as counter:
        await counter.add(ALICE, 6)
        heavy = await counter.add(ALICE, 8)
        light = await counter.add(BOB, 1)
        assert set(counter.running) == {0}
        ticket = await counter.add(TICKET, 4)
        assert set(counter.running) == {0, ticket}
        counter.end(0)
        await wait_all_tasks_blocked()
        assert set(counter.running) == {ticket}
        counter.end(ticket)
        await wait_all_tasks_blocked()
        assert set(counter.running) == {heavy, light}


async def test_d4_deadline_that_has_passed_is_noticed_when_the_work_would_start(autojump_clock: MockClock) -> None:
    queue, start = Queue(1), trio.current_time()
    began: list[str] = []

    async def work(name: str, seconds: float) -> None:
        with trio.move_on_after(seconds):
            async with queue.turn(Caller(name)):
                began.append(name)
                await trio.sleep(5)

    async with trio.open_nursery() as nursery:
        for name, seconds in (("first", 8.0), ("late", 4.0), ("at that moment", 5.0), ("in time", 20.0)):
            nursery.start_soon(work, name, seconds)
            await wait_all_tasks_blocked()
    assert began == ["first", "in time"]
    assert trio.current_time() - start == pytest.approx(10)


async def test_d4_one_that_is_already_cancelled_begins_nothing() -> None:
    queue = Queue(1)
    with trio.CancelScope() as scope:
        scope.cancel()
        async with queue.turn(ALICE):
            pytest.fail("its time is over")
    assert queue._free == 1


@pytest.mark.parametrize("cancel_first", [True, False])
async def test_d4_place_given_to_one_that_is_cancelled_in_the_same_moment_goes_on(cancel_first: bool) -> None:
    async with before(Queue(1)) as counter:
        for caller in (ALICE, ALICE, BOB):
            await counter.add(caller)
        if cancel_first:
            counter.cancel(1)
        counter.end(0)
        counter.cancel(1)
        await wait_all_tasks_blocked()
        assert set(counter.running) <= {1, 2}
        assert counter.begun == [0, 2]


CALLERS = st.builds(
    Caller, st.sampled_from(["alice", "bob", "carol"]), st.sampled_from([None, NEAR, FAR]), st.sampled_from([False, False, False, True])
)
STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "add", "end", "cancel"]), CALLERS, st.integers(0, 5), st.integers(0, 1000), st.booleans()),
    max_size=40,
)


@settings(max_examples=60)
@given(places=st.integers(1, 4), steps=STEPS)
async def test_d4_never_more_than_places_and_room_and_nobody_is_forgotten(
    places: int, steps: list[tuple[str, Caller, int, int, bool]]
) -> None:
    queue = Queue(places, room=8)
    async with before(queue) as counter:
        ended, cancelled = set[int](), set[int]()
        for what, caller, size, choice, at_once in steps:
            open_ones = [number for number in range(len(counter.callers)) if number not in ended | cancelled]
            if what == "add":
                counter.add_now(caller, size)
            elif open_ones:
                number = open_ones[choice % len(open_ones)]
                (ended if what == "end" else cancelled).add(number)
                (counter.end if what == "end" else counter.cancel)(number)
            if not at_once:
                await wait_all_tasks_blocked()
                assert len(counter.running) <= places
                assert sum(counter.running.values()) <= 8
                waiting = set(range(len(counter.callers))) - cancelled - set(counter.begun)
                assert queue.counts() == (len(counter.running), len(waiting))
        await wait_all_tasks_blocked()
        for number in range(len(counter.callers)):
            counter.end(number)
        await wait_all_tasks_blocked()
        assert set(counter.begun) | cancelled == set(range(len(counter.callers)))
        assert not counter.running
        assert (queue.counts(), queue._room) == ((0, 0), 8)


@settings(max_examples=60)
@given(callers=st.lists(CALLERS, max_size=60))
async def test_d4_nobody_waits_longer_than_his_share(callers: list[Caller]) -> None:
    """Before the n-th of a caller begins, no other caller of the same kind has had more than n turns of its network's."""
    order = await begun(Queue(1), *callers)
    assert sorted(map(repr, order)) == sorted(map(repr, callers))
    tickets = sum(caller.urgent for caller in callers)
    assert all(caller.urgent for caller in order[:tickets])
    for kind in (order[:tickets], order[tickets:]):
        group = [caller.network or caller.account for caller in kind]
        for at, mine in enumerate(group):
            turn = group[:at].count(mine)
            assert all(group[:at].count(other) <= turn + 1 for other in set(group))
        for network in (NEAR, FAR):
            within = [caller.account for caller in kind if caller.network == network]
            for at, account in enumerate(within):
                assert all(within[:at].count(other) <= within[:at].count(account) + 1 for other in set(within))
