"""A machine's own PAM stacks, accounts and syslog for one program: a private mount namespace over a directory. Nothing in /etc changes."""

from __future__ import annotations

import functools
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from saslauthd_py import passwords
from saslauthd_py.secret import Secret
from saslauthd_py.wire.monitor import Answer, Call, decode, encode
from tests.interop.daemon import environment
from tests.interop.waiting import PATIENCE, until

MODULES = Path(__file__).parent / "pam_modules"
STACKS = Path(__file__).parents[2] / "conf" / "pam.d"
UNIX = "auth required pam_unix.so\naccount required pam_unix.so\n"
FIRST_UID = 60000

_ENTER = """\
set -e
mount --make-rprivate / 2>/dev/null || true  # not in a chroot whose / is no mount point: there nothing is shared to begin with
cd "$0"
mount --bind pam.d /etc/pam.d
for file in passwd shadow security/faillock.conf; do mount --bind "etc/$file" "/etc/$file"; done
mount -t tmpfs none dev
for node in null zero full random urandom tty; do : >dev/$node; mount --bind /dev/$node dev/$node; done
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/2 dev/stderr
mkdir dev/shm
ln -s "$0/log" dev/log
mount --rbind dev /dev
cd /
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class Dates:
    """The fields of shadow(5) after the password, as they are written: days since 1970."""

    changed: int | str = 19000
    maximum: int | str = 99999
    inactive: int | str = ""
    expires: int | str = ""


NO_DATES = Dates()


@dataclass(slots=True)
class PamMachine:
    """Files that programs started with `prefix` see in /etc; they may change while one runs."""

    directory: Path
    _passwd: dict[str, str] = field(default_factory=dict)
    _shadow: dict[str, str] = field(default_factory=dict)
    _log: list[str] = field(default_factory=list)

    @property
    def prefix(self) -> list[str]:
        """What to put before the words of a command. The process keeps its pid, its descriptors and its variables."""
        return ["unshare", "--mount", "--propagation", "unchanged", "sh", "-c", _ENTER, str(self.directory)]

    def service(self, name: str, stack: str) -> None:
        """The whole of /etc/pam.d/NAME."""
        (self.directory / "pam.d" / name).write_text(stack)

    def account(self, name: str, stored: str, dates: Dates = NO_DATES, *, shadowed: bool = True, uid: int | None = None) -> None:
        """A line in passwd, and one in shadow where it is `shadowed`, in place of those of before. `stored`: the hash, or what is there."""
        uid = FIRST_UID + len(self._passwd) if uid is None else uid
        self._passwd[name] = f"{name}:{'x' if shadowed else stored}:{uid}:65534::/nonexistent:/usr/sbin/nologin"
        self._shadow[name] = f"{name}:{stored}:{dates.changed}:0:{dates.maximum}:7:{dates.inactive}:{dates.expires}:" if shadowed else ""
        self._write()

    def forget_shadow(self, name: str) -> None:
        """The account's line in passwd goes on saying that there is one."""
        self._shadow[name] = ""
        self._write()

    def logged(self, *words: str, count: int) -> None:
        """Wait until `count` lines in the syslog hold every one of `words`."""
        found = 0

        def enough() -> bool:
            nonlocal found
            found = sum(all(word in line for word in words) for line in self._log)
            return found >= count

        until(enough, f"{count} lines with {words} in the syslog")
        assert found == count, self._log

    @contextmanager
    def asking(self, **settings: object) -> Iterator[Callable[..., Answer]]:
        """One process that makes calls as a worker does, in this machine. `settings` are the keys of the backend."""
        command = [*self.prefix, sys.executable, "-m", "tests.interop.pam_calls", json.dumps(settings)]
        process = subprocess.Popen(command, env=environment(), cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

        def ask(login: str, secret: str | bytes, service: str = "smtp", address: str = "") -> Answer:
            assert process.stdin is not None
            assert process.stdout is not None
            presented = Secret(secret.encode() if isinstance(secret, str) else secret)
            process.stdin.write(encode(Call(7, service.encode(), login.encode(), presented, address.encode())).hex() + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
            assert line, "the process that makes the calls has ended"
            answer = decode(bytes.fromhex(line))
            assert isinstance(answer, Answer)
            assert answer.id == 7
            return answer

        watch = threading.Timer(2 * PATIENCE, process.kill)
        watch.start()
        try:
            with process:
                yield ask
        finally:
            watch.cancel()

    def furnish(self) -> None:
        """A new machine: no service but `other`, and the accounts of the one that it is in."""
        self.directory.chmod(0o755)
        for name in ("pam.d", "etc", "etc/security", "dev", "faillock"):
            (self.directory / name).mkdir(mode=0o755)
        (self.directory / "etc" / "shadow").touch(mode=0o600)
        (self.directory / "etc" / "security" / "faillock.conf").write_text(
            f"dir = {self.directory}/faillock\ndeny = 3\nunlock_time = 600\n"
        )
        self.service("other", "auth required pam_deny.so\naccount required pam_deny.so\n")
        self._write()

    def listen(self, log: socket.socket) -> None:
        """Until the socket is shut down."""
        while line := log.recv(8192):
            self._log.append(line.decode(errors="replace"))

    def _write(self) -> None:
        """In place: a mount goes by the file, not by its name."""
        for name, own in (("passwd", self._passwd), ("shadow", self._shadow)):
            system = [line for line in Path("/etc", name).read_text().splitlines() if line.partition(":")[0] not in own]
            (self.directory / "etc" / name).write_text("".join(f"{line}\n" for line in (*system, *own.values()) if line))


@contextmanager
def pam_machine(below: Path) -> Iterator[PamMachine]:
    """A new one in a directory below `below`, which every user can search; gone at the end. Its accounts are those of this machine."""
    with tempfile.TemporaryDirectory(prefix="pam-", dir=below) as directory, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        machine = PamMachine(Path(directory))
        machine.furnish()
        log.bind(f"{directory}/log")
        os.chmod(f"{directory}/log", 0o666)  # noqa: S103 - as /dev/log is
        listener = threading.Thread(target=machine.listen, args=(log,), name="syslog")
        listener.start()
        try:
            yield machine
        finally:
            log.shutdown(socket.SHUT_RD)
            listener.join()


def module(name: str, into: Path) -> Path:
    """A module of tests/interop/pam_modules, compiled into that directory unless it is there already; stacks name it by its path."""
    built = into / f"{name}.so"
    if not built.exists():
        command = ["cc", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o", str(built), str(MODULES / f"{name}.c"), "-lpam"]
        subprocess.run(command, timeout=PATIENCE, check=True)
    return built


@functools.cache
def hashed(password: str, scheme: str = "sha512crypt") -> str:
    """A hash for /etc/shadow."""
    return passwords.make(scheme, Secret(password.encode())).text
