"""A systemd of its own: process 1 of private namespaces, with the project's units and, of this machine's, those that Debian makes of
/etc/init.d, all of them stopped. Nothing outside changes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import saslauthd_py
from tests.interop.waiting import PATIENCE, until

UNITS = Path(__file__).parents[2] / "packaging" / "systemd"
BOTH = ("saslauthd-py.service", "saslauthd-py-monitor.service")
SYSTEMD = "/usr/lib/systemd/systemd"

_TARGETS = ("basic", "multi-user", "network-online", "nss-user-lookup", "shutdown", "sockets", "sysinit")

_ENTER = """\
set -e
echo $$ >"$1/cgroup.procs"
exec unshare --mount --propagation private --pid --fork --kill-child --mount-proc --ipc --uts --net --cgroup sh -ec '
mount -t tmpfs -o mode=755 tmpfs "$0/over"
mkdir "$0/over/etc" "$0/over/work"
mount -t overlay -o "lowerdir=/etc,upperdir=$0/over/etc,workdir=$0/over/work" overlay /etc
for place in /dev/shm /etc/systemd/system /run /var/backups /var/lib /var/log /var/spool /usr/local/sbin /sys/fs/cgroup; do
    mount -t tmpfs -o mode=755 tmpfs $place
done
chmod 1777 /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount --make-rshared /
mkdir /run/systemd /run/systemd/system
cp "$0/saslauthd-py" /usr/local/sbin/
systemd-sysusers "$0/units/saslauthd-py.sysusers"
python3 -c "import fcntl, socket, struct; fcntl.ioctl(socket.socket(), 0x8914, struct.pack(\\"16sh22x\\", b\\"lo\\", 0x49))"
export container=test SYSTEMD_GENERATOR_PATH="$0/generators"
export SYSTEMD_UNIT_PATH="/etc/systemd/system:$0/units:/run/systemd/generator.late"
exec SYSTEMD --system --unit=basic.target --log-target=console --log-level=info --show-status=no
' "$2"
""".replace("SYSTEMD --", f"{SYSTEMD} --")


class NoSystemd(Exception):
    """No systemd can be process 1 here; why, as it said itself."""


@dataclass(frozen=True, slots=True)
class SystemdMachine:
    """`directory` is the same inside and outside; `pid` is its process 1, as seen from outside."""

    directory: Path
    pid: int

    @property
    def root(self) -> Path:
        """Its `/`, from outside."""
        return Path(f"/proc/{self.pid}/root")

    def run(self, *command: str, check: bool = True, secret: str = "") -> subprocess.CompletedProcess[str]:
        """A command of root's inside."""
        enter = ["nsenter", "--target", str(self.pid), "--mount", "--pid", "--net", "--"]
        done = subprocess.run([*enter, *command], input=secret, capture_output=True, text=True, timeout=3 * PATIENCE, check=False, cwd="/")
        assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}\n" + self.told()
        return done

    def systemctl(self, *words: str, check: bool = True) -> str:
        """What `systemctl` says."""
        return self.run("systemctl", *words, check=check).stdout

    def shown(self, unit: str, *properties: str) -> dict[str, str]:
        """`systemctl show`."""
        lines = self.systemctl("show", unit, *(f"--property={name}" for name in properties)).splitlines()
        return dict(line.split("=", 1) for line in lines)

    def states(self) -> tuple[str, str]:
        """ActiveState of front and monitor."""
        return self._both("ActiveState")

    def pids(self) -> tuple[str, str]:
        """Of the main processes of front and monitor where both are active, as seen inside; else nobody's."""
        return self._both("MainPID") if self.states() == ("active", "active") == self.states() else ("0", "0")

    def _both(self, name: str) -> tuple[str, str]:
        front, monitor = self.systemctl("show", *BOTH, f"--property={name}", "--value").split()
        return front, monitor

    def main_pid(self, unit: str) -> int:
        """The unit's main process, as seen inside."""
        return int(self.shown(unit, "MainPID")["MainPID"])

    def status(self, unit: str) -> dict[str, str]:
        """/proc/PID/status of the unit's main process."""
        return status_of((self.root / "proc" / str(self.main_pid(unit)) / "status").read_text())

    def log(self, unit: str = BOTH[0]) -> list[str]:
        """What the unit has said."""
        with suppress(FileNotFoundError):
            return (self.directory / f"{unit}.log").read_text().splitlines()
        return []

    def told(self) -> str:
        """Everything that anybody said, for a test that fails."""
        return "\n".join((self.directory / "console").read_text().splitlines()[-30:] + [line for unit in BOTH for line in self.log(unit)])

    def unit(self, name: str, text: str) -> None:
        """Put a unit, or a drop-in (UNIT.d/NAME), in its place."""
        file = self.directory / "units" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        self.systemctl("daemon-reload")


