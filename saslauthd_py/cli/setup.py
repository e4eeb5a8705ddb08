"""`setup`: a mail server that is to ask the daemon. Printed; made and proved; or taken back."""

from __future__ import annotations

import argparse
import hashlib
import os
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from saslauthd_py.cli import secret_input
from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.cli.report import Fields, Json, Record
from saslauthd_py.config.load import DEFAULT_PATH, check, check_text
from saslauthd_py.mta import machine
from saslauthd_py.mta.cyrus_imap import DEFAULT_FILE
from saslauthd_py.mta.machine import Wanted
from saslauthd_py.mta.postfix import DEFAULT_DIRECTORY
from saslauthd_py.mta.programs import Unreadable
from saslauthd_py.setup import asking, cyrus_imap, exim, journal, postfix
from saslauthd_py.setup.account import Account, throw_away
from saslauthd_py.setup.applying import Interrupted, NotReady, Proof, RolledBack, apply
from saslauthd_py.setup.journal import Change, JournalError, NothingApplied
from saslauthd_py.setup.plan import Plan
from saslauthd_py.setup.proving import Proved
from saslauthd_py.setup.site import Refused, Site
from saslauthd_py.setup.undoing import Undone, undo

_TYPES = {"postfix": ("dovecot", "cyrus"), "exim": ("dovecot",), "cyrus-imap": ("cyrus",)}
"""What each mail server can do, the default first."""

_USUAL = {"postfix": DEFAULT_DIRECTORY, "cyrus-imap": DEFAULT_FILE}
"""Where they are when no flag says so."""


def run(arguments: argparse.Namespace, environment: Environment) -> Record:
    """Raises CommandFailed, ConfigurationError, ControlError, OSError: nothing is changed then, or all of it is taken back."""
    kind = _type(arguments)
    if (arguments.apply or arguments.undo) and os.geteuid() != 0:
        raise CommandFailed(Exit.DENIED, "these files are root's: run this as root")
    if arguments.user is None and (arguments.password_stdin or arguments.password_file):
        raise CommandFailed(Exit.USAGE, "a password without --user: name the account that it is of")
    with _told():
        if arguments.undo:
            with journal.opened(arguments.state_dir, _name(arguments)) as record:
                return _undone(undo(record), record.path)
        path = arguments.config or DEFAULT_PATH
        checked = check(path)
        site = Site(path, checked.settings, checked.text)
        plan = _plan(arguments, site, kind)
        for step in plan.socket.ours:
            check_text(step.content.decode("utf-8-sig"), path)
        if not arguments.apply:
            return _printed(plan, f"{_again(arguments)} --apply")
        return _applied(arguments, environment, site, plan)


def _type(arguments: argparse.Namespace) -> str:
    possible = _TYPES[arguments.mail_server]
    if arguments.type not in (None, *possible):
        raise CommandFailed(Exit.USAGE, f"{arguments.mail_server} can be set up with --type {' or '.join(possible)} only")
    return str(arguments.type or possible[0])


def _plan(arguments: argparse.Namespace, site: Site, kind: str) -> Plan:
    here = machine.read(
        Wanted(
            arguments.mail_server,
            postfix_config=arguments.postfix_config,
            exim_config=arguments.exim_config,
            exim_program=arguments.exim_program,
            imapd_conf=arguments.imapd_conf,
        )
    )
    match arguments.mail_server:
        case "postfix":
            return postfix.plan(site, here, kind)
        case "exim":
            return exim.plan(site, here)
        case _:
            return cyrus_imap.plan(site, here)


def _applied(arguments: argparse.Namespace, environment: Environment, site: Site, plan: Plan) -> Record:
    account = None
    if arguments.user is not None:
        secret = secret_input.given(arguments, environment) or secret_input.asked_once(environment, arguments.user)
        account = Account(arguments.user, secret)
    made = throw_away(site.path, site.settings, plan.service, (plan.socket.path,), plan.realm) if account is None else None
    if account is None and made is None:
        line = f"{site.path}: no route for {plan.service} asks a store first, so no throw-away account can prove it: name one with --user"
        raise CommandFailed(Exit.CONFIGURATION, line)
    change = Change(plan.socket.ours, (*plan.socket.joins, *plan.theirs), plan.reload, site.settings.control.path, made)
    began = time.monotonic()
    with journal.opened(arguments.state_dir, _name(arguments)) as record:
        proved = apply(change, Proof(plan.doors, partial(asking.verify, plan.asker, plan.socket.path), account), record)
        return _proved(plan, proved, time.monotonic() - began, (record.path, f"{_again(arguments)} --undo"))


