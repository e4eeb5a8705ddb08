"""The threads of hashes: calls one after the other, errors where they were asked for, no end before the call's, no trace after."""

from __future__ import annotations

import gc
import threading
import weakref
from collections import defaultdict
from contextlib import suppress

import pytest
import trio
import trio.testing

from saslauthd_py.hashing.threads import Threads, _Job


def of(threads: Threads) -> list[threading.Thread]:
    """Those that live, of all the process's, and take from these."""
    return [thread for thread in threading.enumerate() if getattr(thread, "_args", ()) == (threads._jobs,)]


class Gate:
    """Calls that end when they may; `begun` in their order."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.began: defaultdict[str, trio.Event] = defaultdict(trio.Event)
        self._open = {name: threading.Event() for name in "abc"}
        self._token = trio.lowlevel.current_trio_token()

    def call(self, name: str) -> str:
        trio.from_thread.run_sync(self._begin, name, trio_token=self._token)
        self._open[name].wait()
        return name

    def open(self, *names: str) -> None:
        for name in names:
            self._open[name].set()

    def _begin(self, name: str) -> None:
        self.begun.append(name)
        self.began[name].set()


async def test_result_and_error_come_to_who_asked_and_threads_serve_on() -> None:
    threads = Threads(1)
    assert await threads.run(lambda: 6 * 7) == 42
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0)
    with pytest.raises(SystemExit, match="leave"):
        await threads.run(lambda: exit("leave"))
    first = await threads.run(threading.get_ident)
    assert first == await threads.run(threading.get_ident) != threading.get_ident()
    assert threads.unfinished == 0


async def test_no_thread_before_the_first_call() -> None:
    threads = Threads(3)
    assert of(threads) == []
    await threads.run(int)
    assert len(of(threads)) == 3


async def test_first_come_first_served_by_so_many_at_once() -> None:
    threads, gate, said = Threads(2), Gate(), list[str]()

    async def ask(name: str) -> None:
        said.append(await threads.run(lambda: gate.call(name)))

    async with trio.open_nursery() as nursery:
        for name in "abc":
            nursery.start_soon(ask, name)
            await trio.testing.wait_all_tasks_blocked()
        for name in "ab":
            await gate.began[name].wait()
        assert threads.unfinished == 3
        gate.open("b")
        await gate.began["c"].wait()
        await trio.testing.wait_all_tasks_blocked()  # who asked for b has heard of its end
        unfinished = threads.unfinished
        gate.open("a", "c")
    assert sorted(gate.begun[:2]) == ["a", "b"]
    assert unfinished == 2
    assert sorted(said) == ["a", "b", "c"]
    assert said[0] == "b"


async def test_cancelled_caller_waits_for_the_end_and_has_the_result() -> None:
    threads, gate, said = Threads(1), Gate(), list[str]()
    scope = trio.CancelScope()

    async def ask() -> None:
        with scope:
            said.append(await threads.run(lambda: gate.call("a")))
            await trio.lowlevel.checkpoint()
            said.append("not cancelled")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await gate.began["a"].wait()
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert threads.unfinished == 1
        gate.open("a")
    assert said == ["a"]
    assert threads.unfinished == 0


async def test_thread_that_waits_holds_nothing_of_its_last_call() -> None:
    class Kept:
        def __call__(self) -> None: ...

    threads, kept, gone = Threads(1), Kept(), threading.Event()
    weakref.finalize(kept, gone.set)
    await threads.run(kept)
    del kept
    assert gone.wait(10)


async def test_error_of_a_call_keeps_nothing_of_it_until_a_collection() -> None:
    class Kept:
        def __call__(self) -> None:
            raise ZeroDivisionError

    threads, kept, gone = Threads(1), Kept(), threading.Event()
    weakref.finalize(kept, gone.set)
    gc.disable()
    try:
        with suppress(ZeroDivisionError):  # pytest.raises would keep its traceback
            await threads.run(kept)
        del kept
        assert gone.wait(10)
    finally:
        gc.enable()


async def test_call_that_has_no_thread_is_the_only_one_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    threads, begin, had = Threads(2), threading.Thread.start, iter([False, True, False, True])

    def start(thread: threading.Thread) -> None:
        if not next(had):
            raise RuntimeError("can't start new thread")
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(RuntimeError, match="new thread"):
        await threads.run(int)
    assert threads.unfinished == 0
    for alive in (1, 2, 2):
        assert await threads.run(lambda: 6 * 7) == 42
        assert len(of(threads)) == alive


async def test_threads_end_with_the_last_reference() -> None:
    threads = Threads(2)
    await threads.run(int)
    alive = of(threads)
    assert len(alive) == 2
    del threads
    gc.collect()
    for thread in alive:
        thread.join(10)
        assert not thread.is_alive()


def test_threads_serve_one_loop_after_the_other() -> None:
    threads = Threads(1)
    for _ in range(2):
        assert trio.run(threads.run, lambda: 1) == 1


def test_job_that_ends_when_its_loop_is_no_more_costs_the_thread_nothing() -> None:
    async def begin() -> _Job:
        return _Job(lambda: 1)

    job = trio.run(begin)
    job.do()
    assert job.result == 1
