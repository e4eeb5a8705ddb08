"""Waiting for an answer of a directory, or for a connection: one timer for all who wait as long."""

from __future__ import annotations

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from saslauthd_py.waits import Waits
from tests.backends.ldap_wires import connected, search


async def wait(waits: Waits, ended: list[tuple[str, bool, float]], name: str) -> None:
    woken = await waits.wait()
    ended.append((name, woken, trio.current_time()))


async def test_each_wait_ends_when_it_is_woken_or_its_own_time_is_over(autojump_clock: MockClock) -> None:
    ended: list[tuple[str, bool, float]] = []
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        waits = Waits(5.0, nursery)
        for name in ("first", "second", "third"):
            nursery.start_soon(wait, waits, ended, name)
            await trio.sleep(1)
        waits.wake_first()
        await trio.sleep(20)
        nursery.start_soon(wait, waits, ended, "much later")
    assert [(name, woken, round(when - began, 3)) for name, woken, when in ended] == [
        ("first", True, 3),
        ("second", False, 6),
        ("third", False, 7),
        ("much later", False, 28),
    ]


async def test_wait_that_is_cancelled_leaves_its_turn_to_the_next(autojump_clock: MockClock) -> None:
    ended: list[tuple[str, bool, float]] = []
    async with trio.open_nursery() as nursery:
        waits = Waits(5.0, nursery)
        with trio.move_on_after(1):
            nursery.start_soon(wait, waits, ended, "patient")
            await wait(waits, ended, "gone")
        assert len(waits) == 1
        waits.wake_first()
    assert [(name, woken) for name, woken, _ in ended] == [("patient", True)]


async def test_closed_waits_keep_their_timer_as_long_as_somebody_waits(autojump_clock: MockClock) -> None:
    ended: list[tuple[str, bool, float]] = []
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        waits = Waits(5.0, nursery)
        nursery.start_soon(wait, waits, ended, "last")
        await wait_all_tasks_blocked()
        waits.close()
    assert [(woken, when - began) for _, woken, when in ended] == [(False, 5.0)]
    async with trio.open_nursery() as nursery:
        idle = Waits(5.0, nursery)
        nursery.start_soon(wait, idle, ended, "woken")
        await wait_all_tasks_blocked()
        idle.wake_first()
        idle.close()
    assert trio.current_time() - began == 5.0, "a timer that nobody needs holds up nothing"


async def test_each_search_leaves_at_once_however_many_are_under_way() -> None:
    async with connected() as (connection, peer), trio.open_nursery() as nursery:
        for name in ("one", "two", "three"):
            nursery.start_soon(connection.ask, search(name))
            await trio.lowlevel.checkpoint()
            assert name.encode() in await peer.stream.receive_some(65536)
        nursery.cancel_scope.cancel()
