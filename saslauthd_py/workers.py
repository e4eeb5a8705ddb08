"""The front's ends of the workers: calls go to whichever is idle, one at a time each, and a worker that fails costs its own call only.

A worker is named by slot and generation. What is wrong with one is told the monitor, which alone can end it, and puts another one in
its place (rules A1, A4).
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import trio

from saslauthd_py.wire.monitor import MAX_FRAME, Answer, Call, End, Malformed, decode, encode

_NOW = socket.MSG_DONTWAIT
_NUMBERS = 1 << 32


class WorkerFailed(Exception):
    """Nobody can tell how the call would have ended. Its text is one line."""


@dataclass(frozen=True, slots=True, eq=False)
class Worker:
    """One worker: non-blocking end of its SOCK_SEQPACKET pair, and its name."""

    slot: int
    generation: int
    channel: socket.socket


@dataclass(slots=True, eq=False)
class _Turn:
    came: trio.Event = field(default_factory=trio.Event)
    worker: Worker | None = None


class Workers:
    """The workers of one backend. `end` tells the monitor that a worker is of no more use; it never waits.

    Of those that ended, `used_up` counts the ones that said so with their last answer, `failed` all others.
    """

    def __init__(self, name: str, end: Callable[[End], None]) -> None:
        self.name = name
        self.used_up = 0
        self.failed = 0
        self._end = end
        self._idle: deque[Worker] = deque()
        self._busy: set[Worker] = set()
        self._waiting: deque[_Turn] = deque()
        self._number = 0

    def add(self, worker: Worker) -> None:
        """A worker that the monitor has started, or whose call has ended; it takes the next call."""
        if self._waiting:
            turn = self._waiting.popleft()
            turn.worker = worker
            turn.came.set()
        else:
            self._idle.append(worker)

    def counts(self) -> tuple[int, int]:
        """How many are idle, and how many have a call."""
        return len(self._idle), len(self._busy)

    async def call(self, call: Call) -> Answer:
        """Have a worker make this call; its `id` is set here. Waits for one that is idle, first come first served.

        Raises WorkerFailed: the worker ended, or answered what is no answer to this call. Cancelled, or failed, it has the worker
        ended: a call cannot be taken back otherwise.
        """
        self._number = (self._number + 1) % _NUMBERS
        call = replace(call, id=self._number)
        try:
            data = encode(call)
        except Malformed as error:
            raise WorkerFailed(f"backend {self.name}: the request fits in no frame: {error}") from None
        worker = await self._send(data)
        self._busy.add(worker)
        answer: Answer | None = None
        try:
            answer = await self._receive(worker, call.id)
        finally:
            self._busy.discard(worker)
            if answer is None:
                self._discard(worker)
        if answer.last:
            self.used_up += 1
            worker.channel.close()
        else:
            self.add(worker)
        return answer

    def close(self) -> None:
        """Let go of all of them: each ends when it sees that."""
        while self._idle:
            self._idle.popleft().channel.close()

    async def _send(self, data: bytes) -> Worker:
        """Give the frame to a worker. One that has ended while it was idle costs nobody anything."""
        while True:
            worker = await self._take()
            try:
                worker.channel.send(data, _NOW)
            except OSError:
                self._discard(worker)
            else:
                return worker

    async def _take(self) -> Worker:
        if self._idle:
            return self._idle.popleft()
        turn = _Turn()
        self._waiting.append(turn)
        try:
            await turn.came.wait()
        except BaseException:
            if turn.worker is not None:  # in the same turn, after the cancellation and before it came here
                self.add(turn.worker)
            else:
                self._waiting.remove(turn)
            raise
        assert turn.worker is not None  # noqa: S101 - what `add` sets before the event
        return turn.worker

    async def _receive(self, worker: Worker, number: int) -> Answer:
        while True:
            await trio.lowlevel.wait_readable(worker.channel)
            try:
                data, _, flags, _ = worker.channel.recvmsg(MAX_FRAME, 0, _NOW)
                break
            except BlockingIOError:
                continue
            except OSError as error:
                raise WorkerFailed(f"backend {self.name}: the worker of this call is gone: {error.strerror}") from None
        if not data:
            raise WorkerFailed(f"backend {self.name}: the worker of this call ended in it (a module crashed or called exit)")
        try:
            answer = decode(data)
        except Malformed as error:
            raise WorkerFailed(f"backend {self.name}: the worker's answer is none: {error}") from None
        if not isinstance(answer, Answer) or answer.id != number or flags & socket.MSG_TRUNC:
            raise WorkerFailed(f"backend {self.name}: the worker answered something else")
        return answer

    def _discard(self, worker: Worker) -> None:
        self.failed += 1
        worker.channel.close()
        self._end(End(worker.slot, worker.generation))
