"""Why a mail server asks nobody, or somebody else, for passwords: before its way to our socket can be looked at."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import replace

from saslauthd_py.doctor import postfix_lines
from saslauthd_py.doctor.said import Outcome, Said, failed
from saslauthd_py.mta import postfix_callers, smtpd_conf
from saslauthd_py.mta.cyrus_imap import CyrusImap
from saslauthd_py.mta.machine import Machine
from saslauthd_py.mta.postfix import Postfix
from saslauthd_py.mta.smtpd_conf import SaslConf


def reasons(machine: Machine) -> Iterator[Said]:
    """One for each mail server that does not ask us: a warning where another one does, for this one may be meant to ask nobody."""
    for name, fault in machine.faults.items():
        yield failed(f"{name}: {fault}", "mend what it complains of")
    for said in _unasking(machine):
        yield replace(said, outcome=Outcome.WARN) if machine.callers else said
    if machine.postfix is not None and machine.postfix.logins():
        yield from _postfix(machine.postfix, machine.sasl)


def _unasking(machine: Machine) -> Iterator[Said]:
    """Mail servers that take no logins at all, or take them from elsewhere."""
    postfix = machine.postfix
    if postfix is not None and not postfix.logins():
        mend = postfix_lines.setting(postfix, "smtpd_sasl_auth_enable", "yes")
        yield failed(f"{postfix.config_directory}: smtpd_sasl_auth_enable is no for every smtpd of master.cf: nobody can log in", mend)
    if machine.exim is not None and not any(one.is_dovecot or one.asks_saslauthd for one in machine.exim.authenticators):
        yield failed("exim has no authenticator that asks a daemon", "add those of conf/exim/authenticators to its configuration")
    if machine.cyrus_imap is not None:
        yield from _cyrus_imap(machine.cyrus_imap)


def _postfix(postfix: Postfix, sasl: SaslConf | None) -> Iterator[Said]:
    if postfix_callers.who(postfix) is None:
        yield failed(
            f"mail_owner = {postfix.value('mail_owner')}: there is no such user", "make the user, or correct mail_owner in main.cf"
        )
    for kind in dict.fromkeys(postfix.value("smtpd_sasl_type", one) for one in postfix.logins()):
        if kind not in postfix.sasl_types:
            known = ", ".join(sorted(postfix.sasl_types)) or "none"
            mend = postfix_lines.setting(postfix, "smtpd_sasl_type", "dovecot")
            yield failed(f"smtpd_sasl_type = {kind}: this Postfix knows {known}", mend)
    if sasl is not None:
        yield from _sasl(sasl, postfix)


def _sasl(sasl: SaslConf, postfix: Postfix) -> Iterator[Said]:
    if sasl.path is not None and (number := smtpd_conf.refused(sasl.path)) is not None:
        cause = f"{sasl.path}:{number}: not `key: value`, so libsasl refuses the whole file, and no smtpd starts"
        yield failed(cause, f"correct that line, then {postfix_lines.reload(postfix)}")
    if sasl.path is None:
        searched = ", ".join(sasl.searched)
        if sasl.elsewhere:
            cause = f"{sasl.elsewhere[0]} is not read: this Postfix looks for {searched} only, so it asks no daemon"
            mend = f"install -D -m 644 {shlex.quote(sasl.elsewhere[0])} {shlex.quote(sasl.searched[0])} && {postfix_lines.reload(postfix)}"
        else:
            name = os.path.basename(sasl.searched[0])
            cause = f"Postfix finds no {name} (it looks for {searched}), so it asks no daemon"
            place = shlex.quote(sasl.searched[0])
            lines = "printf '%s\\n' 'pwcheck_method: saslauthd' 'mech_list: PLAIN LOGIN'"
            mend = f"install -d {shlex.quote(os.path.dirname(sasl.searched[0]))} && {lines} > {place} && {postfix_lines.reload(postfix)}"
        yield failed(cause, mend)
    elif "saslauthd" not in sasl.methods:
        asked = "pwcheck_method is " + " ".join(sasl.methods)
        mend = f"in {sasl.path}: pwcheck_method: saslauthd"
        yield failed(f"{sasl.path}: {asked}: passwords are looked for elsewhere, and no daemon is asked", mend)


def _cyrus_imap(imap: CyrusImap) -> Iterator[Said]:
    if "saslauthd" not in imap.sasl.methods:
        asked = " ".join(imap.sasl.methods)
        mend = f"in {imap.file}: sasl_pwcheck_method: saslauthd"
        yield failed(f"{imap.file}: sasl_pwcheck_method is {asked}: passwords are looked for elsewhere, and no daemon is asked", mend)
