"""Pieces converted by as many processes as cores: to read an account takes longer than to store it, and a hash much longer."""

from __future__ import annotations

import multiprocessing.popen_fork
import multiprocessing.synchronize  # both would be imported later, by a user who may not be able to read where they lie
import os
import signal
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from saslauthd_py import privileges
from saslauthd_py.transfer.converting import Converted, Converter, Task
from saslauthd_py.transfer.formats import BadFile, Block

_SEMAPHORES = "/dev/shm"  # noqa: S108 - where sem_open(3) keeps what processes wait on
_AHEAD = 2
"""Tasks a process that wait or are worked on."""


class Converters:
    """The processes, each a fork of this one."""

    def __init__(self, pool: ProcessPoolExecutor, count: int) -> None:
        self._pool = pool
        self._most = count * _AHEAD

    def convert(self, blocks: Iterator[Block]) -> Iterator[Converted]:
        """All of the blocks, in no order. Raises BadFile where a process was killed."""
        left: list[Task] = []
        running: dict[Future[Converted], Task] = {}
        try:
            while True:
                while len(running) < self._most and (task := left.pop() if left else _next(blocks)):
                    running[self._pool.submit(_convert, task)] = task
                if not running:
                    return
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    task, found = running.pop(done), done.result()
                    left.extend(_shared(task, found))
                    yield found
        except BrokenProcessPool:
            raise BadFile("a process that read the file was killed: is memory short? Nothing was imported") from None


@contextmanager
def started(converter: Converter, count: int | None = None) -> Iterator[Converters]:
    """Processes, as many as cores, that do what `converter` does. To be started before a store is open, and by one thread alone.

    Raises OSError.
    """
    count = count or os.cpu_count() or 1
    try:
        pool = ProcessPoolExecutor(count, multiprocessing.get_context("fork"), _begin, (converter, os.getpid()))
    except OSError as error:  # of a semaphore, which has no name
        raise type(error)(error.errno, error.strerror, _SEMAPHORES) from None
    try:
        pool.submit(os.getpid).result()  # forks all of them now
        yield Converters(pool, count)
    finally:
        pool.shutdown(cancel_futures=True)


_converter: Converter
"""Each process has one, inherited by the fork and never sent: it holds a key."""


def _begin(converter: Converter, parent: int) -> None:
    global _converter
    _converter = converter
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    privileges.die_with_parent(parent)


def _convert(task: Task) -> Converted:
    return _converter.convert(task)


def _next(blocks: Iterator[Block]) -> Task | None:
    block = next(blocks, None)
    return None if block is None else Task(block)


def _shared(task: Task, found: Converted) -> Iterator[Task]:
    """What is left of a task, in parts of as much as was done in its time: where accounts are hashed a small file keeps all cores busy."""
    end = task.start + found.taken + found.left
    for start in range(task.start + found.taken, end, max(found.taken, 1)):
        yield Task(task.block, start, min(start + found.taken, end))
