"""`saslauthd-py` itself as other programs meet it: the daemon as a child process, the commands beside it, a store that they made."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import saslauthd_py
from tests.interop.waiting import PATIENCE

__all__ = ["PATIENCE", "Daemon", "Site", "children_of", "environment", "front_of", "listener", "new_site", "searchable", "site_of"]

USER, GROUP = "nobody", "nogroup"
"""Whom a daemon started as root becomes, and whose the store is."""

_CONFIGURATION = """\
{listeners}
[backend.users]
type = "store"
path = "{store}"
{backend}
[[route]]
realm = "*"
backends = ["users"]

[server]
user = "{user}"
group = "{group}"

[log]
to = "stderr"

[control]
path = "{control}"

[failure]
delay = "0s"
"""


def environment(**more: str) -> dict[str, str]:
    """This process's variables, so that a child finds the same package; nothing of a service manager that may have started us."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LISTEN_", "NOTIFY_", "WATCHDOG_", "JOURNAL_"))}
    package, tests = Path(saslauthd_py.__file__).resolve().parents[1], Path(__file__).resolve().parents[2]
    return {**kept, "PYTHONPATH": f"{package}{os.pathsep}{tests}", **more}


def listener(path: Path) -> str:
    """A [[listen]] that root and the daemon's own user can ask."""
    owner = f'user = "{USER}"\ngroup = "{GROUP}"\n' if os.geteuid() == 0 else ""
    return f'[[listen]]\nprotocol = "saslauthd"\npath = "{path}"\nmode = "0600"\n{owner}'


