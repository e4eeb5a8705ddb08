"""The names that this program can be called by: linked as one of them, it takes that program's flags, and prints and exits as it does."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Protocol

from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import Exit, code_of, line_of
from saslauthd_py.cli.render import printable

NAMES = ("saslauthd", "testsaslauthd", "saslpasswd2", "sasldblistusers2")

FAILED = 1
"""What all of them exit with where nothing more is to be told."""


class Called(Protocol):
    """The function `run` of a name's file: the code to exit with. What `exits` knows may be raised; it is told in the program's name."""

    def __call__(self, arguments: Sequence[str], environment: Environment, /) -> int: ...


def main() -> int:
    """This process, by the name that it was called by; the code to exit with."""
    name = os.path.basename(sys.argv[0])
    if name not in NAMES:
        from saslauthd_py.cli.main import main as by_its_own_name

        return by_its_own_name()
    environment = Environment.of_process()
    try:
        return run(name, sys.argv[1:], environment)
    finally:
        for stream in (environment.stdout, environment.stderr):
            try:
                stream.flush()
            except OSError:
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def run(name: str, arguments: Sequence[str], environment: Environment) -> int:
    """What the program `name`, one of NAMES, does with these arguments."""
    command: Called = import_module(f"saslauthd_py.cli.called.{name}").run
    try:
        return command(arguments, environment)
    except (Exception, KeyboardInterrupt) as error:
        code = code_of(error)
        if code is Exit.BUG:
            environment.stderr.writelines(traceback.format_exception(error))
        for line in line_of(error).splitlines():
            environment.stderr.write(f"{name}: {printable(line)}\n")
        return Exit.INTERRUPTED if code is Exit.INTERRUPTED else FAILED
