"""The tasks that do one piece of work after the other: each piece is as if it had a task of its own."""

from __future__ import annotations

from contextvars import ContextVar, copy_context

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from saslauthd_py.authenticator import crew
from saslauthd_py.authenticator.crew import Crew

_WHOSE: ContextVar[str] = ContextVar("whose", default="nobody's")


class Duty:
    """Each piece of work is the seconds that it takes."""

    def __init__(self) -> None:
        self.done: list[tuple[float, str, trio.lowlevel.Task]] = []
        self.cut_off: list[tuple[str, float]] = []

    async def do(self, work: float, /) -> None:
        whose = _WHOSE.get()
        _WHOSE.set("left behind")
        await trio.sleep(work)
        self.done.append((work, whose, trio.lowlevel.current_task()))

    def late(self, work: float, /) -> None:
        self.cut_off.append(("late", work))

    def stopped(self, work: float, /) -> None:
        self.cut_off.append(("stopped", work))


async def test_work_is_done_in_the_context_of_whoever_began_it_and_leaves_nothing_of_it(autojump_clock: MockClock) -> None:
    duty = Duty()
    async with trio.open_nursery() as nursery:
        ones = Crew(nursery, 8.0, duty)
        for number in range(3):
            context = copy_context()
            context.run(_WHOSE.set, f"number {number}")
            context.run(ones.begin, float(number))
            await trio.sleep(5)
        assert [done[:2] for done in duty.done] == [(0.0, "number 0"), (1.0, "number 1"), (2.0, "number 2")]
        (task,) = {done[2] for done in duty.done}
        assert _WHOSE not in task.context
        assert _WHOSE.get() == "nobody's"
        nursery.cancel_scope.cancel()


async def test_work_that_takes_too_long_is_cut_off_at_its_own_time_and_no_other_with_it(autojump_clock: MockClock) -> None:
    duty, began = Duty(), trio.current_time()
    async with trio.open_nursery() as nursery:
        ones = Crew(nursery, 8.0, duty)
        ones.begin(20.0)
        ones.begin(7.9)
        await trio.sleep(7.95)
        ones.begin(7.0)  # by the task of the one that has ended
        await trio.sleep(0.1)
        assert duty.cut_off == [("late", 20.0)]
        await trio.sleep(7.0)
        assert [done[0] for done in duty.done] == [7.9, 7.0]
        assert trio.current_time() - began < 16
        nursery.cancel_scope.cancel()
    assert duty.cut_off == [("late", 20.0)]


async def test_task_whose_work_ends_at_the_very_moment_in_which_it_is_late_works_on(autojump_clock: MockClock) -> None:
    duty = Duty()
    async with trio.open_nursery() as nursery:
        ones = Crew(nursery, 8.0, duty)
        for work in (8.0, 8.0, 8.0):
            ones.begin(work)
            await trio.sleep(9)
        ones.begin(1.0)
        await trio.sleep(2)
        assert duty.done[-1][0] == 1.0
        assert len(duty.done) + len(duty.cut_off) == 4
        nursery.cancel_scope.cancel()


async def test_task_that_is_late_in_the_turn_in_which_its_work_ends_is_not_the_next_one_s(autojump_clock: MockClock) -> None:
    """It is told to go on, then its time is over, then it goes on: nothing is cut off, and it can be kept no more."""
    ended = trio.Event()

    class Waiting(Duty):
        async def do(self, work: float, /) -> None:
            await ended.wait()
            self.done.append((work, "", trio.lowlevel.current_task()))

    duty = Waiting()
    async with trio.open_nursery() as nursery:
        ones = Crew(nursery, 8.0, duty)
        ones.begin(1.0)
        await wait_all_tasks_blocked()
        ended.set()
        ones._waits._end(8.0)
        await wait_all_tasks_blocked()
        assert [work for work, _, _ in duty.done] == [1.0]
        assert not ones._idle
        ones.begin(2.0)
        await wait_all_tasks_blocked()
        assert [work for work, _, _ in duty.done] == [1.0, 2.0]
        assert duty.cut_off == []
        nursery.cancel_scope.cancel()


async def test_work_under_way_is_told_when_the_nursery_is_cancelled(autojump_clock: MockClock) -> None:
    duty = Duty()
    async with trio.open_nursery() as nursery:
        ones = Crew(nursery, 8.0, duty)
        ones.begin(1.0)
        await trio.sleep(2)
        ones.begin(3.0)
        ones.begin(4.0)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert sorted(duty.cut_off) == [("stopped", 3.0), ("stopped", 4.0)]


async def test_no_more_tasks_are_kept_than_there_may_be(autojump_clock: MockClock) -> None:
    duty = Duty()
    async with trio.open_nursery() as nursery:
        ones = Crew(nursery, 8.0, duty)
        for _ in range(crew.MOST_IDLE + 10):
            ones.begin(1.0)
        await trio.sleep(100)
        assert len(nursery.child_tasks) == crew.MOST_IDLE
        nursery.cancel_scope.cancel()
    assert len(duty.done) == crew.MOST_IDLE + 10
