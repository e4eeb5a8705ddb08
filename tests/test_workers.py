"""The front's pool of workers: a worker that fails costs its own call, and no call is lost to one that had ended before."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing

import pytest
import trio
import trio.testing

from saslauthd_py.monitor.channel import pair
from saslauthd_py.secret import Secret
from saslauthd_py.wire.monitor import Answer, Begin, Call, End, Stage, decode, encode
from saslauthd_py.workers import Worker, WorkerFailed, Workers

CALL = Call(0, b"smtp", b"alice", Secret(b"pw1"))


class Pool:
    """Workers of which the test has the other ends."""

    def __init__(self) -> None:
        self.ended: list[End] = []
        self.workers = Workers("system", self.ended.append)
        self.others: list[socket.socket] = []

    def add(self) -> socket.socket:
        ours, theirs = pair()
        ours.setblocking(False)
        theirs.setblocking(False)
        self.others.append(theirs)
        self.workers.add(Worker(len(self.others), 100 + len(self.others), ours))
        return theirs

    def close(self) -> None:
        self.workers.close()
        for other in self.others:
            other.close()


@pytest.fixture
def pool() -> Iterator[Pool]:
    with closing(Pool()) as pool:
        yield pool


async def taken(other: socket.socket) -> Call:
    await trio.lowlevel.wait_readable(other)
    call = decode(other.recv(16384))
    assert isinstance(call, Call)
    return call


async def answer(other: socket.socket, code: int = 0, *, last: bool = False) -> Call:
    call = await taken(other)
    other.send(encode(Answer(call.id, Stage.ACCOUNT, code, last=last, account=b"alice")))
    return call


@asynccontextmanager
async def calling(pool: Pool, count: int = 1) -> AsyncIterator[list[Answer | WorkerFailed]]:
    """So many calls under way, and what has come of them; at the end all have ended."""
    results: list[Answer | WorkerFailed] = []

    async def call() -> None:
        try:
            results.append(await pool.workers.call(CALL))
        except WorkerFailed as failed:
            results.append(failed)

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(call)
        yield results


async def test_a_call_gets_its_answer_and_the_worker_is_idle_again(pool: Pool, autojump_clock: trio.testing.MockClock) -> None:
    other = pool.add()
    for code in (0, 7):
        async with calling(pool) as results:
            call = await answer(other, code)
            assert (call.service, call.login, call.secret, call.urgent) == (b"smtp", b"alice", Secret(b"pw1"), False)
        (got,) = results
        assert isinstance(got, Answer)
        assert got.code == code
        assert pool.workers.counts() == (1, 0)
    assert pool.ended == []


async def test_a4_one_call_at_a_time_in_a_worker(pool: Pool, autojump_clock: trio.testing.MockClock) -> None:
    other = pool.add()
    async with calling(pool, 3) as results:
        for count in range(1, 4):
            await taken_and_answered(other)
            await trio.testing.wait_all_tasks_blocked()
            assert len(results) == count
    assert pool.workers.counts() == (1, 0)


async def taken_and_answered(other: socket.socket) -> None:
    call = await taken(other)
    with pytest.raises(BlockingIOError):
        other.recv(1)
    other.send(encode(Answer(call.id, Stage.ACCOUNT, 0)))


async def test_a4_a_worker_that_ends_in_a_call_costs_that_call_only(pool: Pool, autojump_clock: trio.testing.MockClock) -> None:
    first, second = pool.add(), pool.add()
    async with calling(pool, 2) as results:
        await taken(first)
        first.close()
        await answer(second)
    assert sorted(type(one).__name__ for one in results) == ["Answer", "WorkerFailed"]
    assert pool.ended == [End(1, 101)]
    assert pool.workers.counts() == (1, 0)


async def test_a4_a_changed_header_byte_of_an_answer_costs_that_call_only(pool: Pool, autojump_clock: trio.testing.MockClock) -> None:
    size = len(encode(Answer(0, Stage.ACCOUNT, 0)))
    bystander = pool.add()
    for at in range(size):
        other = pool.add()
        async with calling(pool, 2) as results:
            call = await taken(other)
            changed = bytearray(encode(Answer(call.id, Stage.ACCOUNT, 0, account=b"alice")))
            changed[at] ^= 0x41
            other.send(changed)
            await answer(bystander)
        assert sorted(type(one).__name__ for one in results) == ["Answer", "WorkerFailed"], at
        assert pool.ended.pop() == End(len(pool.others), 100 + len(pool.others))
        assert pool.workers.counts() == (1, 0)


@pytest.mark.parametrize("frame", [Begin(), CALL, Answer(99, Stage.ACCOUNT, 0)], ids=["another kind", "a call", "another id"])
async def test_a4_an_unexpected_frame_ends_the_worker(
    frame: Begin | Call | Answer, pool: Pool, autojump_clock: trio.testing.MockClock
) -> None:
    other = pool.add()
    async with calling(pool) as results:
        await taken(other)
        other.send(encode(frame))
    assert isinstance(results[0], WorkerFailed)
    assert pool.ended == [End(1, 101)]


async def test_a4_an_over_long_answer_ends_the_worker(pool: Pool, autojump_clock: trio.testing.MockClock) -> None:
    other = pool.add()
    async with calling(pool) as results:
        call = await taken(other)
        other.send(encode(Answer(call.id, Stage.ACCOUNT, 0)) + bytes(20000))
    assert isinstance(results[0], WorkerFailed)


async def test_a1_a_call_past_its_deadline_has_its_worker_ended(pool: Pool, autojump_clock: trio.testing.MockClock) -> None:
    pool.add()
    with trio.move_on_after(8) as scope:
        await pool.workers.call(CALL)
    assert scope.cancelled_caught
    assert pool.ended == [End(1, 101)]
    assert pool.workers.counts() == (0, 0)


async def test_a_worker_that_ended_while_it_was_idle_costs_nobody(pool: Pool, autojump_clock: trio.testing.MockClock) -> None:
    pool.add().close()
    other = pool.add()
    async with calling(pool) as results:
        await answer(other)
    assert isinstance(results[0], Answer)
    assert pool.ended == [End(1, 101)]


async def test_a4_nothing_is_sent_to_a_worker_after_its_last_answer(pool: Pool, autojump_clock: trio.testing.MockClock) -> None:
    first = pool.add()
    async with calling(pool, 2) as results:
        await answer(first, last=True)
        await trio.testing.wait_all_tasks_blocked()
        assert first.recv(1) == b"", "let go"
        assert len(results) == 1
        await answer(pool.add())
    assert all(isinstance(one, Answer) for one in results)
    assert pool.ended == []


async def test_calls_wait_for_a_worker_in_their_order(pool: Pool, autojump_clock: trio.testing.MockClock) -> None:
    order: list[int] = []

    async def ask(number: int) -> None:
        await pool.workers.call(CALL)
        order.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(ask, number)
            await trio.testing.wait_all_tasks_blocked()
        other = pool.add()
        for _ in range(3):
            await answer(other)
            await trio.testing.wait_all_tasks_blocked()
    assert order == [0, 1, 2]


async def test_a_call_cancelled_while_it_waits_takes_no_worker(pool: Pool, autojump_clock: trio.testing.MockClock) -> None:
    with trio.move_on_after(1):
        await pool.workers.call(CALL)
    other = pool.add()
    assert pool.workers.counts() == (1, 0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pool.workers.call, CALL)
        await answer(other)


async def test_a_call_cancelled_in_the_turn_in_which_its_worker_comes_gives_it_back(
    pool: Pool, autojump_clock: trio.testing.MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pool.workers.call, CALL)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        pool.add()
    assert pool.workers.counts() == (1, 0)
    assert pool.ended == []


async def test_a_request_that_fits_in_no_frame_is_refused_without_a_worker(pool: Pool, autojump_clock: trio.testing.MockClock) -> None:
    pool.add()
    with pytest.raises(WorkerFailed, match="fits in no frame"):
        await pool.workers.call(Call(0, b"smtp", b"alice", Secret(b"x" * 17000)))
    assert pool.workers.counts() == (1, 0)
