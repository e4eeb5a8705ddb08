"""From a command line to an exit code."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from keyword import iskeyword
from typing import Protocol, TextIO

from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import Exit, code_of, line_of
from saslauthd_py.cli.parser import build
from saslauthd_py.cli.render import complain, render
from saslauthd_py.cli.report import Report, Text
from saslauthd_py.cli.syntax import HelpWanted
from saslauthd_py.monitor.telling import opening

_SERVING = {("serve",), ("monitor",), ("front",)}


class Command(Protocol):
    """The function `run` of a command's file: does what was asked and returns what to print; raises what `exits` knows."""

    def __call__(self, arguments: argparse.Namespace, environment: Environment, /) -> Report: ...


def main(argv: Sequence[str] | None = None) -> int:
    """This process's command line (or `argv`); the code to exit with."""
    environment = Environment.of_process()
    try:
        return run(sys.argv[1:] if argv is None else argv, environment)
    finally:
        for stream in (environment.stdout, environment.stderr):
            _let_go(stream)


def run(argv: Sequence[str], environment: Environment) -> Exit:
    """One command in a given environment: prints its report, or one line that says what went wrong."""
    serving = False
    try:
        try:
            arguments = build().parse_args(argv)
            serving = arguments.command in _SERVING and not getattr(arguments, "check", False)
        except HelpWanted as wanted:
            render(Text(str(wanted)), environment, as_json=False)
            return Exit.DONE
        report = find(arguments.command)(arguments, environment)
        render(report, environment, as_json=getattr(arguments, "json", False))
    except (Exception, KeyboardInterrupt) as error:
        return fail(error, environment, serving=serving)
    return report.exit


def find(name: tuple[str, ...]) -> Command:
    """The command of this name. Only its own file is imported: `decode` starts without SQLite, `test --socket` without pydantic."""
    words = (f"{word}_" if iskeyword(word) else word.replace("-", "_") for word in name)
    command: Command = import_module(f"saslauthd_py.cli.{'.'.join(words)}").run
    return command


def fail(error: BaseException, environment: Environment, *, serving: bool = False) -> Exit:
    """Tell what went wrong: one line, or for a bug its traceback too. Returns the code to exit with.

    `serving`: it is a daemon's end, and nobody may be looking: the lines say when.
    """
    code = code_of(error)
    begin = opening() if serving else ""
    if code is Exit.BUG:
        with contextlib.suppress(OSError):
            environment.stderr.writelines(traceback.format_exception(error))
        complain(environment.stderr, ["this is a bug: please report it with the lines above"], begin)
    else:
        complain(environment.stderr, line_of(error).splitlines(), begin)
    return code


def _let_go(stream: TextIO) -> None:
    """Flush; where that fails, send the rest nowhere, or the interpreter would complain and exit with a code of its own."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
