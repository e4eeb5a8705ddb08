"""Commands as tests run them: in this process with streams of their own, in a fork that may change its user, at a terminal."""

from __future__ import annotations

import io
import os
import pty
import select
import signal
import tempfile
import termios
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.main import find, run
from saslauthd_py.cli.parser import build

for parser in build().walk():
    find(parser.name)  # imported here once, not in every fork

NO_TERMINAL = "/nonexistent/tty"
PATIENCE = 20.0
"""Seconds until a command that does not do its part fails the test."""


class Outcome(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that it complains with."""
        (line,) = self.err.splitlines()
        return line.removeprefix("saslauthd-py: ")


class Screen(io.StringIO):
    """Standard output that is a terminal."""

    def isatty(self) -> bool:
        return True


def invoke(*argv: str, stdin: bytes = b"", stdout: io.StringIO | None = None) -> Outcome:
    """Run a command here. Not for those that become the store's owner: they would take the tests with them."""
    out, err = stdout or io.StringIO(), io.StringIO()
    code = run(argv, Environment(io.BytesIO(stdin), out, err, os.environ, NO_TERMINAL))
    return Outcome(code, out.getvalue(), err.getvalue())


def forked(*argv: str, stdin: bytes = b"", uid: int | None = None, screen: bool = False) -> Outcome:
    """Run a command in a child of this process, as root's or as `uid`."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:

        def child() -> int:
            os.dup2(err.fileno(), 2)  # of its own children too
            if uid is not None:
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
            shown = Screen() if screen else out
            code = run(argv, Environment(io.BytesIO(stdin), shown, err, os.environ, NO_TERMINAL))
            if isinstance(shown, Screen):
                out.write(shown.getvalue())
            out.flush()
            err.flush()
            return code

        code = in_child(child)
        out.seek(0)
        err.seek(0)
        return Outcome(code, out.read(), err.read())


class Dialogue(NamedTuple):
    """What came of a command at a terminal: all that the screen showed, and whether typing is shown again."""

    code: int
    screen: str
    echo: bool


def at_terminal(*argv: str, answers: Sequence[tuple[str, bytes]]) -> Dialogue:
    """Run a command in a child whose controlling terminal is a new one; type each answer once its question is there."""
    ours, theirs = pty.openpty()

    def child() -> int:
        os.close(ours)
        os.login_tty(os.dup(theirs))
        with open(1, "w", closefd=False) as out, open(2, "w", closefd=False) as err, open(0, "rb", closefd=False) as stdin:
            return run(argv, Environment(stdin, out, err, os.environ))

    process = _fork(child)
    try:
        screen = b""
        for question, answer in answers:
            screen += _until(ours, question)
            os.write(ours, answer)
        code = _ended(process)
        while select.select([ours], [], [], 0)[0]:
            screen += os.read(ours, 4096)
        echo = bool(termios.tcgetattr(theirs)[3] & termios.ECHO)
        return Dialogue(code, screen.decode(), echo)
    finally:
        os.close(ours)
        os.close(theirs)


def _until(terminal: int, question: str) -> bytes:
    seen = b""
    while question.encode() not in seen:
        assert select.select([terminal], [], [], PATIENCE)[0], f"no {question!r} after {seen!r}"
        seen += os.read(terminal, 4096)
    return seen


def in_child(child: Callable[[], int]) -> int:
    """The exit code of a fork of this process that only calls `child`."""
    return _ended(_fork(child))


def _ended(process: int) -> int:
    with open(os.pidfd_open(process), "rb") as ended:
        if not select.select([ended], [], [], PATIENCE)[0]:
            os.kill(process, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _fork(child: Callable[[], int]) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # from 3.12 on where trio has left threads: the child only runs a command
        process = os.fork()
    if process == 0:
        code = 99
        try:
            code = child()
        except BaseException:  # whatever it is, the tests must not go on twice
            traceback.print_exc()
        finally:
            os._exit(code)
    return process
