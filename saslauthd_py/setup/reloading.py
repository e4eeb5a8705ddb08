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
    """The first process of a mail server: that of its `pid_file`, where it has one of `names`; else the first of those names.

    Without `names` the file alone counts. `configurations`: what its -C may say; empty text: it has none.
    """

    pid_file: str = ""
    names: tuple[str, ...] = ()
    configurations: tuple[str, ...] = ("",)

    def find(self) -> int | None:
        """Its process id; None: it does not run."""
        with suppress(OSError, ValueError):
            pid = int(Path(self.pid_file).read_text()) if self.pid_file else 0
            if pid > 0:
                os.kill(pid, 0)
                found = processes.process(pid)
                if not self.names or (found is not None and found.name in self.names):
                    return pid
        return self._by_name() if self.names else None

    def _by_name(self) -> int | None:
        found = {one.pid: one for one in processes.running(*self.names) if _configuration(one.arguments) in self.configurations}
        return next((one.pid for one in found.values() if one.parent not in found), None)

    def __str__(self) -> str:
        if not self.names:
            return f"process of {self.pid_file}"
        flag = f" -C {self.configurations[0]}" if self.configurations[0] else ""
        return f"process {' or '.join(self.names)}{flag}"


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


def _configuration(arguments: tuple[str, ...]) -> str:
    return arguments[arguments.index("-C") + 1] if "-C" in arguments[:-1] else ""


def _children(pid: int | None) -> frozenset[int]:
    with suppress(OSError):
        return frozenset(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    return frozenset()
