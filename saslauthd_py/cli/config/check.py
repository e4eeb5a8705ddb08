"""`config check`: every problem at once, and what is hardly meant; with --online, what the directories say of it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import Exit
from saslauthd_py.cli.report import Fields, Record
from saslauthd_py.config.load import DEFAULT_PATH, Checked, ConfigurationError, Problem, check
from saslauthd_py.config.load.lines import Lines
from saslauthd_py.config.settings import HttpFormSettings, ImapSettings, KerberosSettings, LdapSettings

if TYPE_CHECKING:
    from saslauthd_py.app.online import Finding


def run(arguments: argparse.Namespace, _: Environment) -> Record:
    """Problems are this command's output, not its failure. ConfigurationError is raised only where the file cannot be read."""
    path = arguments.config or DEFAULT_PATH
    try:
        checked = check(path)
    except ConfigurationError as error:
        if isinstance(error.__cause__, OSError):
            raise
        return _wrong(path, error.problems)
    if problems := tuple(_unusable(path, checked)):
        return _wrong(path, problems)
    checked = replace(checked, warnings=(*checked.warnings, *_unproved(path, checked)))
    if arguments.online:
        return _online(path, checked)
    return Record(_fields(path, (), checked.warnings), (f"{path}: ok",), warnings=tuple(map(str, checked.warnings)))


def _wrong(path: str, problems: tuple[Problem, ...]) -> Record:
    return Record(_fields(path, problems, ()), tuple(map(str, problems)), Exit.CONFIGURATION)


def _unusable(path: str, checked: Checked) -> Iterator[Problem]:
    """What only whoever uses a key can tell: filters and DNs that cannot be parsed, certificates that cannot be read."""
    lines = Lines(checked.text)
    for name, backend in checked.settings.backend.items():
        if isinstance(backend, LdapSettings | ImapSettings | HttpFormSettings | KerberosSettings):
            from saslauthd_py.app import directories, kerberos, remotes  # trio: not for a site without such a backend

            try:
                match backend:
                    case LdapSettings():
                        directories.prepared(backend)
                    case KerberosSettings():
                        kerberos.prepared(backend)
                    case _:
                        remotes.prepared(backend)
            except directories.Unusable as error:
                for key, text in error.complaints:
                    yield Problem(path, lines.of(("backend", name, key)), f"backend.{name}.{key}", text)


def _unproved(path: str, checked: Checked) -> Iterator[Problem]:
    """Keytabs that this process's user cannot use: logins are an outage then, and the daemon starts all the same."""
    lines = Lines(checked.text)
    for name, backend in checked.settings.backend.items():
        if isinstance(backend, KerberosSettings):
            from saslauthd_py.app import kerberos

            if text := kerberos.complaint(backend, kerberos.prepared(backend)):
                yield Problem(path, lines.of(("backend", name, "keytab")), f"backend.{name}.keytab", text)


def _online(path: str, checked: Checked) -> Record:
    from saslauthd_py.app.online import Outcome, tried

    found = tuple(tried(checked.settings))
    failures = [one.said for one in found if one.said.outcome is Outcome.FAIL]
    code = Exit.DONE
    if failures:
        code = Exit.UNAVAILABLE if all(said.unreachable for said in failures) else Exit.CONFIGURATION
    fields = {**_fields(path, (), checked.warnings), "ok": not failures, "online": [_found(one) for one in found]}
    last = f"{path}: ok" if not failures else f"{path}: see what failed above"
    if not found:
        last = f"{path}: ok; there is no backend to try online"
    return Record(fields, (*map(str, found), last), code, tuple(map(str, checked.warnings)))


def _fields(path: str, problems: tuple[Problem, ...], warnings: tuple[Problem, ...]) -> Fields:
    told = {"problems": [_problem(one) for one in problems], "warnings": [_problem(one) for one in warnings]}
    return {"file": path, "ok": not problems, **told}


def _problem(problem: Problem) -> Fields:
    return {"line": problem.line, "path": problem.path, "text": problem.text}


def _found(finding: Finding) -> Fields:
    said = finding.said
    return {
        "backend": finding.backend,
        "server": finding.server,
        "step": said.step,
        "outcome": said.outcome.value,
        "text": said.text,
        "unreachable": said.unreachable,
    }