def _name(arguments: argparse.Namespace) -> str:
    """Of the record: one for each mail server that is here."""
    where = {"postfix": arguments.postfix_config, "exim": arguments.exim_config, "cyrus-imap": arguments.imapd_conf}
    place = where[arguments.mail_server]
    if place is None or os.path.realpath(place) == os.path.realpath(_USUAL.get(arguments.mail_server, "")):
        return str(arguments.mail_server)
    return f"{arguments.mail_server}-{hashlib.sha256(os.fsencode(os.path.realpath(place))).hexdigest()[:12]}"


def _again(arguments: argparse.Namespace) -> str:
    names = ["type", "postfix_config", "exim_config", "exim_program", "imapd_conf", "config", "user"]
    names += ["state_dir"] if arguments.state_dir != journal.DEFAULT_DIRECTORY else []
    given = [f" --{name.replace('_', '-')} {shlex.quote(value)}" for name in names if (value := getattr(arguments, name))]
    return f"saslauthd-py setup {arguments.mail_server}{''.join(given)}"


def _printed(plan: Plan, command: str) -> Record:
    lines = [f"{plan.title}; it asks at {plan.socket.path}"]
    if not plan.steps:
        lines += ["Nothing is to be changed. To prove that logins work:", f"    {command}"]
        return Record(_fields(plan, applied=False), tuple(lines), warnings=plan.notes)
    for step in plan.steps:
        lines += ["", *step.shown().splitlines()]
    lines += ["", "by hand:"]
    lines += [f"    append to {step.path}: the lines above; then: saslauthd-py reload" for step in plan.socket.ours]
    lines += [f"    {line}" for line in (*plan.commands, *plan.reload.shown())]
    lines += ["Nothing was changed. To have all of it made and proved:", f"    {command}"]
    return Record(_fields(plan, applied=False), tuple(lines), warnings=plan.notes)


def _proved(plan: Plan, proved: tuple[Proved, ...], seconds: float, kept: tuple[str, str]) -> Record:
    record, undoing = kept
    lines = [f"changed  {step}" for step in plan.steps] or ["nothing was to be changed"]
    lines += [f"proved   {one.name}: logged in after {one.seconds * 1000:.0f} ms, a wrong password is refused" for one in proved]
    lines += [f"{plan.title}: it asks at {plan.socket.path}; all of it took {seconds:.1f} s"]
    lines += [f"copies are in {record}; to take it back:", f"    {undoing}"] if plan.steps else []
    ports: Json = [{"port": one.name, "seconds": round(one.seconds, 4)} for one in proved]
    more: Fields = {"proved": ports, "seconds": round(seconds, 2), "record": record if plan.steps else None}
    return Record({**_fields(plan, applied=True), **more}, tuple(lines), warnings=plan.notes)


def _fields(plan: Plan, *, applied: bool) -> Fields:
    return {
        "title": plan.title,
        "applied": applied,
        "socket": plan.socket.path,
        "listener": plan.socket.table,
        "changes": [{"what": str(step), "change": step.shown()} for step in plan.steps],
        "commands": [*plan.commands, *plan.reload.shown()] if plan.steps else [],
        "notes": list(plan.notes),
    }


def _undone(undone: Undone, record: str) -> Record:
    lines = [f"restored  {one}" for one in undone.restored]
    lines += [f"left      {one.what}: {one.why}" + (f"; as it was before: {one.command}" if one.command else "") for one in undone.left]
    if undone.left:
        lines.append(f"What was left is yours: put it back and say --undo again, or keep it and remove {record}")
    else:
        lines.append("everything is as it was before")
    left = [{"what": one.what, "why": one.why, "copy": one.copy, "command": one.command} for one in undone.left]
    fields: Fields = {"restored": list(undone.restored), "left": left, "notes": list(undone.notes)}
    return Record(fields, tuple(lines), Exit.BAD_INPUT if undone.left else Exit.DONE, undone.notes)


@contextmanager
def _told() -> Iterator[None]:
    """What is raised below, as exit codes."""
    codes = {
        Unreadable: Exit.CONFIGURATION,
        Refused: Exit.CONFIGURATION,
        NotReady: Exit.NOT_RUNNING,
        RolledBack: Exit.UNAVAILABLE,
        Interrupted: Exit.INTERRUPTED,
        NothingApplied: Exit.NO_FILE,
        JournalError: Exit.DENIED,
    }
    try:
        yield
    except tuple(codes) as error:
        raise CommandFailed(next(code for kind, code in codes.items() if isinstance(error, kind)), str(error)) from error
