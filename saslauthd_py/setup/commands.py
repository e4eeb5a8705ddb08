"""Programs that change something: run without a shell and without input, and waited for."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence

from saslauthd_py.mta import programs

SECONDS = 60.0
"""`postfix reload` alone takes 2 s where main.cf is fresh."""

_VARIABLES = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin", "LC_ALL": "C"}


class ProgramFailed(Exception):
    """A program did not do its part. Its text is one line: the command, and what it said; `code` its exit code, None: it has none."""

    def __init__(self, line: str, code: int | None = None) -> None:
        super().__init__(line)
        self.code = code


def run(command: Sequence[str], given: bytes = b"") -> None:
    """Run it to its end, with `given` as its input. Raises ProgramFailed."""
    words = shlex.join(command)
    program = programs.find(command[0])
    if program is None:
        raise ProgramFailed(f"`{words}`: there is no such program")
    try:
        done = subprocess.run(  # noqa: S603 - the system's own programs, and ours
            (program, *command[1:]), env=_VARIABLES, cwd="/", input=given, capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise ProgramFailed(f"`{words}` does not end within {SECONDS:g} s") from None
    except OSError as error:
        raise ProgramFailed(f"`{words}`: {(error.strerror or str(error)).lower()}") from None
    if done.returncode:
        lines = (done.stderr or done.stdout).decode(errors="backslashreplace").strip().splitlines()
        raise ProgramFailed(f"`{words}`: {lines[-1][:300] if lines else f'exit code {done.returncode}'}", done.returncode)
