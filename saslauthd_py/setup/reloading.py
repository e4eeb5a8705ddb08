"""How a running mail server takes its new configuration, and when it has."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from saslauthd_py.mta import processes
from saslauthd_py.setup import commands

_PATIENCE = 5.0
"""Seconds for the processes of before: those that wait for a client end at once, one that has a client stays, and takes no other."""


@dataclass(frozen=True, slots=True)
class Master:
    """The first process of a mail server: by its `pid_file`; where that is empty, by its name and some words of its arguments."""

    pid_file: str = ""
    names: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    def find(self) -> int | None:
        """Its process id; None: it does not run."""
        if not self.pid_file:
            return self._by_name()
        with suppress(OSError, ValueError):
            pid = int(Path(self.pid_file).read_text())
            os.kill(pid, 0)
            return pid
        return None

    def _by_name(self) -> int | None:
        wanted = set(self.words)
        found = {one.pid: one for one in processes.running(*self.names) if wanted <= set(one.arguments)}
        return next((one.pid for one in found.values() if one.parent not in found), None)

    def __str__(self) -> str:
        return f"process of {self.pid_file}" if self.pid_file else f"process {' or '.join(self.names)} {' '.join(self.words)}".rstrip()


@dataclass(frozen=True, slots=True)
class Reload:
    """`commands` in this order, then SIGHUP to the master where `hang_up` says so."""

    commands: tuple[tuple[str, ...], ...]
    master: Master
    hang_up: bool = False

    def take(self) -> None:
        """Returns when no process that began with the old configuration takes clients. Raises commands.ProgramFailed."""
        master = self.master.find()
        before = _children(master)
        for command in self.commands:
            commands.run(command)
        if self.hang_up and master is not None:
            with suppress(ProcessLookupError):
                os.kill(master, signal.SIGHUP)
        until = time.monotonic() + _PATIENCE
        while before & _children(master) and time.monotonic() < until:
            time.sleep(0.01)

    def shown(self) -> tuple[str, ...]:
        """The commands for a person."""
        pid = self.master.find()
        by_signal = (f"kill -HUP {pid}" if pid is not None else f"kill -HUP the {self.master}",) if self.hang_up else ()
        return (*(" ".join(words) for words in self.commands), *by_signal)


def _children(pid: int | None) -> frozenset[int]:
    with suppress(OSError):
        return frozenset(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    return frozenset()
