"""Why a mail server asks nobody, or somebody else, for passwords: before its way to our socket can be looked at."""

from __future__ import annotations

import os
from collections.abc import Iterator

from saslauthd_py.doctor import postfix_lines
from saslauthd_py.doctor.said import Said, failed
from saslauthd_py.mta import postfix_callers
from saslauthd_py.mta.cyrus_imap import CyrusImap
from saslauthd_py.mta.machine import Machine
from saslauthd_py.mta.postfix import Postfix
from saslauthd_py.mta.smtpd_conf import SaslConf


def reasons(machine: Machine) -> Iterator[Said]:
    """One for each mail server that does not ask us."""
    for name, fault in machine.faults.items():
        yield failed(f"{name}: {fault}", "mend what it complains of")
    if machine.postfix is not None:
        yield from _postfix(machine.postfix, machine.sasl)
    if machine.exim is not None and not any(one.is_dovecot or one.asks_saslauthd for one in machine.exim.authenticators):
        yield failed("exim has no authenticator that asks a daemon", "add those of conf/exim/authenticators to its configuration")
    if machine.cyrus_imap is not None:
        yield from _cyrus_imap(machine.cyrus_imap)


def _postfix(postfix: Postfix, sasl: SaslConf | None) -> Iterator[Said]:
    logins = postfix.logins()
    if not logins:
        mend = postfix_lines.setting(postfix, "smtpd_sasl_auth_enable", "yes")
        yield failed(f"{postfix.config_directory}: smtpd_sasl_auth_enable is no for every smtpd of master.cf: nobody can log in", mend)
        return
    if postfix_callers.who(postfix) is None:
        yield failed(
            f"mail_owner = {postfix.value('mail_owner')}: there is no such user", "make the user, or correct mail_owner in main.cf"
        )
    for kind in dict.fromkeys(postfix.value("smtpd_sasl_type", one) for one in logins):
        if kind not in postfix.sasl_types:
            known = ", ".join(sorted(postfix.sasl_types)) or "none"
            mend = postfix_lines.setting(postfix, "smtpd_sasl_type", "dovecot")
            yield failed(f"smtpd_sasl_type = {kind}: this Postfix knows {known}", mend)
    if sasl is not None:
        yield from _sasl(sasl, postfix)


def _sasl(sasl: SaslConf, postfix: Postfix) -> Iterator[Said]:
    if sasl.path is None:
        searched = ", ".join(sasl.searched)
        if sasl.elsewhere:
            cause = f"{sasl.elsewhere[0]} is not read: this Postfix looks for {searched} only, so it asks no daemon"
            mend = f"install -D -m 644 {sasl.elsewhere[0]} {sasl.searched[0]} && {postfix_lines.reload(postfix)}"
        else:
            name = os.path.basename(sasl.searched[0])
            cause = f"Postfix finds no {name} (it looks for {searched}), so it asks no daemon"
            mend = f"write conf/postfix/sasl/{name} to {sasl.searched[0]}, then {postfix_lines.reload(postfix)}"
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
