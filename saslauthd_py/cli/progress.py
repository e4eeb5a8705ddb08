"""How far an import is: a bar at a terminal, a line now and then elsewhere, nothing for a program that reads JSON."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.render import complain

if TYPE_CHECKING:
    from tqdm import tqdm

    from saslauthd_py.transfer.importing import Progress

_EVERY = 10.0
"""Seconds between two lines."""

_MB = 1e6


@contextmanager
def shown(environment: Environment, size: int, *, as_json: bool) -> Iterator[Progress]:
    """Of a file of `size` bytes, 0: nobody knows; on standard error. What it needs is imported when the block begins."""
    if as_json:
        yield _Silent()
    elif environment.stderr.isatty():
        from tqdm import tqdm  # not for a command that no person looks at

        tqdm.monitor_interval = 0  # no thread: processes are forked
        bar = tqdm(total=size or None, desc="reading", unit="B", unit_scale=True, file=environment.stderr, leave=False, dynamic_ncols=True)
        with bar:
            yield _Bar(bar)
    else:
        yield _Lines(environment, size)


class _Silent:
    def read(self, size: int) -> None:
        """Nobody looks."""

    def writing(self) -> None:
        """Nobody looks."""


class _Bar:
    def __init__(self, bar: tqdm[Any]) -> None:
        self._bar = bar

    def read(self, size: int) -> None:
        self._bar.update(size)

    def writing(self) -> None:
        self._bar.set_description("writing")


class _Lines:
    def __init__(self, environment: Environment, size: int) -> None:
        self._stderr = environment.stderr
        self._size = size
        self._done = 0
        self._next = time.monotonic() + _EVERY

    def read(self, size: int) -> None:
        self._done += size
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY
            part = f"{min(100 * self._done // self._size, 100)} % of the file" if self._size else f"{self._done / _MB:.1f} MB"
            complain(self._stderr, [f"read {part}"])

    def writing(self) -> None:
        """It takes seconds, no more."""
