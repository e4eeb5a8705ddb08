"""Programs that change something: run without a shell and without input, and waited for."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from saslauthd_py.mta import programs

SECONDS = 60.0
"""`postfix reload` alone takes 2 s where main.cf is fresh."""

_LONGEST = 600
_VARIABLES = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin", "LC_ALL": "C"}


class ProgramFailed(Exception):
    """A program did not do its part. Its text is one line: the command, and what it said; `code` its exit code, None: it has none."""

    def __init__(self, line: str, code: int | None = None) -> None:
        super().__init__(line)
        self.code = code


def run(command: Sequence[str], given: bytes = b"", keeping: tuple[int, ...] = ()) -> None:
    """Run it to its end, with `given` as its input and these descriptors left to it. Raises ProgramFailed."""
    words = shlex.join(command)
    program = programs.find(command[0])
    if program is None:
        raise ProgramFailed(f"`{words}`: there is no such program")
    try:
        done = subprocess.run(  # noqa: S603 - the system's own programs, and ours
            (program, *command[1:]),
            env=_VARIABLES,
            cwd="/",
            input=given,
            capture_output=True,
            timeout=SECONDS,
            check=False,
            pass_fds=keeping,
        )
    except subprocess.TimeoutExpired:
        raise ProgramFailed(f"`{words}` does not end within {SECONDS:g} s") from None
    except OSError as error:
        raise ProgramFailed(f"`{words}`: {(error.strerror or str(error)).lower()}") from None
    _judge(words, done.returncode, done.stderr or done.stdout)


@contextmanager
def at_the_end(command: Sequence[str], fine: tuple[int, ...] = ()) -> Iterator[int]:
    """Have our own program `command`, which has to wait for the end of its input, run when the block ends.

    So it does where this process is killed: then when nobody is left who keeps the descriptor that is given. Raises ProgramFailed,
    but not for the exit codes in `fine`.
    """
    words = shlex.join(command)
    reading, writing = os.pipe()
    try:
        waiting = subprocess.Popen(  # noqa: S603 - as above
            command,
            env=_VARIABLES,
            cwd="/",
            stdin=reading,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # out of reach of the terminal's Ctrl-C
        )
    except OSError as error:
        os.close(writing)
        raise ProgramFailed(f"`{words}`: {(error.strerror or str(error)).lower()}") from None
    finally:
        os.close(reading)
    try:
        yield writing
    finally:
        os.close(writing)
        try:
            output, _ = waiting.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            raise ProgramFailed(f"`{words}` does not end within {SECONDS:g} s") from None
        _judge(words, 0 if waiting.returncode in fine else waiting.returncode, output)


def _judge(words: str, code: int, output: bytes) -> None:
    if code:
        said = " ".join(output.decode(errors="backslashreplace").split())
        raise ProgramFailed(f"`{words}`: {said[:_LONGEST] or f'exit code {code}'}", code)