class Daemon:
    """`saslauthd-py serve` with one configuration file; started, stopped and killed at will."""

    PROGRAM = (sys.executable, "-m", "saslauthd_py")

    def __init__(self, configuration: Path, program: Sequence[str] = PROGRAM) -> None:
        """`program` is what takes the words of the command line."""
        self.configuration = configuration
        self._program = program
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._log: list[str] = []
        self._logged = threading.Condition()

    def start(self) -> None:
        """Returns when the daemon says READY; AssertionError with its log when it ends instead."""
        notify = self.configuration.parent / "notify"
        notify.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(notify))
            notify.chmod(0o666)
            command = [*self._program, "serve", "--config", str(self.configuration)]
            variables = environment(NOTIFY_SOCKET=str(notify))
            process = subprocess.Popen(command, env=variables, cwd="/", stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            self._process = process
            self._reader = threading.Thread(target=self._read)
            self._reader.start()
            if not _ready(manager, process.pid):
                process.kill()
                self._ended()
                raise AssertionError("the daemon does not get ready:\n" + "\n".join(self.log()))

    def stop(self) -> None:
        """SIGTERM: it drains and exits 0."""
        self._signal(signal.SIGTERM)
        code = self._ended()
        assert code == 0, f"exit code {code}:\n" + "\n".join(self.log())

    def ended(self) -> int:
        """The exit code, when it has ended by itself or by somebody else's signal."""
        return self._ended()

    def hang_up(self) -> None:
        """SIGHUP, and no waiting."""
        self._signal(signal.SIGHUP)

    def kill(self) -> None:
        """SIGKILL: it leaves its socket behind."""
        self._signal(signal.SIGKILL)
        assert self._ended() == -signal.SIGKILL

    def restart(self) -> None:
        self.stop()
        self.start()

    @property
    def pid(self) -> int:
        """Of the process that was started: the monitor, where root started it."""
        assert self._process is not None
        return self._process.pid

    @property
    def front(self) -> int:
        """The process that reads what clients send."""
        return front_of(self.pid)

    @property
    def running(self) -> bool:
        return self._process is not None

    def log(self) -> list[str]:
        """Every line so far."""
        with self._logged:
            return self._log.copy()

    def wait_for_line(self, *words: str, count: int = 1) -> None:
        """Until `count` lines hold every one of `words`: a line is written some milliseconds after the answer."""
        seen = found = 0

        def enough() -> bool:
            nonlocal seen, found
            found += sum(all(word in line for word in words) for line in self._log[seen:])
            seen = len(self._log)
            return found >= count

        with self._logged:
            assert self._logged.wait_for(enough, PATIENCE), f"{found} of {count} lines with {words}:\n" + "\n".join(self._log[-50:])

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _ended(self) -> int:
        assert self._process is not None
        assert self._reader is not None
        try:
            code = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            self._reader.join()
            self._process = None
        return code

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                with self._logged:
                    self._log.append(line.rstrip("\n"))
                    self._logged.notify_all()


def front_of(daemon: int) -> int:
    """The front of a daemon that is ready: a child of the monitor, or that very process."""
    fronts = [child for child in children_of(daemon) if b"cli.front" in Path(f"/proc/{child}/cmdline").read_bytes()]
    assert len(fronts) <= 1
    return fronts[0] if fronts else daemon


def children_of(pid: int) -> set[int]:
    """Those of a process with one thread, the dead that it has not waited for yet among them."""
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


@dataclass(frozen=True, slots=True)
class Site:
    """One machine's worth of saslauthd-py below `directory`: a configuration file and the store that it names."""

    directory: Path

    @property
    def configuration(self) -> Path:
        return self.directory / "saslauthd-py.toml"

    @property
    def control(self) -> Path:
        return self.directory / "control"

    @property
    def mux(self) -> Path:
        """Where this site's own listener is, apart from those of a Postfix."""
        return self.directory / "mux"

    @property
    def store(self) -> Path:
        return self.directory / "store" / "users.db"

    def configure(self, listeners: Iterable[str], backend: str = "") -> None:
        """Write the configuration: `listeners` are [[listen]] tables, `backend` more keys of the store."""
        names = {"user": USER, "group": GROUP, "control": self.control, "store": self.store}
        text = _CONFIGURATION.format(listeners="\n".join(listeners), backend=backend, **names)
        self.configuration.write_text(text)

    def add(self, name: str, password: str | bytes, *flags: str) -> None:
        """`saslauthd-py user add`."""
        self._command("user", "add", name, *flags, password=password)

    def passwd(self, name: str, password: str | bytes) -> None:
        """`saslauthd-py user passwd`; returns with the command."""
        self._command("user", "passwd", name, password=password)

    def sql(self, statement: str) -> None:
        """Change the store behind everybody's back, as its owner: Python's sqlite3 in a process of its own."""
        program = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None); print(db.execute(sys.argv[2]).rowcount)"
        command = [sys.executable, "-c", program, str(self.store), statement]
        root = os.geteuid() == 0
        user, group, groups = (USER, GROUP, list[str]()) if root else (None, None, None)
        done = subprocess.run(
            command, user=user, group=group, extra_groups=groups, cwd="/", capture_output=True, text=True, timeout=PATIENCE, check=True
        )
        assert int(done.stdout) > 0, "nothing changed"

    @contextmanager
    def serving(self) -> Iterator[Daemon]:
        """The daemon of this site, ready; at the end it must stop as asked."""
        daemon = Daemon(self.configuration)
        daemon.start()
        try:
            yield daemon
        finally:
            if daemon.running:
                daemon.stop()

    def _command(self, *arguments: str, password: str | bytes) -> None:
        secret = password.encode() if isinstance(password, str) else password
        command = [sys.executable, "-m", "saslauthd_py", *arguments, "--password-stdin", "--config", str(self.configuration)]
        done = subprocess.run(command, env=environment(), cwd="/", input=secret, capture_output=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, done.stderr.decode(errors="replace")


@contextmanager
def searchable(below: Path | None = None) -> Iterator[Path]:
    """A directory for every user to search, below another one or where temporary files are; gone at the end."""
    with tempfile.TemporaryDirectory(prefix="saslauthd-py-", dir=below) as made:
        directory = Path(made)
        directory.chmod(0o755)
        yield directory


@contextmanager
def new_site(machine: Path | None = None) -> Iterator[Site]:
    """A site in a directory of its own, as `searchable` makes it."""
    with searchable(machine) as directory:
        yield Site(directory)


@contextmanager
def site_of(login: str) -> Iterator[Site]:
    """A site with a listener at `mux` and this one account, whose password is pw1."""
    with new_site() as site:
        site.configure([listener(site.mux)])
        site.add(login, "pw1")
        yield site


def _ready(manager: socket.socket, pid: int) -> bool:
    """Whether READY came before the daemon ended."""
    ended = os.pidfd_open(pid)
    try:
        while readable := select.select([manager.fileno(), ended], [], [], PATIENCE)[0]:
            if manager.fileno() not in readable:
                return False
            if "READY=1" in manager.recv(4096).decode().splitlines():
                return True
        return False
    finally:
        os.close(ended)
