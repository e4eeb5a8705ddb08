"""17: passwords that others may read: in files, in logs of too much detail, on command lines."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress

from saslauthd_py.config.settings import Settings
from saslauthd_py.config.settings.secret import secret_keys
from saslauthd_py.doctor import postfix_lines
from saslauthd_py.doctor.case import Case
from saslauthd_py.doctor.said import Said, passed, warned
from saslauthd_py.mta import processes
from saslauthd_py.mta.postfix import Postfix

_WITH_PASSWORDS = 7
"""SASL_LOG_PASS of sasl.h."""

_SHOWING = {"testsaslauthd": "-p", "swaks": "-ap", "ldapsearch": "-w", "ldapwhoami": "-w"}
"""Programs, and their flag that takes a password on the command line."""


def find(case: Case) -> Iterator[Said]:
    """A line for each place where somebody else could read a password."""
    faults = (*_files(case), *_logs(case), *_command_lines())
    yield from faults
    if not faults:
        yield passed("no file, log or command line shows passwords to others")


def _files(case: Case) -> Iterator[Said]:
    named = list(_secret_files(case.settings)) if case.settings is not None else []
    for path in (*named, *_keys(case.machine.postfix)):
        with suppress(OSError):
            mode = os.stat(path).st_mode
            if mode & (stat.S_IROTH | stat.S_IWOTH):
                yield warned(f"{path} holds a secret, and every user of this machine may read it", f"chmod o= {path}")


def _secret_files(settings: Settings) -> Iterator[str]:
    for backend in settings.backend.values():
        for key in secret_keys(type(backend)):
            value = getattr(backend, key)
            if value is not None and value.file is not None and os.path.isabs(value.file):
                yield value.file


def _keys(postfix: Postfix | None) -> Iterator[str]:
    """Private keys of smtpd: a chain file has one, and a .pem that has none is no concern."""
    if postfix is None:
        return
    for name in ("smtpd_tls_key_file", "smtpd_tls_eckey_file", "smtpd_tls_chain_files"):
        for path in postfix.value(name).replace(",", " ").split():
            with suppress(OSError), open(path, "rb") as file:
                if b"PRIVATE KEY" in file.read(1 << 16):
                    yield path


def _logs(case: Case) -> Iterator[Said]:
    machine = case.machine
    if machine.sasl is not None and machine.sasl.log_level >= _WITH_PASSWORDS:
        cause = f"{machine.sasl.path}: log_level: {machine.sasl.log_level} may write passwords into the log"
        yield warned(cause, f"in {machine.sasl.path}: log_level: 3")
    if machine.postfix is None:
        return
    postfix = machine.postfix
    for service in postfix.smtpd():
        if service.verbose:
            cause = f"smtpd of {service.name} runs with -v: the log holds what clients send, passwords too"
            yield warned(cause, f"take -v off {service.key} in {postfix.config_directory}/master.cf; {postfix_lines.reload(postfix)}")
    if postfix.value("debug_peer_list"):
        cause = f"debug_peer_list = {postfix.value('debug_peer_list')}: the log holds what these send, passwords too"
        yield warned(cause, postfix_lines.setting(postfix, "debug_peer_list", ""))


def _command_lines() -> Iterator[Said]:
    for one in processes.running("saslauthd", *_SHOWING):
        program = os.path.basename(one.arguments[0]) if one.arguments else ""
        if program == "saslauthd" and "-d" in one.arguments and "rimap" in one.arguments:
            yield warned(f"saslauthd[{one.pid}] runs with -d and rimap: it prints passwords", "leave -d out")
        flag = _SHOWING.get(one.name, "")
        if flag and any(word.startswith(flag) for word in one.arguments[1:]):
            cause = f"{one.name}[{one.pid}] has a password on its command line, which every user of this machine may read"
            yield warned(cause, "saslauthd-py test NAME asks for it instead")