def status_of(text: str) -> dict[str, str]:
    """/proc/PID/status by its fields."""
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


@contextmanager
def systemd_machine() -> Iterator[SystemdMachine]:
    """Booted, with both units loaded and stopped. NoSystemd: none can be process 1 of namespaces here."""
    directory = Path(tempfile.mkdtemp(prefix="saslauthd-py-systemd-", dir="/tmp"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory)
        group = _cgroups() / directory.name
        group.mkdir()
        stack.callback(until, lambda: _removed(group), "the end of all that ran inside")
        _furnish(directory)
        console = stack.enter_context((directory / "console").open("wb"))
        command = ["sh", "-c", _ENTER, "enter", str(group), str(directory)]
        process = stack.enter_context(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=console, cwd="/"))
        stack.callback(process.kill)  # unshare: process 1 inside goes with it, and with that one everything in there
        yield _booted(directory, process)


def _booted(directory: Path, process: subprocess.Popen[bytes]) -> SystemdMachine:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")

    def init() -> int:
        try:
            words = children.read_text().split()
            return int(words[0]) if words and Path(f"/proc/{words[0]}/comm").read_text() == "systemd\n" else 0
        except FileNotFoundError:
            return 0

    def booted() -> bool:
        return process.poll() is not None or (init() != 0 and Path("/proc", str(init()), "root", "run/systemd/private").exists())

    until(booted, "systemd's own socket")
    if process.poll() is not None:
        raise NoSystemd((directory / "console").read_text())
    return SystemdMachine(directory, init())


def _furnish(directory: Path) -> None:
    """What it shall find: the units, where their logs go, and the command in a place where systemd looks for it."""
    directory.chmod(0o755)
    (directory / "over").mkdir()
    units = directory / "units"
    shutil.copytree(UNITS, units)
    for unit in BOTH:
        (units / f"{unit}.d").mkdir()
        log = directory / f"{unit}.log"
        (units / f"{unit}.d" / "log.conf").write_text(f"[Service]\nStandardOutput=append:{log}\nStandardError=append:{log}\n")
    (directory / "generators").mkdir()
    (directory / "generators" / "sysv").symlink_to(f"{SYSTEMD.removesuffix('systemd')}system-generators/systemd-sysv-generator")
    for target in _TARGETS:
        (units / f"{target}.target").write_text("[Unit]\nDefaultDependencies=no\n")
    package = Path(saslauthd_py.__file__).resolve().parents[1]
    command = directory / "saslauthd-py"
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{package}" exec "{sys.executable}" -P -m saslauthd_py "$@"\n')
    command.chmod(0o755)


def _cgroups() -> Path:
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, options, *_ = line.split()
        if kind == "cgroup2" and "rw" in options.split(","):
            return Path(where)
    raise NoSystemd("no cgroup2 that can be written")


def _removed(group: Path) -> bool:
    try:
        for place, _, _ in os.walk(group, topdown=False):
            os.rmdir(place)
    except OSError:  # EBUSY: what was killed has not ended yet
        return False
    return True
