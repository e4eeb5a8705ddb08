"""`doctor`: why mail logins fail, and what mends it. It looks and changes nothing."""

from __future__ import annotations

import argparse

from saslauthd_py.cli import secret_input
from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.cli.report import Fields, Record, counted
from saslauthd_py.config.load import DEFAULT_PATH, ConfigurationError, load
from saslauthd_py.config.settings import Settings
from saslauthd_py.doctor import Account, Case, Finding, Outcome, examine
from saslauthd_py.mta import machine
from saslauthd_py.mta.machine import Wanted


def run(arguments: argparse.Namespace, environment: Environment) -> Record:
    """What is wrong, with anything, is this command's output. Raises CommandFailed, OSError for its own flags only."""
    path = arguments.config or DEFAULT_PATH
    settings, fault = _settings(path)
    account = _account(arguments, environment)
    wanted = Wanted(arguments.mta, arguments.postfix_config, arguments.exim_config, arguments.exim_program, arguments.imapd_conf)
    findings = examine(lambda: Case(path, settings, machine.read(wanted), account, fault))
    faults = [one for one in findings if one.said.outcome is Outcome.FAIL]
    return Record(_fields(findings), tuple(_lines(findings)), Exit.BAD_INPUT if faults else Exit.DONE)


def _settings(path: str) -> tuple[Settings | None, str]:
    try:
        return load(path), ""
    except ConfigurationError as error:
        return None, str(error.problems[0])


def _account(arguments: argparse.Namespace, environment: Environment) -> Account | None:
    if arguments.user is None:
        if arguments.password_stdin or arguments.password_file:
            raise CommandFailed(Exit.USAGE, "a password without --user: name the account that it is of")
        return None
    return Account(arguments.user, secret_input.given(arguments, environment) or secret_input.asked_once(environment, arguments.user))


def _lines(findings: tuple[Finding, ...]) -> list[str]:
    width = max(len(one.check) for one in findings)
    lines = []
    for one in findings:
        lines.append(f"{one.said.outcome.value}  {one.check:<{width}}  {one.said.cause}")
        if one.said.mend:
            lines.append(f"{'':{width + 8}}-> {one.said.mend}")
    several = [counted(many, word) for word in ("fault", "warning") if (many := _count(findings, word))]
    untried = sum(one.said.outcome is Outcome.SKIP for one in findings)
    left = f"; {untried} not tried" if untried else ""
    return [*lines, (", ".join(several) or "no fault found") + left]


def _count(findings: tuple[Finding, ...], word: str) -> int:
    wanted = Outcome.FAIL if word == "fault" else Outcome.WARN
    return sum(one.said.outcome is wanted for one in findings)


def _fields(findings: tuple[Finding, ...]) -> Fields:
    told = [{"check": one.check, "outcome": one.said.outcome.value, "cause": one.said.cause, "mend": one.said.mend} for one in findings]
    return {
        "ok": not _count(findings, "fault"),
        "faults": _count(findings, "fault"),
        "warnings": _count(findings, "warning"),
        "findings": told,
    }
