"""Servers of tests. Each leads a session of its own, so it is frozen, thawed and ended by its number, with every process that it has."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.interop.waiting import PATIENCE, until


class Server:
    """A program that serves until it is told to end. It can stop and come back, and freeze. `patience`: seconds for ending by itself."""

    patience = PATIENCE

    def __init__(
        self,
        command: Sequence[str],
        answers: Callable[[], bool],
        logs: Sequence[Path],
        variables: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        """`answers`: whether it is ready. `logs`: the files that tell of it; what it prints goes to the first.

        `variables`: all that it has; default: ours. `user`: whom it is from the start, in that user's group alone; default: as we are.
        """
        self._command = command
        self._answers = answers
        self._logs = logs
        self._variables = variables
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """The program's."""
        return Path(self._command[0]).name

    @property
    def running(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int:
        """Of the process that was started."""
        return self._running().pid

    def start(self) -> None:
        """Returns when it answers, as ever; AssertionError with its log when it ends instead, or does not answer."""
        assert self._process is None, "it runs already"
        process = self._launched()
        try:
            until(lambda: process.poll() is not None or self._answers(), f"{self.name} answers")
            assert process.poll() is None, f"{self.name} ends with {process.returncode}:\n{self.log()}"
        except BaseException:
            _kill(process)
            raise
        self._process = process

    def stop(self) -> int:
        """SIGTERM, also to a frozen one. Its exit code; nothing is left of it, its connections are closed, and a new one is refused.

        AssertionError: it had ended before, or does not end.
        """
        process, self._process = self._running(), None
        crashed = process.poll() is not None
        if not crashed:
            os.killpg(process.pid, signal.SIGCONT)
            process.terminate()
        in_time = crashed or _has_ended(process.pid, self.patience)
        code = _kill(process)
        assert in_time, f"{self.name} does not end:\n{self.log()}"
        assert not crashed, f"{self.name} ended with {code}:\n{self.log()}"
        return code

    def kill(self) -> None:
        """SIGKILL to all its processes."""
        process, self._process = self._running(), None
        _kill(process)

    def restart(self) -> None:
        self.stop()
        self.start()

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Started; stopped at the end of the block, if it runs then."""
        self.start()
        try:
            yield
        finally:
            if self.running:
                self.stop()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """All its processes: the kernel takes connections and bytes for it, and nobody answers. Until the end of the block.

        Then it answers everything that has come meanwhile. It may be stopped before.
        """
        process = self._running()
        os.killpg(process.pid, signal.SIGSTOP)
        try:
            for pid in _group(process.pid):
                _wait_until_still(pid)
            yield
        finally:
            if self._process is process:
                os.killpg(process.pid, signal.SIGCONT)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Until the end of the block, or until it is started."""
        self.stop()
        try:
            yield
        finally:
            if not self.running:
                self.start()

    def log(self) -> str:
        """What it has written so far."""
        return "".join(path.read_text(errors="replace") for path in self._logs if path.exists())

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it is stopped"
        return self._process

    def _launched(self) -> subprocess.Popen[bytes]:
        with self._logs[0].open("ab") as out:
            return subprocess.Popen(
                self._command,
                env=self._variables,
                user=self._user,
                group=self._user,
                extra_groups=[] if self._user else None,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """These processes stand still, without others that they have started, until the end of the block."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        for pid in pids:
            _wait_until_still(pid)
        yield
    finally:
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)


def _kill(process: subprocess.Popen[bytes]) -> int:
    """All that is left of it, which is gone then. Its exit code."""
    others = [pid for pid in _group(process.pid) if pid != process.pid]
    with suppress(ProcessLookupError):  # it has been waited for, and has left nothing
        os.killpg(process.pid, signal.SIGKILL)
    for pid in others:
        assert _has_ended(pid), f"process {pid} outlives SIGKILL"
    return process.wait(PATIENCE)


def _has_ended(pid: int, seconds: float = PATIENCE) -> bool:
    """Whether it has after so many seconds at the latest. If it is a child, nobody has waited for it yet."""
    try:
        end = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([end], [], [], seconds)[0])
    finally:
        os.close(end)


def _group(leader: int) -> list[int]:
    """The processes of its group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            _state, _parent, group = _words(stat)[:3]
            if int(group) == leader:
                found.append(int(stat.parent.name))
    return found


def _wait_until_still(pid: int) -> None:
    """Until none of its threads goes on: one on another core does for a moment."""
    try:
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    except ChildProcessError:  # not ours, so no event tells
        until(lambda: _is_still(pid), f"process {pid} stands still")


def _is_still(pid: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return all(_words(task / "stat")[0] in {"T", "Z"} for task in Path(f"/proc/{pid}/task").iterdir())
    return True


def _words(stat: Path) -> list[str]:
    """The fields of proc(5) behind the name, which may hold anything."""
    return stat.read_text().rpartition(") ")[2].split()
