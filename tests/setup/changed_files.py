"""A small machine to be changed: a daemon's configuration, a mail server's files, and a change of every kind to them."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from saslauthd_py.mta.smtp import Tried
from saslauthd_py.secret import Secret
from saslauthd_py.setup import applying, reloading, undoing
from saslauthd_py.setup.account import Account
from saslauthd_py.setup.applying import Proof, apply
from saslauthd_py.setup.journal import Change, Journal
from saslauthd_py.setup.proving import Door, Proved, Unproved
from saslauthd_py.setup.reloading import Master, Reload
from saslauthd_py.setup.steps import MadeDirectory, Step, written

_ALTERING = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.chown", "os.setxattr", "shutil.rmtree"}
PROOF = Proof((Door("a port", lambda *_: Tried("AUTH", 235, "yes")),), lambda: None, Account("nobody", Secret(b"")))


@dataclass(frozen=True)
class Machine:
    """`tree` has all files, `state` is where records go."""

    tree: Path
    state: Path

    @property
    def record(self) -> Journal:
        return Journal(str(self.state), "server")

    def change(self) -> Change:
        steps = (
            MadeDirectory(str(self.tree / "sasl")),
            self.step("sasl/smtpd.conf", b"pwcheck_method: saslauthd\n"),
            self.step("main.cf", b"a = 2\n"),
            self.step("link.cf", b"l = 2\n"),
        )
        master = Master(str(self.state / "master.pid"))
        return Change((self.step("ours.toml", b"x = 1\n[[listen]]\n"),), steps, Reload((), master), "no control", None)

    def step(self, name: str, content: bytes) -> Step:
        found = written(str(self.tree / name), content)
        assert found is not None
        return found

    def seen(self) -> dict[str, tuple[object, ...]]:
        """Everything in the tree that a change could touch."""
        found: dict[str, tuple[object, ...]] = {}
        for path in sorted(self.tree.rglob("*")):
            state = path.lstat()
            content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
            found[str(path.relative_to(self.tree))] = (content, state.st_mode, state.st_uid, state.st_gid)
        return found


def new_machine(directory: Path) -> Machine:
    machine = Machine(directory / "tree", directory / "state")
    (machine.tree / "elsewhere").mkdir(parents=True)
    machine.state.mkdir(mode=0o700)
    for name, content, mode in (("main.cf", "a = 1\n", 0o644), ("ours.toml", "x = 1\n", 0o640), ("elsewhere/real.cf", "l = 1", 0o600)):
        (machine.tree / name).write_text(content)
        (machine.tree / name).chmod(mode)
    if os.geteuid() == 0:
        os.chown(machine.tree / "ours.toml", 0, 12)
        os.chown(machine.tree / "elsewhere" / "real.cf", 33, 12)
    (machine.tree / "link.cf").symlink_to("elsewhere/real.cf")
    return machine


def holds(*_: object) -> tuple[Proved, ...]:
    """A proof."""
    return (Proved("a port", 0.1),)


def fails(*_: object) -> tuple[Proved, ...]:
    raise Unproved("a port: 535 no")


def applied(machine: Machine, monkeypatch: pytest.MonkeyPatch, prove: Callable[..., tuple[Proved, ...]] = holds) -> None:
    """`apply` with a daemon and a mail server that take everything."""
    stand_in(monkeypatch)
    monkeypatch.setattr(applying, "prove", prove)
    (machine.state / "master.pid").write_text(f"{os.getpid()}\n")
    apply(machine.change(), PROOF, machine.record)
    (machine.state / "master.pid").unlink()


def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the daemon's control socket, and a mail server without clients: this process has children of its own."""
    monkeypatch.setattr(reloading, "_children", lambda _: frozenset())
    for module in (applying, undoing):
        monkeypatch.setattr(module.client, "reload", lambda *_: ())
        monkeypatch.setattr(module.client, "status", lambda *_: {})


def killed(work: Callable[[], object], number: int) -> bool:
    """`work` in a process that is killed just before it alters the file system for the `number`th time; False: it came to its end."""
    pid = os.fork()
    if pid == 0:
        try:
            _kill_before(number)
            work()
        except Unproved:
            pass
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.waitstatus_to_exitcode(status) == 0
    return False


def _kill_before(number: int) -> None:
    seen = 0

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        opened_to_write = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if event in _ALTERING or opened_to_write:
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(audit)
