"""Steps go to whoever records in the context of the task that makes them, and to nobody else."""

from __future__ import annotations

from contextlib import suppress

import trio
from trio.testing import wait_all_tasks_blocked

from saslauthd_py import trace
from saslauthd_py.trace import Step


def test_nobody_records() -> None:
    trace.note("lost", fact=1)
    assert not trace.recorded()


def test_recordings_are_counted_until_each_has_ended() -> None:
    with suppress(ValueError), trace.recording(lambda _: None):
        with trace.recording(lambda _: None):
            assert trace.recordings == 2
        assert trace.recordings == 1
        raise ValueError
    assert trace.recordings == 0


def test_steps_come_with_facts_and_rising_times() -> None:
    steps: list[Step] = []
    with trace.recording(steps.append):
        assert trace.recorded()
        trace.note("first", name="x")
        trace.note("second")
    trace.note("third")
    assert [(step.name, step.facts) for step in steps] == [("first", {"name": "x"}), ("second", {})]
    assert 0 <= steps[0].seconds <= steps[1].seconds


async def test_a_task_inherits_the_recording_of_who_started_it_and_ends_with_it() -> None:
    mine: list[Step] = []
    theirs: list[Step] = []
    go_on = trio.Event()

    async def flight(name: str) -> None:
        trace.note(name)
        await go_on.wait()
        trace.note(f"{name} late")

    async with trio.open_nursery() as nursery:
        with trace.recording(mine.append):
            nursery.start_soon(flight, "mine")
            await wait_all_tasks_blocked()
        with trace.recording(theirs.append):
            nursery.start_soon(flight, "theirs")
            await wait_all_tasks_blocked()
            trace.note("here")
        go_on.set()
    assert [step.name for step in mine] == ["mine"]
    assert [step.name for step in theirs] == ["theirs", "here"]
