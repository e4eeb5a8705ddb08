"""The original's programs and ours under the same names, side by side on a machine with accounts and a syslog of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import saslauthd_py
from saslauthd_py.cli.called import NAMES
from tests.interop.daemon import environment
from tests.interop.pam_machine import PamMachine
from tests.interop.waiting import PATIENCE, until

DAEMON_UID = 60500
_SCRIPT = """\
#!{python}
import sys
sys.path[:0] = {path!r}
from saslauthd_py.__main__ import main
sys.exit(main())
"""
_WITH_GROUPS = 'mount --bind "$0" /etc/group && exec "$@"'


class Outcome(NamedTuple):
    """How a program ended."""

    code: int
    out: str
    err: str


def link_all(directory: Path) -> None:
    """Our command in the directory, and a symbolic link to it for each name, as an admin makes them."""
    command = directory / "saslauthd-py"
    path = [str(Path(saslauthd_py.__file__).resolve().parents[1])]
    command.write_text(_SCRIPT.format(python=sys.executable, path=path))
    command.chmod(0o755)
    for name in NAMES:
        (directory / name).symlink_to(command)


def outcome(command: list[str], **more: str) -> Outcome:
    """Run a program to its end."""
    done = subprocess.run(
        command, env=environment(**more), cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@dataclass(slots=True)
class Machine:
    """`ours` and `original` are the paths of the two saslauthd; `prefix` brings a command onto the machine."""

    machine: PamMachine
    directory: Path
    original: str = "/usr/sbin/saslauthd"

    @property
    def ours(self) -> str:
        return str(self.directory / "saslauthd")

    @property
    def run_directory(self) -> Path:
        return self.directory / "run"

    @property
    def mux(self) -> Path:
        return self.run_directory / "mux"

    @property
    def pid_file(self) -> Path:
        return self.run_directory / "saslauthd.pid"

    @property
    def prefix(self) -> list[str]:
        return [*self.machine.prefix, "sh", "-c", _WITH_GROUPS, str(self.directory / "group")]

    def have_daemon_user(self) -> None:
        """The user and the group that the daemon becomes."""
        self.machine.account("saslauthd-py", "*", uid=DAEMON_UID)
        (self.directory / "group").write_text(Path("/etc/group").read_text() + f"saslauthd-py:x:{DAEMON_UID}:\n")

    def start(self, program: str, *flags: str) -> Outcome:
        """Until whoever starts it comes back, with the run directory of this machine."""
        return outcome([*self.prefix, program, "-m", str(self.run_directory), *flags])

    @contextmanager
    def serving(self, program: str, *flags: str) -> Iterator[int]:
        """A daemon that has detached; its pid. Told to end afterwards, it does."""
        started = self.start(program, *flags)
        assert started.code == 0, started.err
        until(self.mux.exists, "the original, which reports success earlier, listens")
        pid = int(self.pid_file.read_text())
        try:
            yield pid
        finally:
            if Path(f"/proc/{pid}").exists():
                os.kill(pid, signal.SIGTERM)
            until(lambda: not self.pid_file.exists(), "the daemon has ended")
