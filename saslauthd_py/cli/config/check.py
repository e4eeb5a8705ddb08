"""`config check`: every problem at once, and what is hardly meant."""

from __future__ import annotations

import argparse

from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import Exit
from saslauthd_py.cli.report import Fields, Record
from saslauthd_py.config.load import DEFAULT_PATH, ConfigurationError, Problem, check


def run(arguments: argparse.Namespace, _: Environment) -> Record:
    """Problems are this command's output, not its failure. ConfigurationError is raised only where the file cannot be read."""
    path = arguments.config or DEFAULT_PATH
    try:
        warnings = check(path).warnings
    except ConfigurationError as error:
        if isinstance(error.__cause__, OSError):
            raise
        fields = _fields(path, error.problems, ())
        return Record(fields, tuple(map(str, error.problems)), Exit.CONFIGURATION)
    return Record(_fields(path, (), warnings), (f"{path}: ok",), warnings=tuple(map(str, warnings)))


def _fields(path: str, problems: tuple[Problem, ...], warnings: tuple[Problem, ...]) -> Fields:
    told = {"problems": [_problem(one) for one in problems], "warnings": [_problem(one) for one in warnings]}
    return {"file": path, "ok": not problems, **told}


def _problem(problem: Problem) -> Fields:
    return {"line": problem.line, "path": problem.path, "text": problem.text}
