"""`import`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial

from saslauthd_py import identity, passwords
from saslauthd_py.cli import progress
from saslauthd_py.cli.as_daemon import become_daemon
from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.cli.report import Fields, Record, counted
from saslauthd_py.cli.user import place
from saslauthd_py.cli.user.place import Place
from saslauthd_py.identity import Identity
from saslauthd_py.store.merging import OnConflict
from saslauthd_py.transfer import importing, keyless, ldif
from saslauthd_py.transfer.formats import BadFile, Format
from saslauthd_py.transfer.importing import Imported, Order
from saslauthd_py.transfer.jsonl import Jsonl
from saslauthd_py.transfer.ldif import Ldif
from saslauthd_py.transfer.passwd_file import PasswdFile
from saslauthd_py.transfer.sasldb import Sasldb
from saslauthd_py.transfer.shadow import ShadowFile

_FORMATS: dict[str, Callable[[str], Format]] = {
    "sasldb": Sasldb,
    "passwd-file": PasswdFile,
    "htpasswd": partial(PasswdFile, form="htpasswd"),
    "shadow": ShadowFile,
    "jsonl": Jsonl,
}


def run(arguments: argparse.Namespace, environment: Environment) -> Record:
    """Take the accounts of a file over. Raises CommandFailed, StoreError, OSError, UnknownScheme."""
    at = place.find(arguments, environment)
    order = _order(arguments, at)
    passwords.cost_to_make(order.scheme)  # is there such a scheme?
    passwords.preload()  # the owner of the store may not be able to read where a library lies
    identity.preload()
    try:
        with (
            closing(order.format.open(arguments.file, environment.stdin)) as source,
            progress.shown(environment, source.size, as_json=arguments.json) as shown,
        ):
            _enter(at, order)
            imported = importing.run(order, source, shown, arguments.most_listed)
    except BadFile as error:
        raise CommandFailed(Exit.BAD_INPUT, str(error)) from None
    return _report(arguments, order, imported, tuple(_warnings(at, order, imported)))


def _order(arguments: argparse.Namespace, at: Place) -> Order:
    realm = at.settings.identity.default_realm if arguments.realm is None else arguments.realm
    if realm:
        identity.key(Identity("x", realm))  # raises for what is no realm
    attribute = arguments.name_attribute
    if attribute is not None and arguments.format != "ldif":
        raise CommandFailed(Exit.USAGE, "--name-attribute is for ldif")
    form: Format = Ldif(realm, attribute or ldif.NAME_ATTRIBUTE) if arguments.format == "ldif" else _FORMATS[arguments.format](realm)
    return Order(
        os.path.abspath(at.store.path),
        form,
        arguments.scheme or at.store.scheme,
        at.store.scram_rounds if arguments.scram or at.store.scram_upgrade else None,
        OnConflict(arguments.on_conflict),
        arguments.dry_run,
    )


def _enter(at: Place, order: Order) -> None:
    if order.dry and not os.path.lexists(order.path):
        become_daemon(at.settings)  # whose the store would be
    else:
        place.enter(at, create=not order.dry)


def _report(arguments: argparse.Namespace, order: Order, imported: Imported, warnings: tuple[str, ...]) -> Record:
    written, complaints = imported.written, imported.complaints
    failed = written.present if order.on_conflict is OnConflict.FAIL else 0
    empty = imported.nothing and not written.present
    listed = complaints.first
    more = complaints.count - len(listed)
    where = f"{arguments.file}:" if arguments.format != "sasldb" else f"{arguments.file}: record "
    lines = [f"{order.path}: made"] if imported.made else []
    lines += [f"{_counts(imported, order)}{_lost(complaints.lost - failed)}"]
    lines += [f"passed over: {number} {why}" for why, number in sorted(imported.passed.items())]
    if failed:
        there = f"{counted(failed, 'name')} {'is' if failed == 1 else 'are'} there already"
        lines = [f"nothing was imported: {there}; say --on-conflict skip or --on-conflict replace"]
    fields: Fields = {
        "store": order.path,
        "made": imported.made,
        "dry_run": order.dry,
        "added": written.added,
        "replaced": written.replaced,
        "present": written.present,
        "lost": complaints.lost,
        "passed": dict(imported.passed),
        "complaints": [{"line": one.line, "text": one.text, "lost": one.lost} for one in listed],
        "more_complaints": more,
        "warnings": warnings,
    }
    told = (*(f"{where}{one.line}: {one.text}" for one in listed), *([f"{more} more such lines: --most-listed"] if more else []))
    exit_code = Exit.BAD_INPUT if complaints.lost or empty else Exit.DONE
    return Record(fields, tuple(lines), exit_code, (*told, *warnings))


def _counts(imported: Imported, order: Order) -> str:
    written = imported.written
    would = "would be " if order.dry else ""
    parts = [f"{counted(written.added, 'account')} {would}added"]
    parts += [f"{written.replaced} {would}replaced"] if written.replaced else []
    kept = written.present - written.replaced
    return ", ".join((*parts, *([f"{kept} there already and left as they are"] if kept else [])))


def _lost(number: int) -> str:
    return f"; {counted(number, 'account')} of the file not taken over" if number else ""


def _warnings(at: Place, order: Order, imported: Imported) -> Iterator[str]:
    """What to say where last logins got lost, and where accounts without SCRAM keys keep SCRAM from being offered to all."""
    if imported.written.unnoted:
        yield f"all else is taken over, last logins are not: {imported.written.unnoted}"
    if order.dry or imported.nothing or at.store.scram_upgrade:
        return
    if example := keyless.example(order.path):
        line = "SCRAM is offered only while every account has them; `user passwd --scram`, or scram_upgrade = true"
        yield f"accounts without SCRAM keys, {example} among them: {line}"
